"""Causal tests with a success rate: concepts swapped in the real model, beside random features.

A trial exchanges one concept for another in one prompt: members of the old one are set to 0, members of the
new one to their mean activation times a strength, each at its own place; the model runs on with attention,
norms and MLPs free to react. It succeeds when the next word is what the new concept calls for.

The null is the same number of edits at the same layers and positions with random features, each pushed so
that it writes a vector of the same length: what is planted goes to a random feature that is off, what is
ablated is taken from a random one that is on (or, when none is left, put on one that is off).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from random import Random
from typing import Any, NamedTuple

from torch import Tensor

from ingest.engine.intervention.intervene import Case, Edit
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import Concept, MembershipRule, Places, Statistics, activity
from ingest.studies.tools.items import Item, next_words
from ingest.studies.tools.supernodes import SupernodeTensors
from schema.errors import InputError


class Trial(NamedTuple):
    """One prompt, what to edit, and what should follow."""

    item: Item
    edits: Sequence[Edit]
    wanted: frozenset[int]
    """Vocabulary ids of the next words that count as success."""


class Setting(NamedTuple):
    """What is chosen on the development split."""

    rule: MembershipRule
    strength: float
    """Factor on the mean activation of what is planted."""
    supernodes: SupernodeTensors | None = None
    """What the rule chooses from; None: from single features."""

    def concepts(self, found: Statistics) -> dict[str, Concept]:
        """The concept of each value under this setting."""
        return found.concepts(self.rule, self.supernodes)


class ChosenSetting(NamedTuple):
    """A setting, and how it did on the development split."""

    setting: Setting
    successes: int
    n: int


@dataclass(frozen=True)
class Rate:
    """How often an intervention did what the claim says, on held-out prompts."""

    claim: str
    """What was done and what should follow, in words."""
    n: int
    """Prompts tried; all were answered rightly without edits."""
    successes: int
    null_successes: int
    """The same with random features."""
    edited: float
    """Feature activations that were edited in one prompt, on average."""
    active: float
    """Feature activations in one such prompt, all positions, on average."""
    setting: dict[str, float]
    """Ratio, share and strength, as chosen on the development split."""
    development: tuple[int, int]
    """Successes and n there, with this setting."""

    @property
    def rate(self) -> float:
        return self.successes / self.n if self.n else float("nan")

    @property
    def null_rate(self) -> float:
        return self.null_successes / self.n if self.n else float("nan")

    @property
    def rule(self) -> MembershipRule:
        """The rule of the setting, which says which features a concept has."""
        return MembershipRule(self.setting["ratio"], self.setting["share"])

    def row(self) -> dict[str, Any]:
        """For tables and JSON."""
        return {**asdict(self), "rate": self.rate, "null_rate": self.null_rate}


BY_SUPERNODES = " (whole supernodes)"
"""Ends a claim about edits of the atlas's supernodes."""

WIDE = tuple(
    Setting(MembershipRule(ratio, share), strength)
    for ratio, share, strength in product((3.0, 2.0, 1.5), (0.5, 0.3, 0.2, 0.1), (1.0, 2.0, 3.0))
)
"""For concepts with few values, or none that fires for most of its prompts."""

GRID = tuple(
    Setting(MembershipRule(ratio, share), strength)
    for ratio, share, strength in product((10.0, 5.0, 3.0, 2.0), (0.8, 0.5, 0.3), (1.0, 1.5, 2.0))
)
"""Settings that are tried; earlier ones edit less."""

WHOLE = tuple(
    Setting(MembershipRule(ratio, share), strength)
    for ratio, share, strength in product((10.0, 3.0, 2.0, 1.5), (0.8, 0.3, 0.1), (1.0, 2.0, 3.0))
)
"""For whole supernodes, which differ less from value to value than single features."""

Trials = Callable[[Setting, Sequence[Item]], list[Trial]]
"""Makes the trials of some items under a setting; leaves out items that no trial fits."""


def swap(
    model: ReplacementModel,
    item: Item,
    old: Concept | None,
    new: Concept | None,
    places: Places,
    strength: float,
    only: frozenset[int] | None = None,
) -> list[Edit]:
    """The edits that take one concept's place by another's; None for no old or no new one.

    only: numbers of the places that are edited; None for all.
    """
    positions = places(item, len(model.encode(item.prompt).ids))
    off = {member[:3]: 0.0 for member in (old.members if old else ())}
    on = {member[:3]: member.mean * strength for member in (new.members if new else ())}
    return [
        Edit(layer, positions[place], index, value)
        for (place, layer, index), value in sorted((off | on).items())
        if (only is None or place in only) and positions[place] > 0
    ]


def random_like(model: ReplacementModel, edits: Sequence[Edit], dense: Tensor, random: Random) -> list[Edit]:
    """As many edits of random features, of the same layers and positions, that write as much.

    dense: (n_positions, n_layers, n_features) present activations of the prompt.
    """
    mine = {(edit.layer, edit.position, edit.feature) for edit in edits}
    on: dict[tuple[int, int], list[int]] = {}
    found = []
    for edit in edits:
        assert isinstance(edit.position, int)
        here = dense[edit.position, edit.layer]
        change = edit.value - float(here[edit.feature])
        if (edit.layer, edit.position) not in on:
            choices = here.nonzero()[:, 0].tolist()
            random.shuffle(choices)
            on[edit.layer, edit.position] = choices
        choices = on[edit.layer, edit.position]
        while change < 0 and choices:
            other = choices.pop()
            if (edit.layer, edit.position, other) not in mine:
                found.append(Edit(edit.layer, edit.position, other, 0.0))
                mine.add((edit.layer, edit.position, other))
                break
        else:
            other = _off(here, edit, mine, random)
            mine.add((edit.layer, edit.position, other))
            size = abs(change) * _norm(model, edit.layer, edit.feature) / _norm(model, edit.layer, other)
            found.append(Edit(edit.layer, edit.position, other, size))
    return found


def _off(here: Tensor, edit: Edit, taken: set[Any], random: Random) -> int:
    while True:
        other = random.randrange(len(here))
        if here[other] == 0 and (edit.layer, edit.position, other) not in taken:
            return other


def _norm(model: ReplacementModel, layer: int, index: int) -> float:
    # A feature that never learned to write counts as one of length 1; dividing by 0 helps nobody.
    return float(model.transcoders.layers[layer].decoder[index].float().norm()) or 1.0


def succeeded(model: ReplacementModel, trials: Sequence[Trial]) -> int:
    """How many trials end as wanted."""
    tops = next_words(model, [Case(trial.item.prompt, trial.edits) for trial in trials])
    return sum(top in trial.wanted for top, trial in zip(tops, trials, strict=True))


def rates(
    model: ReplacementModel,
    trials: Trials,
    development: Sequence[Item],
    held_out: Mapping[str, Sequence[Item]],
    *,
    settings: Sequence[Setting] = GRID,
    supernodes: SupernodeTensors | None = None,
) -> list[Rate]:
    """Rates of single features that the rule chooses; then, where there are supernodes, of whole ones.

    held_out: the items that each claim, in words, is tried on. Raises as `choose` and `measure`.
    """
    found = []
    whole = [setting._replace(supernodes=supernodes) for setting in WHOLE if supernodes is not None]
    for tried, by in ((settings, ""), (whole, BY_SUPERNODES)):
        if tried:
            chosen = choose(model, trials, development, settings=tried, claim=next(iter(held_out)))
            found += [
                measure(model, f"{claim}{by}", trials, chosen, items) for claim, items in held_out.items()
            ]
    return found


def choose(
    model: ReplacementModel,
    trials: Trials,
    development: Sequence[Item],
    *,
    settings: Iterable[Setting] = GRID,
    claim: str = "",
) -> ChosenSetting:
    """The setting that does best on the development items.

    It is the one of most successes; of equals, the one with fewest edits; the first at which every trial
    succeeds ends the search. Items must be answered rightly already. Raises InputError when there is nothing
    to try.
    """
    best: tuple[float, float] | None = None
    for setting in settings:
        made = trials(setting, development)
        if not made:
            continue
        successes = succeeded(model, made)
        score = successes / len(made), -_edits(made)
        if best is None or score > best:
            best, chosen = score, ChosenSetting(setting, successes, len(made))
        if successes == len(made):
            break
    if best is None:
        raise _nothing(claim, "development", len(development))
    return chosen


def measure(
    model: ReplacementModel,
    claim: str,
    trials: Trials,
    chosen: ChosenSetting,
    held_out: Sequence[Item],
    *,
    seed: int = 0,
) -> Rate:
    """Try a chosen setting once on held-out items, and the null too.

    Items must be answered rightly already. Raises InputError when there is nothing to try.
    """
    made = trials(chosen.setting, held_out)
    if not made:
        raise _nothing(claim, "held-out", len(held_out))
    null, active = nulls(model, made, seed=seed)
    return Rate(
        claim=claim,
        n=len(made),
        successes=succeeded(model, made),
        null_successes=succeeded(model, null),
        edited=_edits(made),
        active=active,
        setting={**chosen.setting.rule._asdict(), "strength": chosen.setting.strength},
        development=(chosen.successes, chosen.n),
    )


def _nothing(claim: str, split: str, n: int) -> InputError:
    return InputError(
        f"There is nothing to try on the {split} prompts ({n} answered rightly): {claim}",
        next_step="give more prompts that this model answers rightly, with at least two values of the label",
    )


def nulls(model: ReplacementModel, trials: Sequence[Trial], *, seed: int = 0) -> tuple[list[Trial], float]:
    """The same trials with random features, and the mean number of feature activations of a prompt."""
    random = Random(seed)
    made = []
    active = 0
    every: Places = lambda item, n_tokens: range(n_tokens)  # noqa: E731
    for trial, dense in zip(trials, activity(model, [trial.item for trial in trials], every), strict=True):
        made.append(trial._replace(edits=random_like(model, trial.edits, dense, random)))
        active += int((dense[1:] > 0).sum())
    return made, active / max(1, len(trials))


def _edits(trials: Sequence[Trial]) -> float:
    return sum(len(trial.edits) for trial in trials) / max(1, len(trials))
