"""Multilingual circuits: operation, operand and output language as separate parts.

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Multilingual circuits".

The prompts are like `opposite in french : " small " -> "`. Each part is swapped alone. The trial succeeds
when the answer changes in that part only.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.families.multilingual import LANGUAGES
from ingest.studies.tools.concepts import Places, activity, statistics, text_tokens
from ingest.studies.tools.items import Item, beginnings, few_answered, positions_of
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Rate, Setting, Trial, Trials, by_method, rates, swap
from schema.errors import InputError

FAMILY = "multilingual"
TRANSLATION = "translation"
"""The operation whose answers say what words mean."""
LABELS = ("operation", "concept", "language")
PARTS = {
    # Swapped part: numbers of the words that may be edited.
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


class Lexicon(NamedTuple):
    """What the prompts say about words."""

    said: dict[tuple[str, str, str], str]
    """(operation, operand, language) → the word that answers the question"""
    meant: dict[tuple[str, str], str]
    """(language, word) → its meaning: the operand whose translation it is"""

    @classmethod
    def of(cls, parts: Splits) -> "Lexicon":
        """Collect the answers of all prompts."""
        said = {_question(item.labels): item.expected for part in parts for item in part}
        return cls(said, {(key[2], text): key[1] for key, text in said.items() if key[0] == TRANSLATION})

    def meaning(self, item: Item) -> str:
        """The meaning of the expected word; empty when no prompt translates it."""
        return self.meant.get((item.labels["language"], item.expected), "")

    def wanted(self, item: Item, part: str, value: str) -> str | None:
        """The answer when a part of the question has another value; None when no prompt says it."""
        if part == "answer":
            return self.said.get((TRANSLATION, value, item.labels["language"]))
        return self.said.get(_question({**item.labels, part: value}))


def _question(labels: Mapping[str, str]) -> tuple[str, str, str]:
    return labels["operation"], labels["concept"], labels["language"]


def questions(prompts: Prompts) -> Splits:
    """The prompts that name the operation and the language of the answer."""
    return prompts.splits(
        FAMILY, lambda item: item.labels.keys() >= {*LABELS} and "native" not in (item.kind, *item.tags)
    )


def places_of(model: ReplacementModel, parts: Splits) -> Places:
    """The places that are comparable between prompts.

    With the tag `operand:`, which holds the operand as it stands in the prompt: the operand's last token and
    the last three tokens. Without it: all tokens. Raises InputError when prompts without it have different
    numbers of tokens.
    """
    items = [item for part in parts for item in part]
    if all("operand" in item.labels for item in items):
        return lambda item, n_tokens: [
            positions_of(model, item.prompt, item.labels["operand"])[-1],
            *range(n_tokens - 1, n_tokens - 4, -1),
        ]
    sizes = {len(model.encode(item.prompt).ids) for item in items}
    if len(sizes) > 1:
        raise InputError(
            f"The prompts of the study multilingual have {min(sizes)} to {max(sizes)} tokens, so their "
            "places cannot be compared",
            next_step="give each prompt a tag operand:…, with the operand as it stands in the prompt",
        )
    return text_tokens(model)


def swap_parts(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Swap each part alone: one rate for each part."""
    parts = questions(prompts)
    lexicon, places = Lexicon.of(parts), places_of(model, parts)
    development = few_answered(model, parts.development, DEVELOPMENT)
    held = few_answered(model, parts.held_out, HELD)
    both = []
    for part, only in PARTS.items():
        editable = only if prompts.are_bundled else None
        tried = _trials(model, part, lexicon, parts.forming, places, editable)
        claim = f"swap the {part}: {WANTED[part]}"
        both.append(rates(model, tried, development, {claim: held}, supernodes=prompts.supernodes))
    return by_method(both)


def _trials(
    model: ReplacementModel,
    part: str,
    lexicon: Lexicon,
    forming: Sequence[Item],
    places: Places,
    only: frozenset[int] | None,
) -> Trials:
    """Make trials that give one part of each question another value. only: numbers of the editable places."""
    value_of = lexicon.meaning if part == "answer" else lambda item: item.labels[part]
    # Features of an answer fire for some operands of both operations, so they need not fire within each kind.
    found = statistics(
        model, forming, value_of, places, apart=lambda item: "" if part == "answer" else item.kind
    )

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = setting.concepts(found)
        random = Random(0)
        made = []
        for item in items:
            old = value_of(item)
            if not old or old not in concepts:
                continue
            said = {value: lexicon.wanted(item, part, value) for value in found.values if value != old}
            # The wanted word must differ from the operand and from the answer without edits.
            given = {item.expected, item.labels.get("operand")}
            fit = {
                value: text
                for value, text in said.items()
                if text is not None and text not in given and f'" {text} "' not in item.prompt
            }
            if fit:
                new = random.choice(list(fit))
                edits = swap(model, item, concepts[old], concepts[new], places, setting.strength, only)
                made.append(Trial(item, edits, beginnings(model, fit[new])))
        return made

    return trials


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap each part, and measure how many features two languages share in each layer."""
    return StudyResult(swap_parts(model, prompts), shared_by_layer(model, prompts))


def shared_by_layer(model: ReplacementModel, prompts: Prompts) -> list[StudyFinding]:
    """Jaccard index of the features that are active on one antonym in two languages; null: two antonyms.

    The prompts are those with the tag `native`, which are written in the language of their answer. Without
    such prompts there is no finding.
    """
    parts = prompts.splits(FAMILY, lambda item: "native" in item.tags)
    items = [*parts.forming, *parts.development, *parts.held_out]
    active = {
        (item.labels["concept"], item.labels["language"]): (dense > 0).any(0)
        for item, dense in zip(items, activity(model, items, text_tokens(model)), strict=True)
    }
    same, different = [], []
    concepts = sorted({concept for concept, _ in active})
    languages = {language for _, language in active}
    ordered = [*filter(languages.__contains__, LANGUAGES), *sorted(languages.difference(LANGUAGES))]
    for one, other in combinations(ordered, 2):
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
        if same
    ]


def _jaccard(one: Tensor, other: Tensor) -> Tensor:
    """(n_layers,) Jaccard index of active features. one, other: (n_layers, n_features) bool."""
    return (one & other).sum(1) / (one | other).sum(1).clamp(min=1)


STUDY = Study(
    "multilingual",
    "Multilingual circuits",
    "Are operation, operand and language separate parts, each of which can be exchanged alone?",
    run,
    [Needs(FAMILY, LABELS)],
)
