"""Arithmetic: which features represent operands, ranges, sums and last digits.

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Addition".

The activation of every feature at the equals sign is recorded over the whole 100 × 100 grid of `calc : a + b
=`. Each feature is then sorted by the property of (a, b) that explains most of the variance of its
activation. The share explained by a property with k values is adjusted for k (adjusted R² of the group
means), because a finer property would otherwise win by its number of groups alone.
"""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.errors import ModelError
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import Statistics, activity, from_end, statistics
from ingest.studies.tools.items import Item, answered, beginnings, few_answered
from ingest.studies.tools.prompts import Needs, Prompts
from ingest.studies.tools.study import Grid, Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Rate, Setting, Trial, by_method, rates, swap
from schema.errors import InputError

FAMILY = "arithmetic"
SIZE = 100
MOST = 8e9
"""Most bytes of the grid of activations."""
PLACES = from_end(0)
PROPERTIES = {
    # Functions of grids of a and b. Simpler properties come first; they win when two explain the same.
    "first operand, tens": lambda a, b: a // 10,
    "second operand, tens": lambda a, b: b // 10,
    "first operand, last digit": lambda a, b: a % 10,
    "second operand, last digit": lambda a, b: b % 10,
    "sum, tens": lambda a, b: (a + b) // 10,
    "sum, last digit": lambda a, b: (a + b) % 10,
    "last digits of both": lambda a, b: a % 10 * 10 + b % 10,
    "tens of both": lambda a, b: a // 10 * 10 + b // 10,
    "first operand": lambda a, b: a,
    "second operand": lambda a, b: b,
    "sum": lambda a, b: a + b,
}
LEAST_ACTIVE = 20
"""Least number of sums on which a feature must fire to be sorted."""
EXPLAINED = 0.5
"""Least share of variance that the best property must explain; otherwise the feature is `other`."""
PLOTTED = 2
"""Features of each kind with an operand plot."""
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
HELD = 100
"""Held-out prompts of each claim."""


class SortedFeature(NamedTuple):
    """A feature and the property that it represents."""

    layer: int
    feature: int
    kind: str
    """The best property, or `other`."""
    explained: float
    """Adjusted share of variance that the best property explains, at most 1."""
    n_active: int
    """Number of the 10 000 sums on which the feature fires."""


def phrase(prompts: Prompts) -> str:
    """The wording of a sum, with `{a}` and `{b}` for the operands.

    Raises InputError when no prompt shows it.
    """
    items = [item for part in prompts.splits(FAMILY) for item in part]
    for item in items:
        first, second = item.labels["first"], item.labels["second"]
        if first != second and item.prompt.count(first) == item.prompt.count(second) == 1:
            return item.prompt.replace(first, "{a}").replace(second, "{b}")
    raise InputError(
        f"No prompt of {prompts.name} shows the wording of a sum",
        next_step="tag the operands of each: first:36 second:59 for `36 + 59 =`",
    )


def grid(model: ReplacementModel, phrase: str) -> Tensor:
    """(100, 100, n_layers, n_features) activations at the last token, for all operands from 0 to 99.

    Raises ModelError when the activations would take more than `MOST` bytes.
    """
    size = 2 * SIZE * SIZE * model.n_layers * model.transcoders.layers[0].n_features
    if size > MOST:
        raise ModelError(
            f"Activations over all sums would take {size / 1e9:.0f} GB; the limit is {MOST / 1e9:.0f} GB",
            next_step="use transcoders with fewer features for this study",
        )
    items = [
        Item(phrase.format(a=a, b=b), str(a + b), "sum", {}, frozenset())
        for a in range(SIZE)
        for b in range(SIZE)
    ]
    found = torch.empty(
        SIZE * SIZE, model.n_layers, model.transcoders.layers[0].n_features, dtype=torch.float16
    )
    for number, dense in enumerate(activity(model, items, PLACES)):
        found[number] = dense[0]
    return found.view(SIZE, SIZE, *found.shape[1:])


def sort_features(activations: Tensor) -> list[SortedFeature]:
    """Sort every feature that fires on enough sums, by layer and index. activations: the result of `grid`."""
    flat = activations.reshape(SIZE * SIZE, -1)
    n_features = activations.shape[-1]
    n_active = (flat > 0).sum(0)
    chosen = (n_active >= LEAST_ACTIVE).nonzero()[:, 0]
    a, b = (
        part.reshape(-1) for part in torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    )
    values = flat[:, chosen].double()
    explained = torch.stack([explained_by(values, group(a, b)) for group in PROPERTIES.values()])
    best, which = explained.max(0)
    names = list(PROPERTIES)
    return [
        SortedFeature(
            layer=at // n_features,
            feature=at % n_features,
            kind=names[kind] if share >= EXPLAINED else "other",
            explained=share,
            n_active=active,
        )
        for at, kind, share, active in zip(
            chosen.tolist(), which.tolist(), best.tolist(), n_active[chosen].tolist(), strict=True
        )
    ]


def explained_by(values: Tensor, groups: Tensor) -> Tensor:
    """(n,) adjusted R² of the group means. values: (n_samples, n). groups: (n_samples,) any integers."""
    _, number = groups.unique(return_inverse=True)
    n, k = len(number), int(number.max()) + 1
    sums = torch.zeros(k, values.shape[1], dtype=values.dtype).index_add_(0, number, values)
    counts = torch.bincount(number, minlength=k).to(values.dtype)
    total = ((values - values.mean(0)) ** 2).sum(0)
    within = (values**2).sum(0) - (sums**2 / counts[:, None]).sum(0)
    return 1 - (within / (n - k)) / (total / (n - 1))


def swap_sums(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Two rates: the whole sum is swapped, or its last digit only."""
    parts = prompts.splits(FAMILY)
    development = few_answered(model, parts.development, DEVELOPMENT)
    held = few_answered(model, parts.held_out, HELD)
    both = []
    for label, claim in (
        ("sum", "swap the sum: the other sum is said"),
        ("ones-sum", "swap the sum's last digit: the tens stay and the last digit is the other's"),
    ):
        found = statistics(model, parts.forming, label, PLACES)

        def trials(
            setting: Setting, items: Sequence[Item], label: str = label, found: Statistics = found
        ) -> list[Trial]:
            concepts = setting.concepts(found)
            made = []
            for item in items:
                old = item.labels[label]
                if old not in concepts:
                    continue
                new = Random(item.prompt).choice([value for value in found.values if value != old])
                wanted = new if label == "sum" else str(int(item.expected) // 10 * 10 + int(new))
                edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
                made.append(Trial(item, edits, beginnings(model, wanted)))
            return made

        both.append(rates(model, trials, development, {claim: held}, supernodes=prompts.supernodes))
    return by_method(both)


def reused(
    model: ReplacementModel, prompts: Prompts, activations: Tensor, found: Sequence[SortedFeature]
) -> list[StudyFinding]:
    """Test whether features of a sum fire where a chain of thought reaches it in words, without `=`."""
    sums = [feature for feature in found if feature.kind == "sum"]
    layers, indices = ([getattr(feature, name) for feature in sums] for name in ("layer", "feature"))
    flat = activations[:, :, layers, indices].reshape(SIZE * SIZE, -1).float()
    total = torch.arange(SIZE)[:, None].add(torch.arange(SIZE)).reshape(-1)
    means = torch.zeros(2 * SIZE - 1, len(sums)).index_add_(0, total, flat)
    most = (means / torch.bincount(total)[:, None]).argmax(0)
    chains = [
        item
        for item in prompts.splits("chain-of-thought").held_out
        if item.prompt.endswith(" gives") and item.labels.get("step", "").startswith("add")
    ]
    chains = [item for item in answered(model, chains) if (most == int(item.expected)).any()][:HELD]
    if not chains:
        return []
    results = sorted({int(item.expected) for item in chains})
    own = other = 0.0
    for item, dense in zip(chains, activity(model, chains, PLACES), strict=True):
        fires = dense[0, layers, indices] > 0
        result = int(item.expected)
        drawn = Random(item.prompt).choice([each for each in results if each != result])
        own += float(fires[most == result].float().mean())
        other += float(fires[most == drawn].float().mean())
    n = len(chains)
    return [
        StudyFinding(
            "share of a sum's features that fire where a chain of thought adds up to it "
            "(null: another sum's)",
            own / n,
            other / n,
            n,
        )
    ]


def operand_plots(activations: Tensor, found: Sequence[SortedFeature]) -> list[Grid]:
    """Operand plots: the best explained features of each kind, and the `other` features that fire most."""
    chosen: list[SortedFeature] = []
    for kind in (*PROPERTIES, "other"):
        some = [feature for feature in found if feature.kind == kind]
        some.sort(key=lambda feature: -(feature.n_active if kind == "other" else feature.explained))
        chosen += some[:PLOTTED]
    return [
        Grid(
            f"{feature.kind}: layer {feature.layer}, feature {feature.feature}",
            activations[:, :, feature.layer, feature.feature].float(),
        )
        for feature in chosen
    ]


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap sums, sort the features at the equals sign, and test where else they fire."""
    activations = grid(model, phrase(prompts))
    found = sort_features(activations)
    kinds = Counter(feature.kind for feature in found)
    return StudyResult(
        swap_sums(model, prompts),
        [
            *(
                StudyFinding(f"features at the equals sign about: {kind}", kinds[kind], None, len(found))
                for kind in (*PROPERTIES, "other")
            ),
            *reused(model, prompts, activations, found),
        ],
        grids=operand_plots(activations, found),
    )


STUDY = Study(
    "arithmetic",
    "Arithmetic",
    "Which features are there for operands, ranges, sums and last digits, and do they make the sum?",
    run,
    [Needs(FAMILY, ("first", "second", "sum", "ones-sum"))],
)
