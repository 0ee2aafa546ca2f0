"""The columns of a scan: what is read of one circuit and of many pairs, merged and compared. Pure.

Two groups of effects (n_a, mean_a, m2_a) and (n_b, mean_b, m2_b) of one pair are merged with

    n = n_a + n_b, mean = (n_a mean_a + n_b mean_b) / n,
    m2 = m2_a + m2_b + n_a (mean_a - mean)^2 + n_b (mean_b - mean)^2

(Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance"). Numbers may differ by half of the
tolerance of `schema.upkeep.recompute`, so that rounding never hides anything.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from schema.circuit.influence import MOST_LAYERS, N_FLOWS, SOURCES
from schema.circuit.records import FLOAT32_MAX
from schema.upkeep.recompute import rounding

Array = np.ndarray[Any, Any]

FEATURE, ERROR, TOKEN, LOGIT, OTHER, UNKNOWN = range(6)
"""Kinds of nodes, as `schema.upkeep.scan` numbers them."""


class StoredCircuit(NamedTuple):
    """One row of `_CIRCUITS`."""

    id: str
    whole: bool
    """Whether all its nodes have ids that begin with its own, and it has one model and at most one family."""
    n_nodes: int
    n_edges: int
    n_layers: int | None
    transcoders: str | None
    """Id of its set."""
    family: str | None
    derived: list[str] | None
    layer_features: list[float] | None
    layer_errors: list[float] | None
    stage_flows: list[float] | None
    nodes: list[list[Any]]
    """Internal id, kind, layer, position, influence, activation, the internal ids of the features, index and
    component."""
    sources: list[int]
    """Internal id of the source of each edge."""
    targets: list[int]
    weights: list[float]
    shares: list[float]
    """Share of each edge; NaN when it is absent."""
    uses: list[list[Any]]
    """Internal id of the feature, influence, activation, positions."""


class Moments(NamedTuple):
    """Columns of the effects of many pairs, ascending by key."""

    key: Array
    n: Array
    positive: Array
    negative: Array
    mean: Array
    m2: Array


class Sums(NamedTuple):
    """Columns of FOUND_IN, ascending by key."""

    key: Array
    n: Array
    measured: Array
    influence: Array


class UnreadableError(Exception):
    """Something is not as the scan expects it."""


UNREADABLE = (UnreadableError, TypeError, ValueError, OverflowError)
"""What is raised when a property has an unexpected type or value."""


class Parts(NamedTuple):
    """The columns of one circuit. Nodes and edges count from 0; features have their numbers."""

    family: int
    """Number of its family."""
    kind: Array
    layer: Array
    position: Array
    influence: Array
    """NaN where it is absent."""
    activation: Array
    feature: Array
    """-1 for other nodes."""
    source: Array
    """Place of the source node of each edge."""
    target: Array
    weight: Array
    share: Array
    used: Array
    """The features of USES, each once."""
    used_influence: Array
    used_activation: Array
    used_positions: list[Any]


class WaitingEffects:
    """Effects that wait until they are merged."""

    def __init__(self) -> None:
        self.n = 0
        self._keys: list[Array] = []
        self._weights: list[Array] = []

    def add(self, parts: Parts, low: int, high: int, n: int, n_families: int) -> None:
        source, target = parts.feature[parts.source], parts.feature[parts.target]
        chosen = (low <= source) & (source < high) & (target >= 0)
        if not chosen.any():
            return
        key = ((source[chosen] - low) * n + target[chosen]) * n_families + parts.family
        key, place = np.unique(key, return_inverse=True)
        self._keys.append(key)
        self._weights.append(np.bincount(place, parts.weight[chosen], len(key)))
        self.n += len(key)

    def take(self) -> Moments:
        """One row for each effect."""
        if not self._keys:
            return NO_MOMENTS
        weight = np.concatenate(self._weights)
        found = Moments(
            key=np.concatenate(self._keys),
            n=np.ones(len(weight), dtype=np.int64),
            positive=(weight > 0).astype(np.int64),
            negative=(weight < 0).astype(np.int64),
            mean=weight,
            m2=np.zeros(len(weight)),
        )
        self.n, self._keys, self._weights = 0, [], []
        return found


class WaitingUses:
    """What USES adds to the sums of features and to FOUND_IN."""

    def __init__(self, n_features: int) -> None:
        self.n = 0
        self._sums = [np.zeros(n_features, dtype=np.int64), np.zeros(n_features, dtype=np.int64)]
        self._influence = np.zeros(n_features)
        self._parts: list[Sums] = []

    def add(self, parts: Parts, n_families: int) -> None:
        known = ~np.isnan(parts.used_influence)
        influence = np.where(known, parts.used_influence, 0.0)
        # A circuit has each feature once.
        self._sums[0][parts.used] += 1
        self._sums[1][parts.used] += known
        self._influence[parts.used] += influence
        if parts.family != n_families - 1:
            ones = np.ones(len(influence), dtype=np.int64)
            self._parts.append(
                Sums(parts.used * n_families + parts.family, ones, known.astype(np.int64), influence)
            )
            self.n += len(influence)

    def of_features(self) -> Sums:
        n, measured = self._sums
        return Sums(np.arange(len(n)), n, measured, self._influence)

    def take(self) -> Sums:
        found = Sums(*map(np.concatenate, zip(NO_SUMS, *self._parts, strict=True)))
        self.n, self._parts = 0, []
        return found


NO_MOMENTS = Moments(*(np.zeros(0, dtype=each) for each in (*[np.int64] * 4, float, float)))
NO_SUMS = Sums(*(np.zeros(0, dtype=each) for each in (*[np.int64] * 3, float)))


def _starts(key: Array) -> Array:
    """The places in an ascending column at which a new key begins."""
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] != key[:-1]
    return np.flatnonzero(new)


def merged_moments(*several: Moments) -> Moments:
    key, n, positive, negative, mean, m2 = map(np.concatenate, zip(*several, strict=True))
    if not len(key):
        return NO_MOMENTS
    order = np.argsort(key, kind="stable")
    key, n, positive, negative, mean, m2 = (each[order] for each in (key, n, positive, negative, mean, m2))
    starts = _starts(key)
    with np.errstate(all="ignore"):
        whole = np.add.reduceat(n, starts)
        of_all = np.add.reduceat(n * mean, starts) / whole
        apart = mean - np.repeat(of_all, np.diff(np.append(starts, len(key))))
        return Moments(
            key[starts],
            whole,
            np.add.reduceat(positive, starts),
            np.add.reduceat(negative, starts),
            of_all,
            np.add.reduceat(m2 + n * apart * apart, starts),
        )


def of_pairs(moments: Moments, n_families: int) -> Moments:
    """The moments of DRIVES: those of all families together."""
    return merged_moments(moments._replace(key=moments.key // n_families))


def merged_sums(*several: Sums) -> Sums:
    columns = list(map(np.concatenate, zip(*several, strict=True)))
    if not len(columns[0]):
        return NO_SUMS
    order = np.argsort(columns[0], kind="stable")
    columns = [each[order] for each in columns]
    starts = _starts(columns[0])
    return Sums(columns[0][starts], *(np.add.reduceat(each, starts) for each in columns[1:]))


def near(have: Array, want: Array, scale: Array | float) -> Array:
    """Whether numbers are equal but for rounding; nothing is near infinity or NaN."""
    scale = np.where(np.isfinite(scale), scale, 0.0)
    with np.errstate(invalid="ignore"):
        close = np.abs(have - want) <= 0.5 * rounding(np.abs(want), scale)
    return close & np.isfinite(want)


def different_sums(stored: Sums, wanted: Sums) -> Array:
    """The places at which sums of the same keys differ."""
    same = (stored.n == wanted.n) & (stored.measured == wanted.measured)
    return np.flatnonzero(~(same & near(stored.influence, wanted.influence, 0.0)))


def whole_numbers(values: Sequence[Any]) -> Array:
    if not set(map(type, values)) <= {int}:
        raise UnreadableError
    return np.array(values, dtype=np.int64)


def floats(values: Sequence[Any]) -> Array:
    """NaN for an absent value."""
    if not set(map(type, values)) <= {int, float, type(None)}:
        raise UnreadableError
    return np.array(values, dtype=np.float64)


def optional(values: Sequence[Any]) -> Array:
    """NaN for an absent value. A stored NaN is unreadable."""
    found = floats(values)
    if any(each != each for each in values):
        raise UnreadableError
    return found


def bounded(values: Array) -> bool:
    # NaN is not within the bound either.
    return bool((np.abs(values) <= FLOAT32_MAX).all())


def same_uses(parts: Parts) -> bool:
    at = np.flatnonzero(parts.kind == FEATURE)
    order = at[np.lexsort((parts.position[at], parts.feature[at]))]
    feature = parts.feature[order]
    starts = _starts(feature)
    if len(starts) != len(parts.used):
        return False
    if not len(starts):
        return True
    of_used = np.argsort(parts.used)
    if (parts.used[of_used] != feature[starts]).any():
        return False
    known = ~np.isnan(parts.influence[order])
    influence = np.add.reduceat(np.where(known, parts.influence[order], 0.0), starts)
    influence = np.where(np.add.reduceat(known, starts) > 0, influence, np.nan)
    activation = np.fmax.reduceat(parts.activation[order], starts)
    positions = np.split(parts.position[order], starts[1:])
    for have, want in ((parts.used_influence, influence), (parts.used_activation, activation)):
        stored = have[of_used]
        absent = np.isnan(want)
        if (np.isnan(stored) != absent).any() or not near(stored[~absent], want[~absent], 0.0).all():
            return False
    return all(
        parts.used_positions[place] == want.tolist() for place, want in zip(of_used, positions, strict=True)
    )


def same_layers(circuit: StoredCircuit, parts: Parts) -> bool:
    known = ~np.isnan(parts.influence)
    of_kinds = [parts.kind == kind for kind in (FEATURE, ERROR)]
    complete = all(not mine.any() or (mine & known).any() for mine in of_kinds)
    stored = (circuit.layer_features, circuit.layer_errors)
    if circuit.layer_features is None and circuit.layer_errors is None:
        return not complete or not any((mine & known & (parts.influence != 0)).any() for mine in of_kinds)
    if stored[0] is None or stored[1] is None or len(stored[0]) != len(stored[1]) or not complete:
        return False
    for mine, values in zip(of_kinds, stored, strict=True):
        chosen = mine & known
        have = floats(values or [])
        if (parts.layer[chosen] < 0).any() or (parts.layer[chosen] >= len(have)).any():
            return False
        want = np.bincount(parts.layer[chosen], parts.influence[chosen], len(have))
        if ((have != 0) != (want != 0)).any() or not near(have, want, 0.0).all():
            return False
    return True


def same_flows(circuit: StoredCircuit, parts: Parts) -> bool:
    n_layers, kind, layer = circuit.n_layers, parts.kind, parts.layer
    carriers = (kind == FEATURE) | (kind == LOGIT)
    of_features = kind == FEATURE
    if (
        type(n_layers) is not int
        or not 0 < n_layers < MOST_LAYERS
        or np.isnan(parts.influence[carriers]).any()
        or np.isnan(parts.share).any()
        or ((layer[of_features] < 0) | (layer[of_features] >= n_layers)).any()
    ):
        return False
    third = np.where(of_features, 3 * layer // n_layers, 0)
    stage = np.where(kind == LOGIT, 3, third)
    origin = np.select([kind == TOKEN, kind == ERROR, ~of_features], [0, 4, 5], 1 + third)
    counted = carriers[parts.target]
    source, target, share = parts.source[counted], parts.target[counted], parts.share[counted]
    want = np.bincount(
        stage[target] * len(SOURCES) + origin[source], parts.influence[target] * share, N_FLOWS
    )
    if "share" not in (circuit.derived or []):
        left = 1.0 - np.bincount(target, share, len(kind))
        want += np.bincount(stage[carriers] * len(SOURCES) + 6, (parts.influence * left)[carriers], N_FLOWS)
    have = floats(circuit.stage_flows or [])
    if len(have) != len(want):
        return False
    # NaN is large.
    large = (~(np.abs(have) <= 1e-9), ~(np.abs(want) <= 1e-9))
    return bool((large[0] == large[1]).all() and near(have, want, 0.0)[large[0]].all())
