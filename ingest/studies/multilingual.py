"""Multilingual circuits: operation, operand and output language as separate parts.

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Multilingual circuits".

The prompts are like `opposite in french : " small " -> "`. Each part is swapped alone. The trial succeeds
when the answer changes in that part only.
"""

from collections.abc import Sequence
from functools import cache
from itertools import combinations
from random import Random

import torch
from torch import Tensor

from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.families.multilingual import LANGUAGES
from ingest.organism.families.multilingual import concepts as antonyms
from ingest.studies.tools.concepts import activity, after_first_token, statistics
from ingest.studies.tools.items import Item, few_answered, word
from ingest.studies.tools.prompts import Needs, Prompts
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.supernodes import SupernodeTensors
from ingest.studies.tools.trials import Rate, Setting, Trial, by_method, rates, swap

PLACES = after_first_token
"""Places are comparable between these prompts, because each has ten tokens."""
PARTS = {
    # Swapped part: numbers of the places that may be edited (position minus one).
    "language": frozenset(range(2, 9)),
    "operation": frozenset(range(9)),
    "concept": frozenset(range(5, 9)),
    "answer": frozenset(range(5, 9)),
}
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
HELD = 100
"""Held-out prompts of each claim."""
WANTED = {
    "language": "the same word in the other language",
    "operation": "antonym for translation or the reverse, in the same language",
    "concept": "the same operation on the other word (operand), in the same language",
    "answer": "the other meaning, in the same language",
}


@cache
def meanings() -> dict[str, tuple[dict[str, str], str]]:
    """Concept → (language → word, the opposite concept)."""
    found = {}
    for one, other in antonyms():
        found[one["english"]] = one, other["english"]
        found[other["english"]] = other, one["english"]
    return found


def answer(item: Item) -> str:
    """The meaning of the expected word, in English."""
    concept = item.labels["concept"]
    return concept if item.labels["operation"] == "translation" else meanings()[concept][1]


def said(operation: str, concept: str, language: str) -> str:
    """The word that answers a question."""
    words, opposite = meanings()[concept]
    return (words if operation == "translation" else meanings()[opposite][0])[language]


def swap_parts(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Swap each part alone: one rate for each part."""
    parts = prompts.splits("multilingual", lambda item: item.kind in ("antonym", "translation"))
    development = few_answered(model, parts.development, DEVELOPMENT)
    held = few_answered(model, parts.held_out, HELD)
    both = [_swap(model, part, parts.forming, development, held, prompts.supernodes) for part in PARTS]
    return by_method(both)


def _swap(
    model: ReplacementModel,
    part: str,
    forming: Sequence[Item],
    development: Sequence[Item],
    held: Sequence[Item],
    supernodes: SupernodeTensors | None,
) -> list[Rate]:
    value_of = answer if part == "answer" else lambda item: item.labels[part]
    # Features of an answer fire for some operands of both operations, so they need not fire within each kind.
    found = statistics(
        model, forming, value_of, PLACES, apart=lambda item: "" if part == "answer" else item.kind
    )

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = setting.concepts(found)
        random = Random(0)
        made = []
        for item in items:
            old = value_of(item)
            wanted = {value: _wanted(item, part, value) for value in found.values if value != old}
            # The wanted word must differ from the operand and from the answer without edits.
            fit = [v for v, w in wanted.items() if w != item.expected and f'" {w} "' not in item.prompt]
            if fit:
                new = random.choice(fit)
                edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength, PARTS[part])
                made.append(Trial(item, edits, frozenset([word(model, wanted[new])])))
        return made

    claim = f"swap the {part}: {WANTED[part]}"
    return rates(model, trials, development, {claim: held}, supernodes=supernodes)


def _wanted(item: Item, part: str, value: str) -> str:
    labels = item.labels
    if part == "answer":
        return meanings()[value][0][labels["language"]]
    labels = {**labels, part: value}
    return said(labels["operation"], labels["concept"], labels["language"])


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap each part, and measure how many features two languages share in each layer."""
    return StudyResult(swap_parts(model, prompts), shared_by_layer(model, prompts))


def shared_by_layer(model: ReplacementModel, prompts: Prompts) -> list[StudyFinding]:
    """Jaccard index of the features that are active on one antonym in two languages; null: two antonyms."""
    parts = prompts.splits("multilingual", lambda item: item.kind == "native")
    items = [*parts.forming, *parts.development, *parts.held_out]
    active = {
        (item.labels["concept"], item.labels["language"]): (dense > 0).any(0)
        for item, dense in zip(items, activity(model, items, after_first_token), strict=True)
    }
    same, different = [], []
    concepts = sorted({concept for concept, _ in active})
    for one, other in combinations(LANGUAGES, 2):
        for number, concept in enumerate(concepts):
            pair = active.get((concept, one)), active.get((concepts[number - 1], other))
            twin = active.get((concept, other))
            if pair[0] is not None and pair[1] is not None and twin is not None:
                same.append(_jaccard(pair[0], twin))
                different.append(_jaccard(pair[0], pair[1]))
    return [
        StudyFinding(
            f"layer {layer}: shared features of one antonym in two languages (null: of two antonyms)",
            float(torch.stack(same)[:, layer].mean()),
            float(torch.stack(different)[:, layer].mean()),
            len(same),
        )
        for layer in range(model.n_layers)
    ]


def _jaccard(one: Tensor, other: Tensor) -> Tensor:
    """(n_layers,) Jaccard index of active features. one, other: (n_layers, n_features) bool."""
    return (one & other).sum(1) / (one | other).sum(1).clamp(min=1)


STUDY = Study(
    "multilingual",
    "Multilingual circuits",
    "Are operation, operand and language separate parts, each of which can be exchanged alone?",
    run,
    [Needs(bundled="the antonyms of the bundled corpus in four languages")],
)
