"""Finds in bulk where stored aggregates may differ from the stored nodes and edges.

`atlas check` compares only what this scan suspects, with the Cypher of `schema.upkeep.recompute`. The scan
may suspect too much, and never too little: whatever it cannot read or explain is suspected.

1. features  number the features, in the order of their ids
2. circuits  read the nodes, edges and USES of a few circuits at a time, as lists. Compare what belongs to one
             circuit, and add its effects to the moments of every pair of features and family
3. pairs     read the stored DRIVES, DRIVES_IN and FOUND_IN of a few hundred features at a time, and compare

When there are more pairs than fit in memory, steps 2 and 3 are repeated for one range of features after the
other. `schema.upkeep.columns` merges and compares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schema.circuit.influence import MOST_LAYERS
from schema.database import Database
from schema.loading.effects import HALF, LAYER_STEP
from schema.upkeep.columns import (
    ERROR,
    FEATURE,
    LOGIT,
    NO_MOMENTS,
    NO_SUMS,
    OTHER,
    TOKEN,
    UNKNOWN,
    UNREADABLE,
    Array,
    Moments,
    Parts,
    StoredCircuit,
    Sums,
    UnreadableError,
    WaitingEffects,
    WaitingUses,
    bounded,
    different_sums,
    floats,
    merged_moments,
    merged_sums,
    near,
    of_pairs,
    optional,
    same_flows,
    same_layers,
    same_uses,
    whole_numbers,
)
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


class _Scan:
    def __init__(self, database: Database, step: Step, pairs: int) -> None:
        self._database = database
        self._step = step
        self.suspects = Suspects()
        self._read_features()
        rows = database.read(_FAMILIES)
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
            right = {int, float} if kind is float else {int}
            if set(map(type, values)) <= right:
                return np.array(values, dtype=kind)
            # Something else is stored somewhere: -1 and NaN are never right.
            bad: Any = np.nan if kind is float else -1
            return np.array([each if type(each) in right else bad for each in values], dtype=kind)

        self._layer, self._index = column("layers", int), column("indices", int)
        self._half = (self._index % HALF + self._layer % HALF * LAYER_STEP) % HALF
        self._stored_sums = Sums(
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
            n = row["n"] if type(row["n"]) is int and row["n"] >= 0 else EDGES
            if size + n > EDGES or len(chunks[-1]) == CIRCUITS:
                chunks.append([])
                size = 0
            chunks[-1].append(row["id"])
            size += n
        return chunks

    def _range(self, low: int, high: int, chunks: list[list[str]], *, first: bool) -> None:
        """Compare what features `low` up to `high` drive; first: compare everything else, too."""
        moments, effects = NO_MOMENTS, WaitingEffects()
        found_in, uses = NO_SUMS, WaitingUses(len(self._ids))
        done, total = 0, sum(map(len, chunks))
        for chunk in chunks:
            for row in self._database.read(_CIRCUITS, {"ids": chunk, "nan": float("nan")}):
                self._add(StoredCircuit(**row), low, high, effects, uses if first else None)
            if effects.n > WAITING:
                moments = merged_moments(moments, effects.take())
            if uses.n > WAITING:
                found_in = merged_sums(found_in, uses.take())
            done += len(chunk)
            self._step("circuits read", done, total)
        moments = merged_moments(moments, effects.take())
        if first:
            found_in = merged_sums(found_in, uses.take())
            self._suspect_features(FEATURE_SUMS, different_sums(self._stored_sums, uses.of_features()))
        self._compare_pairs(low, high, moments, found_in if first else None)

    def _add(
        self, circuit: StoredCircuit, low: int, high: int, effects: WaitingEffects, uses: WaitingUses | None
    ) -> None:
        try:
            with np.errstate(all="ignore"):
                parts = self._parts(circuit)
                if uses is not None:
                    self._compare(circuit, parts)
                    uses.add(parts, len(self._families))
                effects.add(parts, low, high, len(self._ids), len(self._families))
        except UNREADABLE:
            self._suspect_all(circuit)

    def _parts(self, circuit: StoredCircuit) -> Parts:
        """The columns of a circuit. Raises an error when something is not as it should be."""
        derived = [] if circuit.derived is None else circuit.derived
        if not circuit.whole or type(derived) is not list or not set(map(type, derived)) <= {str}:
            raise UnreadableError
        columns = list(zip(*circuit.nodes, strict=True)) or [()] * 9
        internal, kind = whole_numbers(columns[0]), whole_numbers(columns[1])
        order = np.argsort(internal)
        of_features = kind == FEATURE
        instances = [each for each, is_feature in zip(columns[6], of_features, strict=True) if is_feature]
        if (
            (kind == UNKNOWN).any()
            or (np.diff(internal[order]) == 0).any()
            or any(len(each) != 1 for each in instances)
        ):
            raise UnreadableError
        feature = np.full(len(kind), -1)
        feature[of_features] = self._numbers(whole_numbers([each[0] for each in instances]))
        if (feature[of_features] < 0).any():
            raise UnreadableError
        for number, layer, index, component in zip(feature.tolist(), columns[2], *columns[7:], strict=True):
            part = "" if component is None else f"{component}/"
            own = f"{circuit.transcoders}/{part}{layer}/{index}"
            if number >= 0 and (self._ids[number] != own or type(index) is not int):
                raise UnreadableError
        ends = []
        for column in (circuit.sources, circuit.targets):
            place = np.searchsorted(internal[order], whole_numbers(column))
            place = np.minimum(place, len(order) - 1)
            if len(column) and not len(order):
                raise UnreadableError
            there = internal[order][place] == whole_numbers(column)
            if not there.all():
                self._foreign.update(np.array(column)[~there].tolist())
                raise UnreadableError
            ends.append(order[place])
        if circuit.family not in self._families:
            raise UnreadableError
        uses = list(zip(*circuit.uses, strict=True)) or [()] * 4
        used = self._numbers(whole_numbers(uses[0]))
        if len(np.unique(used)) != len(used) or (used < 0).any():
            raise UnreadableError
        return Parts(
            family=self._families[circuit.family],
            kind=kind,
            layer=whole_numbers(columns[2]),
            position=whole_numbers(columns[3]),
            influence=optional(columns[4]),
            activation=optional(columns[5]),
            feature=feature,
            source=ends[0],
            target=ends[1],
            weight=floats(circuit.weights),
            share=floats(circuit.shares),
            used=used,
            used_influence=optional(uses[1]),
            used_activation=optional(uses[2]),
            used_positions=list(uses[3]),
        )

    def _compare(self, circuit: StoredCircuit, parts: Parts) -> None:
        """Compare what belongs to one circuit."""
        if (
            (parts.layer[(parts.kind == FEATURE) | (parts.kind == ERROR)] >= MOST_LAYERS).any()
            or type(circuit.n_nodes) is not int
            or type(circuit.n_edges) is not int
            or circuit.n_nodes != len(parts.kind)
            or circuit.n_edges != len(parts.weight)
            or not bounded(parts.weight)
            or not bounded(parts.activation[~np.isnan(parts.activation)])
            or not bounded(parts.influence[~np.isnan(parts.influence)])
        ):
            # The columns are complete, so that its aggregates can be compared all the same.
            self.suspects.circuits.add(circuit.id)
        if not same_uses(parts):
            self.suspects.add(USES, [circuit.id])
        if not same_layers(circuit, parts):
            self.suspects.add(LAYER_SUMS, [circuit.id])
        if circuit.stage_flows is not None and not same_flows(circuit, parts):
            self.suspects.add(STAGE_FLOWS, [circuit.id])

    def _suspect_all(self, circuit: StoredCircuit) -> None:
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

    def _compare_pairs(self, low: int, high: int, moments: Moments, found_in: Sums | None) -> None:
        n, n_families = len(self._ids), len(self._families)
        drives = of_pairs(moments, n_families)
        inside = moments.key % n_families != n_families - 1
        of_families = Moments(*(column[inside] for column in moments))
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
                part = Moments(*(column[first:last] for column in wanted))
                try:
                    numbers = self._different_effects(row, part, low, families)
                except UNREADABLE:
                    numbers = np.arange(start, stop)
                self._suspect_features(aggregate, numbers)
            if found_in is not None:
                (row,) = self._database.read(_STORED_FOUND_IN, parameters)
                first, last = np.searchsorted(found_in.key, [start * n_families, stop * n_families])
                try:
                    numbers = self._different_found(row, Sums(*(column[first:last] for column in found_in)))
                except UNREADABLE:
                    numbers = np.arange(start, stop)
                self._suspect_features(FOUND_IN, numbers)
            self._step("features compared", stop, n)

    def _count(self, sources: list[int], targets: list[int]) -> None:
        """Count the stored DRIVES of each feature."""
        for column, internal in ((self._out, sources), (self._in, targets)):
            numbers = self._numbers(np.array(internal, dtype=np.int64))
            np.add.at(column, numbers[numbers >= 0], 1)

    def _different_effects(
        self, row: dict[str, list[Any]], wanted: Moments, low: int, families: dict[str | None, int] | None
    ) -> Array:
        """The numbers of the features some of whose stored effects may differ from the wanted ones."""
        source, target = (
            self._numbers(whole_numbers(row["sources"])),
            self._numbers(whole_numbers(row["targets"])),
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
        unknown |= pair != whole_numbers(row["pairs"])
        bad = [source[unknown]]
        good = ~unknown
        names = ("ns", "positives", "negatives", "means", "m2s", "sds", "consistencies")
        stored = [floats(row[name])[good] for name in names]
        key = key[good]
        order = np.argsort(key, kind="stable")
        key, stored = key[order], [column[order] for column in stored]
        bad.append(key[1:][key[1:] == key[:-1]] // factor + low)
        bad.append(np.setxor1d(key, wanted.key) // factor + low)
        shared, mine, theirs = np.intersect1d(key, wanted.key, return_indices=True)
        n, positive, negative, mean, m2, sd, consistency = (column[mine] for column in stored)
        want = Moments(*(column[theirs] for column in wanted))
        with np.errstate(all="ignore"):
            spread = np.hypot(np.sqrt(want.m2 / want.n), want.mean)
            wanted_sd = np.sqrt(want.m2 / want.n)
            wanted_consistency = np.maximum(want.positive, want.negative) / want.n
            same = (n == want.n) & (positive == want.positive) & (negative == want.negative)
            same &= near(mean, want.mean, spread)
            same &= near(m2, want.m2, want.n * spread * spread)
            same &= near(sd, wanted_sd, 1e3 * spread)
            same &= near(consistency, wanted_consistency, 0.0)
        bad.append(shared[~same] // factor + low)
        return np.concatenate(bad)

    def _different_found(self, row: dict[str, list[Any]], wanted: Sums) -> Array:
        n_families = len(self._families)
        source = self._numbers(whole_numbers(row["sources"]))
        number = np.array([self._families.get(name, -1) for name in row["families"]], dtype=np.int64)
        key = source * n_families + number
        order = np.argsort(key, kind="stable")
        columns = (whole_numbers(row["ns"]), whole_numbers(row["measured"]), floats(row["influences"]))
        stored = Sums(key[order], *(column[order] for column in columns))
        bad = [source[number < 0], stored.key[1:][stored.key[1:] == stored.key[:-1]] // n_families]
        bad.append(np.setxor1d(stored.key, wanted.key) // n_families)
        shared, mine, theirs = np.intersect1d(stored.key, wanted.key, return_indices=True)
        different = different_sums(
            Sums(*(column[mine] for column in stored)), Sums(*(column[theirs] for column in wanted))
        )
        bad.append(shared[different] // n_families)
        return np.concatenate(bad)


# -- Cypher. Lists are much smaller and faster than rows. Internal ids are the smallest names of nodes; only
# version 5 of the language has them as numbers. `collect` leaves null out, so absent values are replaced.

_COUNTS = """
CALL () { MATCH ()-[d:DRIVES]->() RETURN count(d) AS n_pairs }
CALL () { MATCH ()-[d:DRIVES_IN]->() RETURN count(d) AS n_of_families }
RETURN n_pairs + n_of_families AS n
"""

# A circuit or family without a name that is text is named, and deleted, by a rule.
_SIZES = "MATCH (c:Circuit) WHERE c.id IS :: STRING NOT NULL RETURN c.id AS id, c.n_edges AS n ORDER BY id"

_FAMILIES = "MATCH (y:Family) WHERE y.name IS :: STRING NOT NULL RETURN y.name AS name ORDER BY name"

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
           CASE WHEN n:FeatureNode THEN [(n)-[:INSTANCE_OF]->(f:Feature) | id(f)] ELSE [] END,
           n.index, n.component]) AS nodes,
         coalesce(all(named IN collect(n.id STARTS WITH c.id + "/") WHERE named), false)
           AND count(n) = count(n.id STARTS WITH c.id + "/") AS named
}}
CALL (c) {{
  MATCH (c)-[:HAS]->(n:Node)-[e:ATTRIBUTES]->(m)
  RETURN collect(id(n)) AS sources, collect(id(m)) AS targets, collect(coalesce(e.weight, $nan)) AS weights,
         collect(coalesce(e.share, $nan)) AS shares
}}
RETURN c.id AS id, named AND n_models = 1 AND size(families) < 2 AS whole, c.n_nodes AS n_nodes,
       c.n_edges AS n_edges, head(n_layers) AS n_layers,
       head([(c)-[:BY]->(t:TranscoderSet) | t.id]) AS transcoders, head(families) AS family,
       c.derived AS derived, c.layer_features AS layer_features, c.layer_errors AS layer_errors,
       c.stage_flows AS stage_flows, nodes, sources, targets, weights, shares,
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
