"""Causal tests with a success rate: concepts are swapped in the real model, and random features as the null.

A trial replaces one concept by another in one prompt. The members of the old concept are set to 0, and the
members of the new concept to their mean activation times a strength, each at its own place. Attention, norms
and MLPs of the model then react freely. The trial succeeds when the next word is the one that the new concept
calls for.

The null makes the same number of edits at the same layers and positions to random features that write vectors
of the same length (`ingest.engine.intervention.matched`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from random import Random
from typing import Any, NamedTuple

from ingest.engine.intervention.intervene import Case, Edit
from ingest.engine.intervention.matched import MatchedFeatures
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import (
    Concept,
    MembershipRule,
    Places,
    Statistics,
    activity,
    every_token,
    text_tokens,
)
from ingest.studies.tools.items import Item, next_words
from ingest.studies.tools.supernodes import SupernodeTensors
from schema.errors import InputError


class Trial(NamedTuple):
    """One prompt with its edits and the wanted next words."""

    item: Item
    edits: Sequence[Edit]
    wanted: frozenset[int]
    """Vocabulary ids of the next words that count as a success."""


class NullTrials(NamedTuple):
    """The null of some trials."""

    trials: list[Trial]
    """One trial with random features for each trial."""
    n_active: float
    """Mean number of active feature activations in one prompt, over all positions, without edits."""


class Setting(NamedTuple):
    """The choices that are made on the development split."""

    rule: MembershipRule
    strength: float
    """Factor on the mean activation of a planted feature."""
    supernodes: SupernodeTensors | None = None
    """The supernodes that the rule chooses from; None means that it chooses single features."""

    def concepts(self, found: Statistics) -> dict[str, Concept]:
        """The concept of each value under this setting."""
        return found.concepts(self.rule, self.supernodes)


class ChosenSetting(NamedTuple):
    """A setting and its success on the development split."""

    setting: Setting
    successes: int
    """Trials that succeeded."""
    n: int
    """All trials."""


@dataclass(frozen=True)
class Rate:
    """How often an intervention had the claimed effect on held-out prompts."""

    claim: str
    """What was edited and what should follow, in words."""
    n: int
    """Number of trials. The model answers each prompt correctly without edits."""
    successes: int
    """Trials that succeeded."""
    null_successes: int
    """Trials that succeeded when random features were edited instead."""
    edited: float
    """Mean number of edited feature activations in one prompt."""
    active: float
    """Mean number of active feature activations in one prompt, over all positions."""
    setting: dict[str, float]
    """Ratio, share and strength, as chosen on the development split."""
    development: tuple[int, int]
    """Successes and number of trials on the development split, with this setting."""

    @property
    def rate(self) -> float:
        """Share of trials that succeeded, 0 to 1; NaN without trials."""
        return self.successes / self.n if self.n else float("nan")

    @property
    def null_rate(self) -> float:
        """Share of trials that succeeded with random features; NaN without trials."""
        return self.null_successes / self.n if self.n else float("nan")

    @property
    def rule(self) -> MembershipRule:
        """The rule of the setting, which says which features a concept has."""
        return MembershipRule(self.setting["ratio"], self.setting["share"])

    def row(self) -> dict[str, Any]:
        """The fields and the rates as a row of a table or a JSON object."""
        return {**asdict(self), "rate": self.rate, "null_rate": self.null_rate}


BY_SUPERNODES = " (whole supernodes)"
"""The end of a claim about edits of whole supernodes."""

WIDE = tuple(
    Setting(MembershipRule(ratio, share), strength)
    for ratio, share, strength in product((3.0, 2.0, 1.5), (0.5, 0.3, 0.2, 0.1), (1.0, 2.0, 3.0))
)
"""Settings for concepts with few values, or without features that fire on most of their prompts."""

GRID = tuple(
    Setting(MembershipRule(ratio, share), strength)
    for ratio, share, strength in product((10.0, 5.0, 3.0, 2.0), (0.8, 0.5, 0.3), (1.0, 1.5, 2.0))
)
"""Settings to try by default; earlier settings edit fewer features."""

WHOLE = tuple(
    Setting(MembershipRule(ratio, share), strength)
    for ratio, share, strength in product((10.0, 3.0, 2.0, 1.5), (0.8, 0.3, 0.1), (1.0, 2.0, 3.0))
)
"""Settings for whole supernodes, which differ less between values than single features do."""

TRIES = 200
"""Random draws before the features that are left are listed."""

Trials = Callable[[Setting, Sequence[Item]], list[Trial]]
"""Makes the trials of items under a setting. Items that no trial fits are left out."""


def swap(
    model: ReplacementModel,
    item: Item,
    old: Concept | None,
    new: Concept | None,
    places: Places,
    strength: float,
    only: frozenset[int] | None = None,
) -> list[Edit]:
    """The edits that replace one concept by another in a prompt.

    old: None to ablate nothing. new: None to plant nothing. only: numbers of the places to edit; None means
    all. Two places of a prompt may be one position; a feature that is planted at one of them is planted.
    """
    encoded = model.encode(item.prompt)
    positions = places(item, len(encoded.ids))
    off = {member[:3]: 0.0 for member in (old.members if old else ())}
    on = {member[:3]: member.mean * strength for member in (new.members if new else ())}
    found: dict[tuple[int, int, int], float] = {}
    for (place, layer, index), value in sorted((off | on).items()):
        if (only is None or place in only) and positions[place] >= encoded.n_left_out:
            at = layer, positions[place], index
            found[at] = found.get(at) or value
    return [Edit(*at, value) for at, value in found.items()]


def succeeded(model: ReplacementModel, trials: Sequence[Trial]) -> int:
    """Number of trials that end with a wanted word."""
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
    """Choose a setting and measure the rate of each claim, for single features and then for whole supernodes.

    held_out: claim, in words → the items that it is tried on. supernodes: None skips whole supernodes. Raises
    InputError when there is nothing to try.
    """
    if not held_out:
        raise _nothing("no claim has a prompt", "held-out", 0)
    found = []
    whole = [setting._replace(supernodes=supernodes) for setting in WHOLE if supernodes is not None]
    for tried, by in ((settings, ""), (whole, BY_SUPERNODES)):
        if tried:
            chosen = choose(model, trials, development, settings=tried, claim=next(iter(held_out)))
            found += [
                measure(model, f"{claim}{by}", trials, chosen, items) for claim, items in held_out.items()
            ]
    return found


def by_method(rates_of_claims: Sequence[Sequence[Rate]]) -> list[Rate]:
    """Order the results of several calls of `rates`: all single features first, then all whole supernodes."""
    return [rate for rates_of_method in zip(*rates_of_claims, strict=True) for rate in rates_of_method]


def choose(
    model: ReplacementModel,
    trials: Trials,
    development: Sequence[Item],
    *,
    settings: Iterable[Setting] = GRID,
    claim: str = "",
) -> ChosenSetting:
    """The setting with the highest success rate on the development items.

    Among equal rates, the setting with the fewest edits is chosen. The search ends at the first setting at
    which every trial succeeds. The model must answer the items correctly. Raises InputError when there is
    nothing to try.
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
    """Measure a chosen setting and its null once on held-out items.

    The model must answer the items correctly. Raises InputError when there is nothing to try.
    """
    made = trials(chosen.setting, held_out)
    if not made:
        raise _nothing(claim, "held-out", len(held_out))
    null = null_trials(model, made, seed=seed)
    return Rate(
        claim=claim,
        n=len(made),
        successes=succeeded(model, made),
        null_successes=succeeded(model, null.trials),
        edited=_edits(made),
        active=null.n_active,
        setting={**chosen.setting.rule._asdict(), "strength": chosen.setting.strength},
        development=(chosen.successes, chosen.n),
    )


def _nothing(claim: str, split: str, n: int) -> InputError:
    return InputError(
        f"There is nothing to try on the {split} prompts ({n} answered correctly): {claim}",
        next_step="give more prompts that this model answers correctly, with two or more values of the label",
    )


def null_trials(model: ReplacementModel, trials: Sequence[Trial], *, seed: int = 0) -> NullTrials:
    """Make the null of trials: the same prompts and wanted words, with edits of random features."""
    random, matched, counted = Random(seed), MatchedFeatures(model), text_tokens(model)
    made = []
    active = 0
    for trial, dense in zip(
        trials, activity(model, [trial.item for trial in trials], every_token), strict=True
    ):
        made.append(trial._replace(edits=matched.draw(trial.edits, dense, random)))
        active += int((dense[counted(trial.item, len(dense))] > 0).sum())
    return NullTrials(made, active / max(1, len(trials)))


def _edits(trials: Sequence[Trial]) -> float:
    return sum(len(trial.edits) for trial in trials) / max(1, len(trials))
