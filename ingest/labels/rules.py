"""Rules that predict where a feature fires from the tokens around; their predictions can be scored.

A rule is a list of clauses and holds where any clause holds. A clause is a list of conditions that must all
hold. A condition names a slot (this token, an earlier token, the next token, the position in the text) and
the values that the slot may have.

Rules are fitted to Youden's J = true positive rate − false positive rate. Balanced accuracy is (J + 1) / 2.
With w = 1 / n_positive on tokens where the feature fires and w = −1 / n_negative on all others, J is the sum
of w over the tokens on which the rule holds:

1. for one slot, the best set of values consists of the values whose summed w is above 0
2. a clause grows by the condition that raises its J most. Because the first condition may have to be wider,
   the sets that lose no firing are tried too, and the `BEAM` best clauses continue
3. J is additive over disjoint tokens, so the next clause is fitted to the tokens on which no clause holds
   yet
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.labels.contexts import Contexts

BEFORE = 8
"""Earlier tokens that have a slot."""
VALUES = 24
"""Most values of a condition; a longer list is not readable as a label."""
CONDITIONS = 3
"""Most conditions of a clause."""
CLAUSES = 4
"""Most clauses of a rule."""
BEAM = 4
"""Clauses that continue after each step."""
LEAST_GAIN = 0.01
"""Least increase of J; conditions and clauses that raise it less are left out."""
POSITION = "position"
"""The slot of the token's position in the text."""
NEXT = 1
"""Offset of the next token. Offsets of earlier tokens are negative."""
OFFSETS = (0, *range(-1, -BEFORE - 1, -1), NEXT)
"""Offsets of the tokens that have a slot."""
NOTHING = -1
"""The value of a slot outside the text."""


class Condition(NamedTuple):
    """One slot and its allowed values."""

    slot: int | str
    """Offset of a token, where 0 is the token that the feature fires on; or `position`."""
    values: tuple[int, ...]
    """Vocabulary ids, with `NOTHING` for no token; for `position`, numbers from 0. The values of most
    firings come first."""


Clause = tuple[Condition, ...]


@dataclass(frozen=True)
class FiringRule:
    """A prediction of where a feature fires."""

    clauses: tuple[Clause, ...]
    """The rule holds where any of these holds."""

    def holds(self, slots: "Slots") -> NDArray[np.bool_]:
        """(n_tokens,) bool: the tokens on which the rule holds."""
        found = np.zeros(slots.n_tokens, bool)
        for clause in self.clauses:
            here = np.ones(slots.n_tokens, bool)
            for condition in clause:
                here &= np.isin(slots.of[condition.slot], condition.values)
            found |= here
        return found


@dataclass(frozen=True, eq=False)
class Slots:
    """The values of all slots at every token."""

    of: dict[int | str, NDArray[np.int32]]
    """Slot → (n_tokens,) value at each token"""

    @classmethod
    def around(cls, contexts: Contexts, places: NDArray[np.int64] | None = None) -> "Slots":
        """The slots at some tokens of a corpus. places: (n,) numbers of the tokens; None for all tokens."""
        ids = contexts.ids
        if places is None:
            places = np.arange(len(ids))
        if not len(ids):
            return cls(dict.fromkeys((*OFFSETS, POSITION), ids))
        number = contexts.number(places)
        starts, stops = contexts.starts[number], contexts.starts[number + 1]
        found: dict[int | str, NDArray[np.int32]] = {}
        for offset in OFFSETS:
            there = places + offset
            same = (there >= starts) & (there < stops)
            found[offset] = np.where(same, ids[np.where(same, there, 0)], np.int32(NOTHING))
        found[POSITION] = (places - starts).astype(np.int32)
        return cls(found)

    @property
    def n_tokens(self) -> int:
        """Number of tokens."""
        return len(self.of[0])

    def at(self, places: NDArray[np.int64]) -> "Slots":
        """The slots at some tokens. places: (n,) numbers of the tokens."""
        return Slots({slot: values[places] for slot, values in self.of.items()})


def balanced_accuracy(predicted: NDArray[np.bool_], fires: NDArray[np.bool_]) -> float | None:
    """Mean of the true positive rate and the true negative rate, 0 to 1; None when either class is absent."""
    # The label search calls this many thousand times; `sklearn.metrics.balanced_accuracy_score` gives equal
    # values (a test compares them) but takes about a hundred times as long.
    n_positive = int(fires.sum())
    n_negative = len(fires) - n_positive
    if not n_positive or not n_negative:
        return None
    return (int((predicted & fires).sum()) / n_positive + int((~predicted & ~fires).sum()) / n_negative) / 2


def fit(slots: Slots, fires: NDArray[np.bool_]) -> FiringRule:
    """Fit the rule of a feature. Its clauses are in the order in which they were found.

    fires: (n_tokens,) whether the feature fires. The rule has no clauses when no clause reaches `LEAST_GAIN`.
    """
    n_positive = int(fires.sum())
    if not n_positive or n_positive == len(fires):
        return FiringRule(())
    weight = np.where(fires, 1 / n_positive, -1 / (len(fires) - n_positive))
    left = np.arange(len(fires))
    clauses: list[Clause] = []
    while len(clauses) < CLAUSES:
        clause, gain = _best_clause(slots, weight, left)
        if gain < LEAST_GAIN:
            break
        held = FiringRule((clause,)).holds(slots.at(left))
        clauses.append(_commonest_first(clause, slots, left[held & fires[left]]))
        left = left[~held]
    return FiringRule(tuple(clauses))


def _commonest_first(clause: Clause, slots: Slots, firings: NDArray[np.int64]) -> Clause:
    """Order the values of conditions by frequency. firings: tokens where clause and feature agree."""
    ordered = []
    for slot, values in clause:
        count = np.bincount(slots.of[slot][firings] + 1, minlength=max(values) + 2)
        ordered.append(Condition(slot, tuple(sorted(values, key=lambda value: (-count[value + 1], value)))))
    return tuple(ordered)


def _best_clause(slots: Slots, weight: NDArray[np.float64], left: NDArray[np.int64]) -> tuple[Clause, float]:
    beam: list[tuple[float, Clause, NDArray[np.int64]]] = [(0.0, (), left)]
    best: tuple[float, Clause] = (0.0, ())
    for depth in range(CONDITIONS):
        grown: list[tuple[float, float, Clause, NDArray[np.int64]]] = []
        for _, clause, places in beam:
            used = {condition.slot for condition in clause}
            for condition, gain, hope in _conditions(slots, weight, places, wide=depth < CONDITIONS - 1):
                if condition.slot in used:
                    continue
                longer = (*clause, condition)
                if gain > best[0] + (LEAST_GAIN if clause else 0):
                    best = (gain, longer)
                grown.append((gain, hope, longer, places))
        # Half of the beam is chosen by a clause's present J, half by the J that further conditions may reach.
        by_gain = sorted(grown, key=lambda each: -each[0])[:BEAM]
        by_hope = sorted(grown, key=lambda each: -each[1])[:BEAM]
        beam = []
        for gain, _, clause, places in {id(each): each for each in (*by_gain, *by_hope)}.values():
            last = clause[-1]
            beam.append((gain, clause, places[np.isin(slots.of[last.slot][places], last.values)]))
    return best[1], best[0]


def _conditions(
    slots: Slots, weight: NDArray[np.float64], places: NDArray[np.int64], *, wide: bool
) -> Iterator[tuple[Condition, float, float]]:
    """Yield the best condition of each slot with its J, and its J with perfect further conditions.

    Only the tokens at `places` count.

    wide: also yield the condition that loses no firing.
    """
    here = weight[places]
    positive = np.maximum(here, 0)
    for slot, values in slots.of.items():
        shifted = values[places] + 1  # NOTHING becomes 0
        total = np.bincount(shifted, here)
        gained = np.bincount(shifted, positive)
        tried = set()
        for worth, wanted in ((total, total > 0), (gained, gained > 0)):
            chosen = np.flatnonzero(wanted)
            if len(chosen) > VALUES:
                chosen = np.sort(chosen[np.argsort(-worth[chosen], kind="stable")[:VALUES]])
            condition = Condition(slot, tuple((chosen - 1).tolist()))
            if len(chosen) and condition not in tried:
                tried.add(condition)
                lost = float(total[chosen].sum())
                hope = float(gained[chosen].sum()) - 0.5 * (float(gained[chosen].sum()) - lost)
                yield condition, lost, hope
            if not wide:
                break
