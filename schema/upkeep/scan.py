"""Finds in bulk where stored aggregates may differ from the stored nodes and edges.

`atlas check` compares only what this scan suspects, with the Cypher of `schema.upkeep.recompute`. The scan
may suspect too much, and never too little: whatever it cannot read or explain is suspected.

1. features  number the features, in the order of their ids
2. circuits  read the nodes, edges and USES of a few circuits at a time, as lists. Compare what belongs to one
             circuit, and add its effects to the moments of every pair of features and family. Two groups of
             effects (n_a, mean_a, m2_a) and (n_b, mean_b, m2_b) are merged with

                 n = n_a + n_b, mean = (n_a mean_a + n_b mean_b) / n,
                 m2 = m2_a + m2_b + n_a (mean_a - mean)^2 + n_b (mean_b - mean)^2

             (Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance")
3. pairs     read the stored DRIVES, DRIVES_IN and FOUND_IN of a few hundred features at a time, and compare

When there are more pairs than fit in memory, steps 2 and 3 are repeated for one range of features after the
other. Numbers may differ by half of the tolerance of `schema.upkeep.recompute`, so that rounding never hides
anything.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from schema.circuit.influence import N_FLOWS, SOURCES
from schema.circuit.records import FLOAT32_MAX
from schema.database import Database
from schema.loading.effects import HALF, LAYER_STEP
from schema.upkeep.recompute import (
    DEGREE,
    DRIVES,
    DRIVES_IN,
    FEATURE_SUMS,
    FOUND_IN,
    LAYER_SUMS,
    STAGE_FLOWS,
    USES,
    Aggregate,
)

Array = np.ndarray[Any, Any]
Step = Callable[[str, float, float | None], object]
"""Called with what is done, the number of steps that are done, and their total; None while it is unknown."""

EDGES = 60_000
"""Number of edges that one query reads, if no circuit has more."""
CIRCUITS = 100
"""Most circuits that one query reads."""
FEATURES = 5000
"""Features that one query numbers."""
SOURCES_AT_ONCE = 500
"""Features whose pairs one query reads."""
PAIRS = 20_000_000
"""Pairs of features and families in memory at a time: about 60 bytes each."""
WAITING = 2_000_000
"""Effects that wait until they are merged."""

FEATURE, ERROR, TOKEN, LOGIT, OTHER, UNKNOWN = range(6)
"""Kinds of nodes, as `_CIRCUITS` numbers them."""


@dataclass
class Suspects:
    """Where something may be wrong."""

    circuits: set[str] = field(default_factory=set)
    """Ids of circuits that may be broken."""
    keys: dict[str, set[str]] = field(default_factory=dict)
    """Name of an aggregate → the keys to compare: ids of circuits or features."""

    def add(self, aggregate: Aggregate, keys: Sequence[str]) -> None:
        self.keys.setdefault(aggregate.name, set()).update(keys)

    def of(self, aggregate: Aggregate) -> list[str]:
        """The keys to compare, ascending."""
        return sorted(self.keys.get(aggregate.name, ()))


SCANNED = (USES, FEATURE_SUMS, FOUND_IN, DRIVES, DRIVES_IN, DEGREE, LAYER_SUMS, STAGE_FLOWS)
"""The aggregates that the scan knows."""


def scan(database: Database, step: Step, *, pairs: int = PAIRS) -> Suspects:
    """Read the whole database. The constraints must exist, so that no two nodes have the same key.

    pairs: how many pairs of features and families are in memory at a time.
    """
    return _Scan(database, step, pairs).suspects


class _Circuit(NamedTuple):
    """One row of `_CIRCUITS`."""

    id: str
    whole: bool
    """Whether all its nodes have ids that begin with its own, and it has one model and at most one family."""
    n_nodes: int
    n_edges: int
    n_layers: int | None
    family: str | None
    derived: list[str] | None
    layer_features: list[float] | None
    layer_errors: list[float] | None
    stage_flows: list[float] | None
    nodes: list[list[Any]]
    """Internal id, kind, layer, position, influence, activation, and the internal ids of the features."""
    sources: list[int]
    """Internal id of the source of each edge."""
    targets: list[int]
    weights: list[float]
    shares: list[float]
    """Share of each edge; NaN when it is absent."""
    uses: list[list[Any]]
    """Internal id of the feature, influence, activation, positions."""


class _Moments(NamedTuple):
    """Columns of the effects of many pairs, ascending by key."""

    key: Array
    n: Array
    positive: Array
    negative: Array
    mean: Array
    m2: Array


class _Sums(NamedTuple):
    """Columns of FOUND_IN, ascending by key."""

    key: Array
    n: Array
    measured: Array
    influence: Array


class _Scan:
    def __init__(self, database: Database, step: Step, pairs: int) -> None:
        self._database = database
        self._step = step
        self.suspects = Suspects()
        self._read_features()
        rows = database.read("MATCH (y:Family) RETURN y.name AS name ORDER BY name")
        self._families: dict[str | None, int] = {row["name"]: number for number, row in enumerate(rows)}
        self._families[None] = len(rows)
        """Family → its number; the last number is for circuits without a family."""
        (row,) = database.read(_COUNTS)
        n = len(self._ids)
        ranges = max(1, -(-row["n"] // pairs))
        # The number of a pair and its family must fit in 63 bits.
        ranges = max(ranges, -(-(n * n * len(self._families)) // 2**62))
        size = max(1, -(-n // ranges))
        self._out, self._in = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self._foreign: set[int] = set()
        """Internal ids of nodes to which an edge of another circuit goes."""
        circuits = self._chunks()
        for low in range(0, max(n, 1), size):
            self._range(low, min(n, low + size), circuits, first=low == 0)
        self._suspect_features(DEGREE, np.flatnonzero(self._out + self._in != self._degree))
        if self._foreign:
            for row in database.read(_HOLDERS, {"ids": sorted(self._foreign)}):
                self._suspect_circuit(row["id"])

    # -- 1. features

    def _read_features(self) -> None:
        self._ids: list[str] = []
        parts: list[dict[str, Any]] = []
        after = ""
        while True:
            (row,) = self._database.read(_FEATURES, {"after": after, "limit": FEATURES})
            if not row["ids"]:
                break
            self._ids += row["ids"]
            parts.append(row)
            after = row["ids"][-1]
            self._step("features numbered", len(self._ids), None)

        def column(name: str, kind: type) -> Array:
            values = [value for part in parts for value in part[name]]
            found = np.array(values, dtype=None if values else kind)
            if found.dtype.kind in ("i", "f") and (kind is float or found.dtype.kind == "i"):
                return found.astype(kind)
            # Something else is stored somewhere: -1 and NaN are never right.
            good = [isinstance(each, (int, float) if kind is float else int) for each in values]
            bad: Any = np.nan if kind is float else -1
            return np.array([v if ok else bad for v, ok in zip(values, good, strict=True)], dtype=kind)

        self._layer, self._index = column("layers", int), column("indices", int)
        self._half = (self._index % HALF + self._layer % HALF * LAYER_STEP) % HALF
        self._stored_sums = _Sums(
            np.arange(len(self._ids)),
            column("n_circuits", int),
            column("n_measured", int),
            column("influences", float),
        )
        self._degree = column("degrees", int)
        numbers = column("numbers", int)
        self._order = np.argsort(numbers)
        self._sorted = numbers[self._order]

    def _numbers(self, internal: Array) -> Array:
        """The numbers of features by internal id; -1 for what is no feature with an id."""
        if not len(self._sorted):
            return np.full(len(internal), -1)
        place = np.minimum(np.searchsorted(self._sorted, internal), len(self._sorted) - 1)
        return np.where(self._sorted[place] == internal, self._order[place], -1)

    def _suspect_features(self, aggregate: Aggregate, numbers: Array) -> None:
        self.suspects.add(aggregate, [self._ids[number] for number in np.unique(numbers).tolist()])

    # -- 2. circuits

    def _chunks(self) -> list[list[str]]:
        chunks: list[list[str]] = []
        size = EDGES
        for row in self._database.read(_SIZES):
            n = row["n"] if isinstance(row["n"], int) else EDGES
            if size + n > EDGES or len(chunks[-1]) == CIRCUITS:
                chunks.append([])
                size = 0
            chunks[-1].append(row["id"])
            size += n
        return chunks

    def _range(self, low: int, high: int, chunks: list[list[str]], *, first: bool) -> None:
        """Compare what features `low` up to `high` drive; first: compare everything else, too."""
        moments, effects = _NO_MOMENTS, _Effects()
        found_in, uses = _NO_SUMS, _Uses(len(self._ids))
        done, total = 0, sum(map(len, chunks))
        for chunk in chunks:
            for row in self._database.read(_CIRCUITS, {"ids": chunk, "nan": float("nan")}):
                self._add(_Circuit(**row), low, high, effects, uses if first else None)
            if effects.n > WAITING:
                moments = _merged_moments(moments, effects.take())
            if uses.n > WAITING:
                found_in = _merged_sums(found_in, uses.take())
            done += len(chunk)
            self._step("circuits read", done, total)
        moments = _merged_moments(moments, effects.take())
        if first:
            found_in = _merged_sums(found_in, uses.take())
            self._suspect_features(FEATURE_SUMS, _different_sums(self._stored_sums, uses.of_features()))
        self._compare_pairs(low, high, moments, found_in if first else None)

    def _add(self, circuit: _Circuit, low: int, high: int, effects: "_Effects", uses: "_Uses | None") -> None:
        try:
            with np.errstate(all="ignore"):
                parts = self._parts(circuit)
                if uses is not None:
                    self._compare(circuit, parts)
                    uses.add(parts, len(self._families))
                effects.add(parts, low, high, len(self._ids), len(self._families))
        except _UNREADABLE:
            self._suspect_all(circuit)

    def _parts(self, circuit: _Circuit) -> "_Parts":
        """The columns of a circuit. Raises an error when something is not as it should be."""
        if not circuit.whole:
            raise _UnreadableError
        columns = list(zip(*circuit.nodes, strict=True)) or [()] * 7
        internal, kind = _whole_numbers(columns[0]), _whole_numbers(columns[1])
        order = np.argsort(internal)
        of_features = kind == FEATURE
        instances = [each for each, is_feature in zip(columns[6], of_features, strict=True) if is_feature]
        if (
            (kind == UNKNOWN).any()
            or (np.diff(internal[order]) == 0).any()
            or any(len(each) != 1 for each in instances)
        ):
            raise _UnreadableError
        feature = np.full(len(kind), -1)
        feature[of_features] = self._numbers(_whole_numbers([each[0] for each in instances]))
        if (feature[of_features] < 0).any():
            raise _UnreadableError
        ends = []
        for column in (circuit.sources, circuit.targets):
            place = np.searchsorted(internal[order], _whole_numbers(column))
            place = np.minimum(place, len(order) - 1)
            if len(column) and not len(order):
                raise _UnreadableError
            there = internal[order][place] == _whole_numbers(column)
            if not there.all():
                self._foreign.update(np.array(column)[~there].tolist())
                raise _UnreadableError
            ends.append(order[place])
        if circuit.family not in self._families:
            raise _UnreadableError
        uses = list(zip(*circuit.uses, strict=True)) or [()] * 4
        used = self._numbers(_whole_numbers(uses[0]))
        if len(np.unique(used)) != len(used) or (used < 0).any():
            raise _UnreadableError
        return _Parts(
            family=self._families[circuit.family],
            kind=kind,
            layer=_whole_numbers(columns[2]),
            position=_whole_numbers(columns[3]),
            influence=_optional(columns[4]),
            activation=_optional(columns[5]),
            feature=feature,
            source=ends[0],
            target=ends[1],
            weight=_floats(circuit.weights),
            share=_floats(circuit.shares),
            used=used,
            used_influence=_optional(uses[1]),
            used_activation=_optional(uses[2]),
            used_positions=list(uses[3]),
        )

    def _compare(self, circuit: _Circuit, parts: "_Parts") -> None:
        """Compare what belongs to one circuit."""
        if (
            circuit.n_nodes != len(parts.kind)
            or circuit.n_edges != len(parts.weight)
            or not _bounded(parts.weight)
            or not _bounded(parts.activation[~np.isnan(parts.activation)])
            or not _bounded(parts.influence[~np.isnan(parts.influence)])
        ):
            # The columns are complete, so that its aggregates can be compared all the same.
            self.suspects.circuits.add(circuit.id)
        if not _same_uses(parts):
            self.suspects.add(USES, [circuit.id])
        if not _same_layers(circuit, parts):
            self.suspects.add(LAYER_SUMS, [circuit.id])
        if circuit.stage_flows is not None and not _same_flows(circuit, parts):
            self.suspects.add(STAGE_FLOWS, [circuit.id])

    def _suspect_all(self, circuit: _Circuit) -> None:
        self._suspect_circuit(circuit.id)
        touched = [each for row in circuit.nodes for each in row[6]] + [row[0] for row in circuit.uses]
        numbers = self._numbers(np.array(touched, dtype=np.int64))
        for aggregate in (FEATURE_SUMS, FOUND_IN, DRIVES, DRIVES_IN, DEGREE):
            self._suspect_features(aggregate, numbers[numbers >= 0])

    def _suspect_circuit(self, id_: str) -> None:
        self.suspects.circuits.add(id_)
        for aggregate in (USES, LAYER_SUMS, STAGE_FLOWS):
            self.suspects.add(aggregate, [id_])

    # -- 3. pairs

    def _compare_pairs(self, low: int, high: int, moments: _Moments, found_in: _Sums | None) -> None:
        n, n_families = len(self._ids), len(self._families)
        drives = _of_pairs(moments, n_families)
        inside = moments.key % n_families != n_families - 1
        of_families = _Moments(*(column[inside] for column in moments))
        for start in range(low, high, SOURCES_AT_ONCE):
            stop = min(high, start + SOURCES_AT_ONCE)
            parameters = {"ids": self._ids[start:stop]}
            (row,) = self._database.read(_STORED_DRIVES, parameters)
            self._count(row["sources"], row["targets"])
            for aggregate, wanted, families in (
                (DRIVES, drives, None),
                (DRIVES_IN, of_families, self._families),
            ):
                if families is not None:
                    (row,) = self._database.read(_STORED_DRIVES_IN, parameters)
                factor = n * (1 if families is None else n_families)
                first, last = np.searchsorted(wanted.key, [(start - low) * factor, (stop - low) * factor])
                part = _Moments(*(column[first:last] for column in wanted))
                try:
                    numbers = self._different_effects(row, part, low, families)
                except _UNREADABLE:
                    numbers = np.arange(start, stop)
                self._suspect_features(aggregate, numbers)
            if found_in is not None:
                (row,) = self._database.read(_STORED_FOUND_IN, parameters)
                first, last = np.searchsorted(found_in.key, [start * n_families, stop * n_families])
                try:
                    numbers = self._different_found(row, _Sums(*(column[first:last] for column in found_in)))
                except _UNREADABLE:
                    numbers = np.arange(start, stop)
                self._suspect_features(FOUND_IN, numbers)
            self._step("features compared", stop, n)

    def _count(self, sources: list[int], targets: list[int]) -> None:
        """Count the stored DRIVES of each feature."""
        for column, internal in ((self._out, sources), (self._in, targets)):
            numbers = self._numbers(np.array(internal, dtype=np.int64))
            np.add.at(column, numbers[numbers >= 0], 1)

    def _different_effects(
        self, row: dict[str, list[Any]], wanted: _Moments, low: int, families: dict[str | None, int] | None
    ) -> Array:
        """The numbers of the features some of whose stored effects may differ from the wanted ones."""
        source, target = (
            self._numbers(_whole_numbers(row["sources"])),
            self._numbers(_whole_numbers(row["targets"])),
        )
        unknown = target < 0
        key = (source - low) * len(self._ids) + target
        factor = len(self._ids)
        if families is not None:
            number = np.array([families.get(name, -1) for name in row["families"]], dtype=np.int64)
            unknown |= number < 0
            key = key * len(families) + number
            factor *= len(families)
        pair = self._half[source] * HALF + self._half[target]
        unknown |= pair != _whole_numbers(row["pairs"])
        bad = [source[unknown]]
        good = ~unknown
        names = ("ns", "positives", "negatives", "means", "m2s", "sds", "consistencies")
        stored = [_floats(row[name])[good] for name in names]
        key = key[good]
        order = np.argsort(key, kind="stable")
        key, stored = key[order], [column[order] for column in stored]
        bad.append(key[1:][key[1:] == key[:-1]] // factor + low)
        bad.append(np.setxor1d(key, wanted.key) // factor + low)
        shared, mine, theirs = np.intersect1d(key, wanted.key, return_indices=True)
        n, positive, negative, mean, m2, sd, consistency = (column[mine] for column in stored)
        want = _Moments(*(column[theirs] for column in wanted))
        with np.errstate(all="ignore"):
            spread = np.hypot(np.sqrt(want.m2 / want.n), want.mean)
            wanted_sd = np.sqrt(want.m2 / want.n)
            wanted_consistency = np.maximum(want.positive, want.negative) / want.n
            same = (n == want.n) & (positive == want.positive) & (negative == want.negative)
            same &= _near(mean, want.mean, spread)
            same &= _near(m2, want.m2, want.n * spread * spread)
            same &= _near(sd, wanted_sd, 1e3 * spread)
            same &= _near(consistency, wanted_consistency, 0.0)
        bad.append(shared[~same] // factor + low)
        return np.concatenate(bad)

    def _different_found(self, row: dict[str, list[Any]], wanted: _Sums) -> Array:
        n_families = len(self._families)
        source = self._numbers(_whole_numbers(row["sources"]))
        number = np.array([self._families.get(name, -1) for name in row["families"]], dtype=np.int64)
        key = source * n_families + number
        order = np.argsort(key, kind="stable")
        columns = (_whole_numbers(row["ns"]), _whole_numbers(row["measured"]), _floats(row["influences"]))
        stored = _Sums(key[order], *(column[order] for column in columns))
        bad = [source[number < 0], stored.key[1:][stored.key[1:] == stored.key[:-1]] // n_families]
        bad.append(np.setxor1d(stored.key, wanted.key) // n_families)
        shared, mine, theirs = np.intersect1d(stored.key, wanted.key, return_indices=True)
        different = _different_sums(
            _Sums(*(column[mine] for column in stored)), _Sums(*(column[theirs] for column in wanted))
        )
        bad.append(shared[different] // n_families)
        return np.concatenate(bad)


class _UnreadableError(Exception):
    """Something is not as the scan expects it."""


_UNREADABLE = (_UnreadableError, TypeError, ValueError, OverflowError)
"""What is raised when a property has an unexpected type or value."""


class _Parts(NamedTuple):
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


class _Effects:
    """Effects that wait until they are merged."""

    def __init__(self) -> None:
        self.n = 0
        self._keys: list[Array] = []
        self._weights: list[Array] = []

    def add(self, parts: _Parts, low: int, high: int, n: int, n_families: int) -> None:
        source, target = parts.feature[parts.source], parts.feature[parts.target]
        chosen = (low <= source) & (source < high) & (target >= 0)
        if not chosen.any():
            return
        key = ((source[chosen] - low) * n + target[chosen]) * n_families + parts.family
        key, place = np.unique(key, return_inverse=True)
        self._keys.append(key)
        self._weights.append(np.bincount(place, parts.weight[chosen], len(key)))
        self.n += len(key)

    def take(self) -> _Moments:
        """One row for each effect."""
        if not self._keys:
            return _NO_MOMENTS
        weight = np.concatenate(self._weights)
        found = _Moments(
            key=np.concatenate(self._keys),
            n=np.ones(len(weight), dtype=np.int64),
            positive=(weight > 0).astype(np.int64),
            negative=(weight < 0).astype(np.int64),
            mean=weight,
            m2=np.zeros(len(weight)),
        )
        self.n, self._keys, self._weights = 0, [], []
        return found


class _Uses:
    """What USES adds to the sums of features and to FOUND_IN."""

    def __init__(self, n_features: int) -> None:
        self.n = 0
        self._sums = [np.zeros(n_features, dtype=np.int64), np.zeros(n_features, dtype=np.int64)]
        self._influence = np.zeros(n_features)
        self._parts: list[_Sums] = []

    def add(self, parts: _Parts, n_families: int) -> None:
        known = ~np.isnan(parts.used_influence)
        influence = np.where(known, parts.used_influence, 0.0)
        # A circuit has each feature once.
        self._sums[0][parts.used] += 1
        self._sums[1][parts.used] += known
        self._influence[parts.used] += influence
        if parts.family != n_families - 1:
            ones = np.ones(len(influence), dtype=np.int64)
            self._parts.append(
                _Sums(parts.used * n_families + parts.family, ones, known.astype(np.int64), influence)
            )
            self.n += len(influence)

    def of_features(self) -> _Sums:
        return _Sums(np.arange(len(self._influence)), *self._sums, self._influence)

    def take(self) -> _Sums:
        found = _Sums(*map(np.concatenate, zip(_NO_SUMS, *self._parts, strict=True)))
        self.n, self._parts = 0, []
        return found


_NO_MOMENTS = _Moments(*(np.zeros(0, dtype=each) for each in (*[np.int64] * 4, float, float)))
_NO_SUMS = _Sums(*(np.zeros(0, dtype=each) for each in (*[np.int64] * 3, float)))


def _starts(key: Array) -> Array:
    """The places in an ascending column at which a new key begins."""
    new = np.ones(len(key), dtype=bool)
    new[1:] = key[1:] != key[:-1]
    return np.flatnonzero(new)


def _merged_moments(*several: _Moments) -> _Moments:
    key, n, positive, negative, mean, m2 = map(np.concatenate, zip(*several, strict=True))
    if not len(key):
        return _NO_MOMENTS
    order = np.argsort(key, kind="stable")
    key, n, positive, negative, mean, m2 = (each[order] for each in (key, n, positive, negative, mean, m2))
    starts = _starts(key)
    with np.errstate(all="ignore"):
        whole = np.add.reduceat(n, starts)
        of_all = np.add.reduceat(n * mean, starts) / whole
        apart = mean - np.repeat(of_all, np.diff(np.append(starts, len(key))))
        return _Moments(
            key[starts],
            whole,
            np.add.reduceat(positive, starts),
            np.add.reduceat(negative, starts),
            of_all,
            np.add.reduceat(m2 + n * apart * apart, starts),
        )


def _of_pairs(moments: _Moments, n_families: int) -> _Moments:
    """The moments of DRIVES: those of all families together."""
    return _merged_moments(moments._replace(key=moments.key // n_families))


def _merged_sums(*several: _Sums) -> _Sums:
    columns = list(map(np.concatenate, zip(*several, strict=True)))
    if not len(columns[0]):
        return _NO_SUMS
    order = np.argsort(columns[0], kind="stable")
    columns = [each[order] for each in columns]
    starts = _starts(columns[0])
    return _Sums(columns[0][starts], *(np.add.reduceat(each, starts) for each in columns[1:]))


def _near(have: Array, want: Array, scale: Array | float) -> Array:
    """Whether numbers are equal but for rounding; NaN is near nothing."""
    scale = np.where(np.isfinite(scale), scale, 0.0)
    return np.abs(have - want) <= 0.5 * (1e-7 * (np.abs(want) + scale) + 1e-12)


def _different_sums(stored: _Sums, wanted: _Sums) -> Array:
    """The places at which sums of the same keys differ."""
    same = (stored.n == wanted.n) & (stored.measured == wanted.measured)
    return np.flatnonzero(~(same & _near(stored.influence, wanted.influence, 0.0)))


def _whole_numbers(values: Sequence[Any]) -> Array:
    found = np.array(values, dtype=None if len(values) else np.int64)
    if found.dtype.kind != "i":
        raise _UnreadableError
    return found


def _floats(values: Sequence[Any]) -> Array:
    """NaN for an absent value."""
    if any(isinstance(each, str | bool) for each in values):
        raise _UnreadableError
    return np.array(values, dtype=np.float64)


def _optional(values: Sequence[Any]) -> Array:
    """NaN for an absent value. A stored NaN is unreadable."""
    if any(each != each for each in values):
        raise _UnreadableError
    return _floats(values)


def _bounded(values: Array) -> bool:
    # NaN is not within the bound either.
    return bool((np.abs(values) <= FLOAT32_MAX).all())


def _same_uses(parts: _Parts) -> bool:
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
        if (np.isnan(stored) != absent).any() or not _near(stored[~absent], want[~absent], 0.0).all():
            return False
    return all(
        parts.used_positions[place] == want.tolist() for place, want in zip(of_used, positions, strict=True)
    )


def _same_layers(circuit: _Circuit, parts: _Parts) -> bool:
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
        have = _floats(values or [])
        if (parts.layer[chosen] < 0).any() or (parts.layer[chosen] >= len(have)).any():
            return False
        want = np.bincount(parts.layer[chosen], parts.influence[chosen], len(have))
        if ((have != 0) != (want != 0)).any() or not _near(have, want, 0.0).all():
            return False
    return True


def _same_flows(circuit: _Circuit, parts: _Parts) -> bool:
    n_layers, kind, layer = circuit.n_layers, parts.kind, parts.layer
    carriers = (kind == FEATURE) | (kind == LOGIT)
    of_features = kind == FEATURE
    if (
        not isinstance(n_layers, int)
        or n_layers <= 0
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
    have = _floats(circuit.stage_flows or [])
    if len(have) != len(want):
        return False
    large = (np.abs(have) > 1e-9, np.abs(want) > 1e-9)
    return bool((large[0] == large[1]).all() and _near(have, want, 0.0)[large[0]].all())


# -- Cypher. Lists are much smaller and faster than rows. Internal ids are the smallest names of nodes; only
# version 5 of the language has them as numbers. `collect` leaves null out, so absent values are replaced.

_COUNTS = """
CALL () { MATCH ()-[d:DRIVES]->() RETURN count(d) AS n_pairs }
CALL () { MATCH ()-[d:DRIVES_IN]->() RETURN count(d) AS n_of_families }
RETURN n_pairs + n_of_families AS n
"""

_SIZES = "MATCH (c:Circuit) RETURN c.id AS id, c.n_edges AS n ORDER BY id"

_HOLDERS = """CYPHER 5
UNWIND $ids AS id MATCH (n) WHERE id(n) = id MATCH (c:Circuit)-[:HAS]->(n) RETURN DISTINCT c.id AS id
"""

_FEATURES = """CYPHER 5
MATCH (f:Feature) WHERE f.id > $after WITH f ORDER BY f.id LIMIT $limit
RETURN collect(f.id) AS ids, collect(id(f)) AS numbers, collect(coalesce(f.layer, "")) AS layers,
       collect(coalesce(f.index, "")) AS indices, collect(coalesce(f.n_circuits, "")) AS n_circuits,
       collect(coalesce(f.n_measured, "")) AS n_measured, collect(coalesce(f.influence, "")) AS influences,
       collect(coalesce(f.degree, "")) AS degrees
"""

_CIRCUITS = f"""CYPHER 5
UNWIND $ids AS id
MATCH (c:Circuit {{id: id}})
WITH c, [(c)-[:BY]->(:TranscoderSet)-[:FOR]->(m:Model) | m.n_layers] AS n_layers,
     COUNT {{ (c)-[:BY]->(:TranscoderSet)-[:FOR]->(:Model) }} AS n_models,
     [(c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) | y.name] AS families
CALL (c) {{
  MATCH (c)-[:HAS]->(n) WHERE NOT n:Supernode
  RETURN collect([id(n), CASE
           WHEN NOT n:Node OR size(labels(n)) <> 2 THEN {UNKNOWN} WHEN n:FeatureNode THEN {FEATURE}
           WHEN n:ErrorNode THEN {ERROR} WHEN n:TokenNode THEN {TOKEN} WHEN n:LogitNode THEN {LOGIT}
           ELSE {OTHER} END,
           n.layer, n.position, n.influence, n.activation,
           CASE WHEN n:FeatureNode THEN [(n)-[:INSTANCE_OF]->(f:Feature) | id(f)] ELSE [] END]) AS nodes,
         coalesce(all(named IN collect(n.id STARTS WITH c.id + "/") WHERE named), false)
           AND count(n) = count(n.id) AS named
}}
CALL (c) {{
  MATCH (c)-[:HAS]->(n:Node)-[e:ATTRIBUTES]->(m)
  RETURN collect(id(n)) AS sources, collect(id(m)) AS targets, collect(coalesce(e.weight, $nan)) AS weights,
         collect(coalesce(e.share, $nan)) AS shares
}}
RETURN c.id AS id, named AND n_models = 1 AND size(families) < 2 AS whole, c.n_nodes AS n_nodes,
       c.n_edges AS n_edges, head(n_layers) AS n_layers, head(families) AS family, c.derived AS derived,
       c.layer_features AS layer_features, c.layer_errors AS layer_errors, c.stage_flows AS stage_flows,
       nodes, sources, targets, weights, shares,
       [(c)-[u:USES]->(f:Feature) | [id(f), u.influence, u.activation, u.positions]] AS uses
"""

_EFFECT_LISTS = """
       collect(id(f)) AS sources, collect(id(g)) AS targets, collect(coalesce(d.pair, "")) AS pairs,
       collect(coalesce(d.n_circuits, "")) AS ns, collect(coalesce(d.n_positive, "")) AS positives,
       collect(coalesce(d.n_negative, "")) AS negatives, collect(coalesce(d.mean, "")) AS means,
       collect(coalesce(d.m2, "")) AS m2s, collect(coalesce(d.sd, "")) AS sds,
       collect(coalesce(d.sign_consistency, "")) AS consistencies
"""

_STORED_DRIVES = f"""CYPHER 5
UNWIND $ids AS id
MATCH (f:Feature {{id: id}})-[d:DRIVES]->(g)
RETURN {_EFFECT_LISTS}
"""

_STORED_DRIVES_IN = f"""CYPHER 5
UNWIND $ids AS id
MATCH (f:Feature {{id: id}})-[d:DRIVES_IN]->(g)
RETURN {_EFFECT_LISTS}, collect(coalesce(d.family, 0)) AS families
"""

_STORED_FOUND_IN = """CYPHER 5
UNWIND $ids AS id
MATCH (f:Feature {id: id})-[i:FOUND_IN]->(y:Family)
RETURN collect(id(f)) AS sources, collect(y.name) AS families, collect(coalesce(i.n_circuits, "")) AS ns,
       collect(coalesce(i.n_measured, "")) AS measured, collect(coalesce(i.influence, "")) AS influences
"""
