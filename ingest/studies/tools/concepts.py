"""Concepts: the features that represent one value of a label, such as `state: texas`.

One rule finds them from labelled prompts; no feature is picked by hand. Prompts are aligned by places, for
example the last token and the token before it. At each place, a feature belongs to the concept of a value
when

    1. its mean activation over the prompts of that value
       > ratio · (mean over the other values of their mean activations)
    2. it fires on at least `share` of these prompts, within every kind of question

Because of "every kind", condition 2 separates the concept from the answer: a feature of the state fires
whatever the prompt asks about the state, and a feature of the state's capital does not.

The same rule can choose whole supernodes of the atlas instead (`ingest.studies.tools.supernodes`). Those were
made without knowing what any prompt asks.

Source: "On the Biology of a Large Language Model" (Anthropic 2025) groups features into supernodes by hand.
Here the rule groups them, and `ratio` and `share` are chosen on a development split.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.replacement.model import NONE, ReplacementModel
from ingest.studies.tools.items import Item
from ingest.studies.tools.supernodes import SupernodeTensors
from schema.counted import counted
from schema.errors import InputError

TOGETHER = 32
"""Prompts in one forward pass."""

Places = Callable[[Item, int], Sequence[int]]
"""The token positions of an item that are compared with those of other items, in order. The second argument
is the number of tokens, including the special first token."""


def every_token(item: Item, n_tokens: int) -> Sequence[int]:
    """All positions, including that of the special first token (`Places`)."""
    return range(n_tokens)


def text_tokens(model: ReplacementModel) -> Places:
    """All positions but those of the token that is put first, and of others that are left out."""

    def of(item: Item, n_tokens: int) -> Sequence[int]:
        n_left_out = model.encode(item.prompt).n_left_out
        n_text = len(model.encode(item.prompt, first_token=NONE).ids)
        return range(max(n_left_out, n_tokens - n_text), n_tokens)

    return of


def from_end(*places: int) -> Places:
    """Places counted from the end; 0 is the last token.

    The places raise InputError for a prompt that has too few tokens.
    """

    def of(item: Item, n_tokens: int) -> Sequence[int]:
        if n_tokens <= max(places):
            raise InputError(
                f"{item.place} has {counted(n_tokens, 'token')}, and the last {max(places) + 1} are compared",
                next_step="write a longer prompt",
            )
        return [n_tokens - 1 - place for place in places]

    return of


class MembershipRule(NamedTuple):
    """The conditions under which a feature belongs to a concept."""

    ratio: float
    """Least factor between the mean activation on the value and on the average other value."""
    share: float
    """Least share of the value's prompts, within every kind, on which the feature fires; 0 to 1."""


class Member(NamedTuple):
    """A feature of a concept, at one place."""

    place: int
    """Position in the list of places, from 0."""
    layer: int
    feature: int
    """Index of the feature in its layer."""
    mean: float
    """Mean activation of the feature at the place over the prompts of the value."""


@dataclass(frozen=True)
class Concept:
    """The features that represent one value of a label."""

    label: str
    """The label, such as `state`."""
    value: str
    """The value, such as `texas`."""
    members: tuple[Member, ...]

    def features(self) -> set[tuple[int, int]]:
        """(layer, index) of the members at all places."""
        return {(member.layer, member.feature) for member in self.members}


@dataclass(frozen=True, eq=False)
class Statistics:
    """What each feature does at each place, by value and kind of question."""

    label: str
    """The label whose values are compared."""
    values: list[str]
    """All values, sorted."""
    mean: Tensor
    """(n_values, n_places, n_layers, n_features) mean activation over the prompts of a value"""
    fires: Tensor
    """Same shape: share of a value's prompts on which the feature fires, in the kind with the lowest share"""
    n_active: float
    """Mean number of active features of one prompt at these places."""

    def concepts(
        self, rule: MembershipRule, supernodes: SupernodeTensors | None = None
    ) -> dict[str, Concept]:
        """The concept of each value.

        With supernodes, the rule chooses supernodes by the total output of their members and by the member
        that fires on most prompts. All members that ever fire at the place then belong to the concept.
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
    """Run the model over items and record what every feature does, by the value of a label.

    label: the name of a label, or a function that gives the value of an item. apart: a function that gives
    the kind of an item; a feature must fire within every kind. Raises ValueError when there are no items.
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
    # A kind in which a value does not occur is no evidence against the feature.
    share[counts == 0] = 1
    name = label if isinstance(label, str) else getattr(label, "__name__", "label")
    return Statistics(name, values, mean, share.amin(1), n_active / len(items))


def activity(model: ReplacementModel, items: Sequence[Item], places: Places) -> Iterator[Tensor]:
    """(n_places, n_layers, n_features) on the CPU: activations of each item at its places.

    All layers must have one width.
    """
    for start in range(0, len(items), TOGETHER):
        part = items[start : start + TOGETHER]
        encoded = [model.encode(item.prompt) for item in part]
        frozen = model.freeze_many([prompt.ids for prompt in encoded])
        for item, prompt, held in zip(part, encoded, frozen, strict=True):
            read = model.read(held)[:, places(item, len(prompt.ids))]
            found = [layer.activate(read[number]) for number, layer in enumerate(model.transcoders.layers)]
            yield torch.stack(found, 1).cpu()
