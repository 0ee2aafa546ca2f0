"""What an answer counts: circuits, prompts, or clusters of prompts that are nearly equal.

Circuits of one prompt are not independent observations. So that supports, p-values and AUROC do not take them
for several, the circuits of one prompt (or cluster) are one unit:

1. A unit has a feature, an effect or a supernode if one of its circuits has it.
2. The influence or weight in a unit is the mean over those of its circuits that have it.
3. A unit could have a feature if one of its circuits was made with the feature's transcoder set.

Questions are told only of the circuits that share their unit with another circuit. Where no circuit does,
they count circuits, which is the same and faster.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import strawberry

from api.request.batching import Info
from api.request.inputs import CountBy
from api.types.considered import Considered
from schema.circuit.near_equal import PromptText, clusters
from schema.questions.circuits import PROMPTS_OF_CIRCUITS, PromptOfCircuitsRow

CountByArgument = Annotated[
    CountBy,
    strawberry.argument(
        description="What the numbers of circuits count. Circuits of one prompt are not independent, "
        "so each prompt counts once unless you say otherwise. "
        "It has what one of its circuits has; influence and weight are means over these circuits."
    ),
]


@dataclass(frozen=True)
class Units:
    """The circuits of the database that share their unit with another circuit."""

    by: CountBy
    of: dict[str, str]
    """Circuit → its unit, which is named by one of its circuits."""
    sets: dict[str, str]
    """Circuit → id of its transcoder set, for the same circuits."""
    families: dict[str, str | None]
    """Circuit → family of its prompt, for the same circuits."""

    def of_circuits(self, circuits: Iterable[str] | None) -> dict[str, str] | None:
        """The parameter `$units` of a question that is about these circuits; None when each is a unit.

        circuits: None for all.
        """
        if circuits is None:
            return self.of or None
        chosen = {circuit: self.of[circuit] for circuit in circuits if circuit in self.of}
        return chosen if len(set(chosen.values())) < len(chosen) else None

    def of_effects(
        self,
        families: Iterable[str] | None = None,
        sets: Iterable[str] | None = None,
        circuits: Iterable[str] | None = None,
    ) -> dict[str, str] | None:
        """The parameter `$units` of a question about the effects of all circuits, or of some.

        families, sets: only circuits of these families and transcoder sets count; None: of all.
        circuits: only these circuits count; None: all.

        Only circuits of one transcoder set can have the same effect, so circuits that share their unit with
        circuits of other sets alone are left out.
        """
        chosen = None if families is None else set(families)
        made = None if sets is None else set(sets)
        named = None if circuits is None else set(circuits)
        found = {
            circuit: (unit, self.sets[circuit])
            for circuit, unit in self.of.items()
            if (chosen is None or self.families[circuit] in chosen)
            and (made is None or self.sets[circuit] in made)
            and (named is None or circuit in named)
        }
        sizes = Counter(found.values())
        return {circuit: unit for circuit, (unit, of) in found.items() if sizes[unit, of] > 1} or None

    @cached_property
    def of_all_effects(self) -> dict[str, str] | None:
        """`of_effects` of all circuits. It is one object, so that many features are asked about together."""
        return self.of_effects()

    def n_common(self, circuits: Iterable[str], others: Iterable[str]) -> int:
        """Number of units that have circuits among both."""
        ours, theirs = ({self.of.get(circuit, circuit) for circuit in each} for each in (circuits, others))
        return len(ours & theirs)

    def counted(
        self, considered: Considered, sets: Iterable[str] | None = None, inside: Iterable[str] = ()
    ) -> Considered:
        """`considered` with the number of its units.

        sets: considered are all circuits of these transcoder sets, whose ids were not asked for; None: the
        ids are known. inside: circuits whose units do not count.
        """
        inner = set(inside)
        gone = {self.of.get(circuit, circuit) for circuit in inner}
        if sets is None:
            found = {self.of.get(circuit, circuit) for circuit in considered.ids} - gone
            return replace(considered, counted_by=self.by, n_units=len(found))
        chosen = set(sets)
        shared = [c for c in self.of if self.sets[c] in chosen and c not in inner]
        n_units = len({self.of[circuit] for circuit in shared} - gone)
        n_units += considered.n_circuits - len(shared)
        return replace(considered, counted_by=self.by, n_units=n_units)


async def units_of(info: Info, by: CountBy) -> Units:
    """The units of all circuits. A cluster does not depend on what the question is about."""
    if by is CountBy.CIRCUITS:
        return Units(by, {}, {}, {})
    return await info.context.loaders.once(by, lambda: _read_units(info, by))


async def _read_units(info: Info, by: CountBy) -> Units:
    rows = await info.context.loaders.ask(PROMPTS_OF_CIRCUITS, all=by is CountBy.CLUSTERS)
    if by is CountBy.CLUSTERS:
        # Comparing ten thousand prompts takes seconds, in which other requests must go on.
        return await asyncio.to_thread(_clustered, rows)
    return _units(by, rows, [[place] for place in range(len(rows))])


def _clustered(rows: list[PromptOfCircuitsRow]) -> Units:
    return _units(CountBy.CLUSTERS, rows, clusters([PromptText(row.text, row.pair) for row in rows]))


def _units(by: CountBy, rows: list[PromptOfCircuitsRow], groups: list[list[int]]) -> Units:
    of: dict[str, str] = {}
    sets: dict[str, str] = {}
    families: dict[str, str | None] = {}
    for group in groups:
        circuits = [circuit for place in group for circuit in rows[place].circuits]
        if len(circuits) > 1:
            of.update(dict.fromkeys(circuits, min(circuits)))
            sets.update(
                pair
                for place in group
                for pair in zip(rows[place].circuits, rows[place].transcoders, strict=True)
            )
            for place in group:
                families.update(dict.fromkeys(rows[place].circuits, rows[place].family))
    return Units(by, of, sets, families)
