"""Chain-of-thought faithfulness: is a value computed, made up, or worked backwards from a hint?

The value is the first value of a chain. Source: "On the Biology of a Large Language Model" (Anthropic 2025),
§"Chain-of-thought faithfulness".

Each chain is cut before its first value. Its circuit is reduced to four numbers: the shares of token
influence of the function, its argument and the hint, and the probability of the answer. The nearest centre
of the three kinds, formed on trained chains, predicts the kind. The words of the prompt are not used.

Chains of other models are not cut. A step in them is swapped for another one, and the answer follows it or
does not (`swap_steps`).
"""

from collections import Counter
from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.corpus import examples
from ingest.organism.families.example import HELD_OUT, TRAIN, unit
from ingest.studies.tools.graphs import graphs, token_influence
from ingest.studies.tools.items import Item, beginnings, next_words, positions_of, some_answered
from ingest.studies.tools.prompts import Needs, Prompts
from ingest.studies.tools.study import Study, StudyFinding, StudyResult, auroc

FAMILY = "chain-of-thought"
KINDS = {"faithful": "faithful", "hinted": "faithful", "unfaithful": "unfaithful", "motivated": "motivated"}
"""Kind of chain in the corpus → kind to predict. A chain that ignores its hint is faithful."""
EACH = 50
"""Most chains of each of the four kinds, in each split."""


def chains(split: str) -> list[Item]:
    """The chains of a split, cut before their first value; each once, in an order fixed by a hash."""
    found = {}
    for example in examples(split)[FAMILY]:
        prompt = " ".join(example.words[: example.answers[0]])
        found[prompt] = Item(prompt, "", example.kind, {}, frozenset(example.tags))
    ordered = sorted(found.values(), key=lambda item: unit(item.prompt))
    kept: list[Item] = []
    for kind in KINDS:
        kept += [item for item in ordered if item.kind == kind][:EACH]
    return kept


def profiles(model: ReplacementModel, items: Sequence[Item], max_feature_nodes: int | None) -> Tensor:
    """(n_items, 4) shares of token influence of function, argument and hint; probability of the answer."""
    rows = []
    for item, graph in zip(
        items, graphs(model, [item.prompt for item in items], max_feature_nodes), strict=True
    ):
        share = token_influence(graph)
        words = ("", *item.prompt.split())
        hint = words.index("answer") + 2 if "answer" in words else None
        rows.append(
            [
                float(share[words.index("take") + 2]),
                float(share[words.index("of") + 1]),
                0.0 if hint is None else float(share[hint]),
                float(graph.logit_probabilities.max()),
            ]
        )
    return torch.tensor(rows, dtype=torch.float64)


def nearest(centres: Tensor, rows: Tensor) -> list[int]:
    """Number of the nearest centre of each row."""
    return torch.cdist(rows, centres).argmin(1).tolist()


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Measure how often the circuit predicts the kind, and whether another hint changes the value.

    With the prompts of a file, swap steps (`swap_steps`).
    """
    if not prompts.are_bundled:
        return StudyResult([], swap_steps(model, prompts))
    known, held = chains(TRAIN), chains(HELD_OUT)
    before, after = (profiles(model, part, prompts.max_feature_nodes) for part in (known, held))
    scale = before.std(0).clamp(min=1e-9)
    names = sorted(set(KINDS.values()))
    labels = [KINDS[item.kind] for item in known]
    shuffled = Random(0).sample(labels, len(labels))
    told = [names[at] for at in nearest(_centres(before / scale, labels, names), after / scale)]
    guessed = [names[at] for at in nearest(_centres(before / scale, shuffled, names), after / scale)]
    findings = []
    for title, kinds in (
        ("all chains", tuple(KINDS)),
        ("chains without a hint (faithful, unfaithful)", ("faithful", "unfaithful")),
        ("chains with a hint (hint ignored, motivated)", ("hinted", "motivated")),
    ):
        chosen = [at for at, item in enumerate(held) if item.kind in kinds]
        right, chance = (
            sum(said[at] == KINDS[held[at].kind] for at in chosen) / len(chosen) for said in (told, guessed)
        )
        findings.append(
            StudyFinding(f"accuracy on {title} (null: centres of shuffled kinds)", right, chance, len(chosen))
        )
    return StudyResult([], [*findings, *change_hints(model, held)])


def _centres(rows: Tensor, labels: Sequence[str], names: Sequence[str]) -> Tensor:
    return torch.stack(
        [rows[[at for at, label in enumerate(labels) if label == name]].mean(0) for name in names]
    )


def change_hints(model: ReplacementModel, items: Sequence[Item]) -> list[StudyFinding]:
    """Measure how often another hint changes the value that follows.

    Motivated chains are compared with chains that ignore hints.
    """
    changed: Counter[str] = Counter()
    n: Counter[str] = Counter()
    hinted = [item for item in items if item.kind in ("hinted", "motivated")]
    cases = []
    for item in hinted:
        words = item.prompt.split()
        place = words.index("answer") + 2
        old = int(words[place])
        words[place] = str(old + 1 if old % 2 else old - 1 if old > 1 else old + 2)
        cases += [Case(item.prompt, []), Case(" ".join(words), [])]
    tops = next_words(model, cases)
    for item, before, after in zip(hinted, tops[::2], tops[1::2], strict=True):
        n[item.kind] += 1
        changed[item.kind] += before != after
    return [
        StudyFinding(
            "chains whose first value changes with the hint: motivated ones (null: those that ignore it)",
            changed["motivated"] / max(1, n["motivated"]),
            changed["hinted"] / max(1, n["hinted"]),
            n["motivated"],
        )
    ]


def swap_steps(model: ReplacementModel, prompts: Prompts) -> list[StudyFinding]:
    """Write another step into each chain, and measure whether the answer follows the step.

    Nothing is fitted, so the prompts of all splits count, if the model answers them correctly. The null is
    how often the answer becomes the one that another chain's step calls for. The share of token influence
    that the step's own tokens hold in the circuit is scored by how well it tells chains that follow from
    those that do not.
    """
    items = some_answered(model, [item for part in prompts.splits(FAMILY) for item in part])
    texts = [_with_step(model, item) for item in items]
    tops = next_words(model, [Case(text, []) for text in texts])
    wanted = [beginnings(model, item.labels["follows"]) for item in items]
    follow = [top in each for top, each in zip(tops, wanted, strict=True)]
    drawn = Random(0).sample(wanted, len(wanted))
    scores: tuple[list[float], list[float]] = ([], [])
    for item, graph, follows in zip(
        items, graphs(model, [item.prompt for item in items], prompts.max_feature_nodes), follow, strict=True
    ):
        share = token_influence(graph)
        scores[follows].append(
            sum(float(share[at]) for at in positions_of(model, item.prompt, item.labels["step"]))
        )
    n = len(items)
    stays = sum(top in beginnings(model, *item.answers) for top, item in zip(tops, items, strict=True))
    by_chance = sum(top in each for top, each in zip(tops, drawn, strict=True))
    found = [
        StudyFinding(
            "chains whose answer follows a swapped step (null: the answer of another chain's step)",
            sum(follow) / n,
            by_chance / n,
            n,
        ),
        StudyFinding("chains whose answer stays although the step was swapped", stays / n, None, n),
    ]
    if all(scores):
        told = auroc(scores[True], scores[False])
        found.append(
            StudyFinding("AUROC of the step's share of token influence for chains that follow", told, 0.5, n)
        )
    return found


def _with_step(model: ReplacementModel, item: Item) -> str:
    """The prompt with the other step in place of the last occurrence of its own."""
    positions_of(model, item.prompt, item.labels["step"])  # raises when the step is not there
    before, _, after = item.prompt.rpartition(item.labels["step"])
    return before + item.labels["swapped"] + after


STUDY = Study(
    "chain-of-thought",
    "Chain-of-thought faithfulness",
    "Can circuits alone tell a computed step from a made-up one and from one worked back from a hint?",
    run,
    [Needs(FAMILY, ("step", "swapped", "follows"), splits=False, own_in_bundled=True)],
)
