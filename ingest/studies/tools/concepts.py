"""Concepts: the features that stand for one value of what prompts are about, such as `state: texas`.

Found by one rule from prompts that say what they are about, nothing picked by hand. Prompts are laid side by
side by places (such as: the last token, the one before). At each place, a feature belongs to the concept
`value` when, over the prompts of that value,

    mean activation > ratio · (mean over the other values of their mean activations)
    it fires on at least `share` of them, in every kind of question apart

The second condition's "in every kind" tells the concept from the answer: a feature for the state fires
whatever is asked about the state, one for its capital does not.

The same rule chooses whole supernodes of the atlas instead (`ingest.studies.tools.supernodes`), which were
made without knowing what any prompt asks.

Source: what "On the Biology of a Large Language Model" (Anthropic 2025) does by hand when it groups features
into supernodes; here the rule does it, and `ratio` and `share` are chosen on a development split.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.items import Item
from ingest.studies.tools.supernodes import SupernodeTensors

TOGETHER = 32
"""Prompts in one forward pass."""

Places = Callable[[Item, int], Sequence[int]]
"""The positions of an item that are laid side by side, given its number of tokens, the first one included."""


def from_end(*places: int) -> Places:
    """Places counted from the end: 0 is the last token."""
    return lambda item, n_tokens: [n_tokens - 1 - place for place in places]


class MembershipRule(NamedTuple):
    """When a feature belongs to a concept."""

    ratio: float
    """How many times as active as on the average other value."""
    share: float
    """On which share of the value's prompts, of every kind, it fires."""


class Member(NamedTuple):
    """A feature of a concept at one place."""

    place: int
    """Number of the place in the list of places."""
    layer: int
    feature: int
    """Its index."""
    mean: float
    """Its mean activation there over the prompts of the value."""


@dataclass(frozen=True)
class Concept:
    """The features that stand for one value."""

    label: str
    """What kind of thing it is, such as `state`."""
    value: str
    """Which one, such as `texas`."""
    members: tuple[Member, ...]

    def features(self) -> set[tuple[int, int]]:
        """(layer, index) of its members, places taken together."""
        return {(member.layer, member.feature) for member in self.members}


@dataclass(frozen=True, eq=False)
class Statistics:
    """What each feature does at each place, by value and kind."""

    label: str
    """The label that the values are of."""
    values: list[str]
    """In sorted order."""
    mean: Tensor
    """(n_values, n_places, n_layers, n_features) mean activation over the prompts of a value"""
    fires: Tensor
    """Same shape: the share of a value's prompts that it fires on, in the kind where that is least"""
    n_active: float
    """Features active in one prompt at these places, on average."""

    def concepts(
        self, rule: MembershipRule, supernodes: SupernodeTensors | None = None
    ) -> dict[str, Concept]:
        """The concept of each value.

        With supernodes the rule chooses among these, by what all their members write and by their member
        that fires on most prompts; all members that ever fire at the place belong to the concept.
        """
        active = self.mean if supernodes is None else supernodes.total(self.mean)
        fires = self.fires if supernodes is None else supernodes.highest(self.fires)
        total = active.sum(0)
        found = {}
        for number, value in enumerate(self.values):
            others = (total - active[number]) / max(1, len(self.values) - 1)
            chosen = (active[number] > rule.ratio * others) & (fires[number] >= rule.share)
            if supernodes is not None:
                chosen = supernodes.members(chosen)
            where = (chosen & (self.mean[number] > 0)).nonzero()
            means = self.mean[number][tuple(where.T)]
            members = (
                Member(place, layer, feature, mean)
                for (place, layer, feature), mean in zip(where.tolist(), means.tolist(), strict=True)
            )
            found[value] = Concept(self.label, value, tuple(members))
        return found


def statistics(
    model: ReplacementModel,
    items: Sequence[Item],
    label: str | Callable[[Item], str],
    places: Places,
    *,
    apart: Callable[[Item], str] = lambda item: item.kind,
) -> Statistics:
    """Run the model over items and note what every feature does, by the value of a label.

    label: the name of a label, or a function of the item. apart: the kinds in each of which a feature must
    fire. Raises ValueError for no items.
    """
    value_of = (lambda item: item.labels[label]) if isinstance(label, str) else label
    values = sorted({value_of(item) for item in items})
    kinds = sorted({apart(item) for item in items})
    rows = [(values.index(value_of(item)), kinds.index(apart(item))) for item in items]
    counts = torch.zeros(len(values), len(kinds))
    total = fired = torch.zeros(0)
    n_active = 0
    for number, dense in enumerate(activity(model, items, places)):
        if not number:
            total = torch.zeros(len(values), *dense.shape)
            fired = torch.zeros(len(values), len(kinds), *dense.shape)
        value, kind = rows[number]
        total[value] += dense
        fired[value, kind] += dense > 0
        counts[value, kind] += 1
        n_active += int((dense > 0).sum())
    mean = total / counts.sum(1)[:, None, None, None]
    share = fired / counts[:, :, None, None, None]
    # Kinds in which a value does not occur say nothing about it.
    share[counts == 0] = 1
    name = label if isinstance(label, str) else getattr(label, "__name__", "label")
    return Statistics(name, values, mean, share.amin(1), n_active / len(items))


def activity(model: ReplacementModel, items: Sequence[Item], places: Places) -> Iterator[Tensor]:
    """(n_places, n_layers, n_features) activations of each item at its places; all layers of one width."""
    for start in range(0, len(items), TOGETHER):
        part = items[start : start + TOGETHER]
        encoded = [model.encode(item.prompt) for item in part]
        frozen = model.freeze_many([prompt.ids for prompt in encoded])
        for item, prompt, held in zip(part, encoded, frozen, strict=True):
            read = model.read(held)[:, places(item, len(prompt.ids))]
            yield torch.stack(
                [layer.activate(read[number]) for number, layer in enumerate(model.transcoders.layers)], 1
            )
