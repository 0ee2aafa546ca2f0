"""Units of circuits, found slowly: what answers count (`api.types.counting`)."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TypeVar

from schema.circuit.near_equal import COMMON, PromptText, words_of
from schema.circuit.records import Circuit
from tests.support.circuits import effects, uses

Name = TypeVar("Name")


def unit_of(circuits: Sequence[Circuit], by: str) -> dict[str, str]:
    """Circuit id → its unit. circuits: all of the database; by: CIRCUITS, PROMPTS or CLUSTERS."""
    if by == "CIRCUITS":
        return {circuit.id: circuit.id for circuit in circuits}
    prompts = {circuit.prompt.id: circuit.prompt for circuit in circuits}
    unit = {name: name for name in prompts}
    if by == "CLUSTERS":
        names = list(prompts)
        texts = [PromptText(prompts[name].text, prompts[name].pair) for name in names]
        unit = {names[place]: names[found[0]] for found in slow_clusters(texts) for place in found}
    return {circuit.id: unit[circuit.prompt.id] for circuit in circuits}


def in_units(circuits: Sequence[Circuit], unit: dict[str, str]) -> list[list[Circuit]]:
    """The circuits, unit by unit."""
    found = defaultdict(list)
    for circuit in circuits:
        found[unit[circuit.id]].append(circuit)
    return list(found.values())


def mean_of(values: Callable[[Circuit], dict[Name, float]]) -> Callable[[list[Circuit]], dict[Name, float]]:
    """Makes of the values of a circuit those of a unit: the mean over its circuits that have the value."""

    def of_unit(circuits: list[Circuit]) -> dict[Name, float]:
        found: defaultdict[Name, list[float]] = defaultdict(list)
        for circuit in circuits:
            for name, value in values(circuit).items():
                found[name].append(value)
        return {name: sum(each) / len(each) for name, each in found.items()}

    return of_unit


def slow_clusters(prompts: Sequence[PromptText]) -> list[list[int]]:
    """What `clusters` finds, from the edit distance of every pair of prompts."""
    words = [words_of(prompt.text) for prompt in prompts]
    cluster = {place: {place} for place in range(len(prompts))}
    for a, b in combinations(range(len(prompts)), 2):
        pair = prompts[a].pair is not None and prompts[a].pair == prompts[b].pair
        one, other = words[a], words[b]
        common = max(len(one), len(other)) - 1
        if pair or one == other or (common >= COMMON and distance(one, other) == 1):
            joined = cluster[a] | cluster[b]
            cluster.update(dict.fromkeys(joined, joined))
    return [sorted(found) for place, found in cluster.items() if place == min(found)]


def distance(one: Sequence[str], other: Sequence[str]) -> int:
    """The least number of words to replace, add or leave out (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, 1):
        above, row = row, [i]
        for j, beside in enumerate(other, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (word != beside)))
    return row[-1]


def effects_of_units(units: Sequence[list[Circuit]]) -> dict[tuple[str, str], list[float]]:
    """Pair of features → the weight of the effect in each unit that has it."""
    found = defaultdict(list)
    for unit in units:
        for pair, weight in mean_of(effects)(unit).items():
            found[pair].append(weight)
    return found


def having(units: Sequence[list[Circuit]]) -> dict[tuple[str, str], int]:
    """Pair of features → number of units in which a circuit has both."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for unit in units:
        pairs = set()
        for circuit in unit:
            mine = [feature for _, feature in uses([circuit])]
            pairs |= {(a, b) for a in mine for b in mine}
        for pair in pairs:
            found[pair] += 1
    return found
