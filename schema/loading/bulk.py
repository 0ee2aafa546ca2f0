"""Tables for Neo4j's own importer, from the same records as the ordinary load: many circuits, a new database.

1. add      each circuit's rows go to CSV files of one kind each; nodes are numbered as they come
2. finish   what circuits share, and the aggregates: DRIVES, DRIVES_IN by Welford's steps in the order of the
            circuits, so that every number is the one that loading them one by one would have stored
3. amend    over Bolt, after the import: lists that CSV cannot hold, and the migrations' indexes

The columns and their types are those of `schema.model.core`. CSV says nothing for an absent value and "" for
an empty text; a list with no elements, or with the separator in an element, cannot be written and is amended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schema.circuit.records import Circuit, Run
from schema.database import Database
from schema.loading.bulk_table import SEPARATOR, Table, drives_of, unwritable
from schema.loading.pairs import HALF, half
from schema.loading.rows import KINDS, body, check, drives, frame
from schema.model.core import NODES, RELATIONSHIPS
from schema.model.declare import NodeType, Property

_LABELS = {node.label: node for node in NODES}
_KINDS = dict(zip(KINDS, ("FeatureNode", "ErrorNode", "TokenNode", "LogitNode", "OtherNode"), strict=True))


def _properties(node: NodeType) -> tuple[Property, ...]:
    found = node.properties + (_LABELS[node.refines].properties if node.refines else ())
    # Only the ledger dates anything, and a bulk import is no run of it.
    return tuple(each for each in found if each.type != "datetime")


@dataclass
class _Frequency:
    """FOUND_IN of one feature and family."""

    n_circuits: int = 0
    n_measured: int = 0
    influence: float = 0.0


@dataclass
class _Pairs:
    """The effects of all circuits so far, in order: one array a circuit."""

    sources: list[np.ndarray[Any, Any]] = field(default_factory=list)
    targets: list[np.ndarray[Any, Any]] = field(default_factory=list)
    weights: list[np.ndarray[Any, Any]] = field(default_factory=list)

    def of(self, places: Sequence[int]) -> tuple["np.ndarray[Any, Any]", ...]:
        """Sources, targets and weights of the circuits at these places."""
        columns = (self.sources, self.targets, self.weights)
        return tuple(np.concatenate([column[place] for place in places]) for column in columns)


class BulkWriter:
    """Writes the tables of many circuits into a folder; `finish`, then import, then `amend`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._nodes: dict[str, Table] = {}
        self._relationships: dict[str, Table] = {}
        self._next = 0
        self._ids: dict[tuple[str, str], int] = {}
        """(label, key) → number, of what circuits share."""
        self._shared: dict[int, tuple[str, dict[str, Any]]] = {}
        """Number → label and properties, of what is written at the end."""
        self._linked: set[tuple[str, int, int]] = set()
        self._models: dict[int, int] = {}
        """Set → model, the last that was said: files name it one after the other."""
        self._families: dict[int, int] = {}
        """Prompt → family."""
        self._frequencies: dict[tuple[int, int], _Frequency] = {}
        self._covers: dict[tuple[int, int], int] = {}
        self._uses_of_prompt: dict[int, list[tuple[int, int, list[tuple[int, float | None]]]]] = {}
        """Prompts without a family yet → place, set and uses of each of their circuits."""
        self._effects = _Pairs()
        self._in_family: dict[int, list[int]] = {}
        """Family → places of its circuits in `_effects`."""
        self._amend: list[tuple[str, str, str, Any]] = []
        self._there: set[str] = set()

    def add(self, circuit: Circuit, run: Run) -> bool:
        """Write one circuit's tables; False when it is there already. Raises InputError as loading does."""
        check(circuit)
        if circuit.id in self._there:
            return False
        self._there.add(circuit.id)
        rows, shared = body(circuit), frame(circuit, run)
        first = self._number(sum(len(rows[kind]) for kind in KINDS) + 1)
        circuit_number = first
        self._node("Circuit", circuit_number, shared["circuit"])
        nodes_at = first + 1
        number = nodes_at
        for kind in KINDS:
            for row in rows[kind]:
                self._node(_KINDS[kind], number, row)
                number += 1
        n_nodes = number - nodes_at
        self._columns("HAS", [[circuit_number] * n_nodes, range(nodes_at, number)])
        self._columns(
            "ATTRIBUTES",
            [
                [nodes_at + place for place in rows["sources"]],
                [nodes_at + place for place in rows["targets"]],
                rows["weights"],
                rows["shares"],
                rows["heads"] or [None] * len(rows["weights"]),
                rows["head_weights"] or [None] * len(rows["weights"]),
            ],
        )
        set_number = self._frame(circuit_number, shared)
        for row in rows["head_totals"]:
            self._head(circuit_number, shared["model"]["id"], row)
        features = self._features(rows, set_number)
        self._columns(
            "INSTANCE_OF",
            [
                range(nodes_at, nodes_at + len(rows["instance_of"])),
                [features[place] for place in rows["instance_of"]],
            ],
        )
        self._uses(rows["uses"], features, circuit_number)
        self._count(
            shared, set_number, [(features[use["feature"]], use["influence"]) for use in rows["uses"]]
        )
        for row in rows["labels"]:
            label = self._share("Label", row["label"]["id"], row["label"])
            self._link("LABELS", label, features[row["feature"]])
        for row in rows["supernodes"]:
            self._supernode(circuit_number, nodes_at, row)
        effects = drives(circuit)
        ids = np.array([self._ids["Feature", key] for key in effects["features"]], dtype=np.int64)
        self._effects.sources.append(ids[np.array(effects["sources"], dtype=np.int64)])
        self._effects.targets.append(ids[np.array(effects["targets"], dtype=np.int64)])
        self._effects.weights.append(np.array(effects["weights"], dtype=np.float64))
        return True

    def finish(self) -> list[str]:
        """Write the rest and close the files; the importer's arguments."""
        for transcoders, model in self._models.items():
            self._link("FOR", transcoders, model)
        self._drives()
        models = {target for kind, _, target in self._linked if kind in ("FOR", "OF_MODEL")}
        for number, (label, properties) in self._shared.items():
            if label != "Model" or number in models:
                self._node(label, number, properties)
        for (feature, family), found in self._frequencies.items():
            self._relationship("FOUND_IN", feature, family, vars(found))
        for (set_, family), n in self._covers.items():
            self._relationship("COVERS", set_, family, {"n_circuits": n})
        arguments = [
            "--id-type=integer",
            f"--array-delimiter=U+{ord(SEPARATOR):04X}",
            "--multiline-fields=true",
        ]
        arguments += ["--bad-tolerance=0", "--skip-duplicate-nodes=false"]
        for label, table in self._nodes.items():
            table.close()
            refines = _LABELS[label].refines
            names = label if refines is None else f"{refines}:{label}"
            arguments.append(f"--nodes={names}={table.path.with_suffix('.header.csv')},{table.path}")
        for kind, table in self._relationships.items():
            table.close()
            arguments.append(f"--relationships={kind}={table.path.with_suffix('.header.csv')},{table.path}")
        return arguments

    def amend(self, database: Database) -> None:
        """Over Bolt, once the tables are imported and the database is migrated: what they could not hold."""
        for label, key, name, value in self._amend:
            # Label, key and property are our own declarations; values travel as parameters.
            text = f"MATCH (n:{label} {{{_LABELS[label].key}: $key}}) SET n.{name} = $value"
            database.write(text, {"key": key, "value": value})

    # -- one kind of thing each

    def _number(self, count: int = 1) -> int:
        first = self._next
        self._next += count
        return first

    def _node(self, label: str, number: int, properties: dict[str, Any]) -> None:
        node = _LABELS[label]
        table = self._nodes.get(label)
        if table is None:
            table = Table(self._folder / f"{label}.csv", [":ID"], _properties(node))
            self._nodes[label] = table
        table.add((number,), properties)
        for each in node.properties:
            value = properties.get(each.name)
            if each.type.startswith("list of ") and value is not None and unwritable(value):
                assert node.key is not None
                self._amend.append((label, properties[node.key], each.name, value))

    def _table(self, kind: str) -> Table:
        table = self._relationships.get(kind)
        if table is None:
            properties = next(each.properties for each in RELATIONSHIPS if each.type == kind)
            table = Table(self._folder / f"{kind}.csv", [":START_ID", ":END_ID"], properties)
            self._relationships[kind] = table
        return table

    def _relationship(self, kind: str, source: int, target: int, properties: dict[str, Any]) -> None:
        self._table(kind).add((source, target), properties)

    def _columns(self, kind: str, columns: list[Any]) -> None:
        if len(columns[0]):
            self._table(kind).extend(columns)

    def _link(self, kind: str, source: int, target: int) -> None:
        if (kind, source, target) not in self._linked:
            self._linked.add((kind, source, target))
            self._relationship(kind, source, target, {})

    def _share(self, label: str, key: str, properties: dict[str, Any]) -> int:
        """The number of a node that circuits share; what the first circuit says of it stays."""
        number = self._ids.get((label, key))
        if number is None:
            number = self._ids[label, key] = self._number()
            self._shared[number] = (label, properties)
        return number

    def _frame(self, circuit: int, shared: dict[str, Any]) -> int:
        model = self._share("Model", shared["model"]["id"], shared["model"])
        transcoders = self._share("TranscoderSet", shared["set"]["id"], shared["set"])
        run = self._share("Run", shared["run"]["id"], shared["run"])
        prompt = self._share("Prompt", shared["prompt"]["id"], shared["prompt"])
        if self._models.setdefault(transcoders, model) != model:
            self._models[transcoders] = model
            said = self._shared[transcoders][1]
            said |= {name: value for name, value in shared["set"].items() if said.get(name) is None}
        for name in shared["tags"]:
            self._link("TAGGED", prompt, self._share("Tag", name, {"name": name}))
        for kind, target in (("OF_PROMPT", prompt), ("BY", transcoders), ("FROM_RUN", run)):
            self._relationship(kind, circuit, target, {})
        return transcoders

    def _features(self, rows: dict[str, Any], transcoders: int) -> list[int]:
        numbers = []
        for key, layer, index, component in rows["features"]:
            known = ("Feature", key) in self._ids
            properties = {"id": key, "layer": layer, "index": index, "component": component}
            properties |= {"n_circuits": 0, "n_measured": 0, "influence": 0.0, "degree": 0}
            number = self._share("Feature", key, properties)
            if not known:
                self._relationship("IN", number, transcoders, {})
            numbers.append(number)
        return numbers

    def _uses(self, uses: list[dict[str, Any]], features: list[int], circuit: int) -> None:
        for use in uses:
            feature = features[use["feature"]]
            self._relationship("USES", circuit, feature, use)
            sums = self._shared[feature][1]
            sums["n_circuits"] += 1
            if use["influence"] is not None:
                sums["n_measured"] += 1
                sums["influence"] += use["influence"]

    def _count(self, shared: dict[str, Any], set_: int, uses: list[tuple[int, float | None]]) -> None:
        """What a family counts: this circuit, and earlier ones when it gives the prompt its family."""
        prompt = self._ids["Prompt", shared["prompt"]["id"]]
        waiting = self._uses_of_prompt.setdefault(prompt, [])
        waiting.append((len(self._effects.weights), set_, uses))
        if prompt not in self._families:
            if not shared["families"]:
                return
            name = shared["families"][0]
            self._families[prompt] = self._share("Family", name, {"name": name})
            self._link("IN_FAMILY", prompt, self._families[prompt])
        family = self._families[prompt]
        for place, each_set, each_uses in waiting:
            self._in_family.setdefault(family, []).append(place)
            self._covers[each_set, family] = self._covers.get((each_set, family), 0) + 1
            for feature, influence in each_uses:
                found = self._frequencies.setdefault((feature, family), _Frequency())
                found.n_circuits += 1
                if influence is not None:
                    found.n_measured += 1
                    found.influence += influence
        waiting.clear()

    def _head(self, circuit: int, model: str, row: dict[str, Any]) -> None:
        properties = {"id": row["id"], "layer": row["layer"], "number": row["head"]}
        head = self._share("Head", row["id"], properties)
        self._link("OF_MODEL", head, self._ids["Model", model])
        self._relationship("RUNS_THROUGH", circuit, head, {"net": row["net"], "gross": row["gross"]})

    def _supernode(self, circuit: int, nodes_at: int, row: dict[str, Any]) -> None:
        number = self._number()
        self._node("Supernode", number, row["supernode"])
        self._relationship("HAS", circuit, number, {})
        label = row["supernode"]["label"]
        self._relationship("MEANS", number, self._share("Concept", label, {"label": label}), {})
        members = row["members"]
        self._columns("GROUPS", [[number] * len(members), [nodes_at + place for place in members]])

    def _drives(self) -> None:
        if not self._effects.weights:
            return
        halves = np.zeros(self._next, dtype=np.int64)
        for number, (label, properties) in self._shared.items():
            if label == "Feature":
                halves[number] = half(properties["layer"], properties["index"])
        for columns in drives_of(*self._effects.of(range(len(self._effects.weights)))):
            ends = np.concatenate(columns[:2])
            for number, degree in zip(*np.unique(ends, return_counts=True), strict=True):
                self._shared[int(number)][1]["degree"] = int(degree)
            self._effect_table("DRIVES", columns, halves)
        for family, places in self._in_family.items():
            for columns in drives_of(*self._effects.of(places)):
                name = pa.array([self._shared[family][1]["name"]] * len(columns[0]), pa.string())
                self._effect_table("DRIVES_IN", columns, halves, name)

    def _effect_table(
        self, kind: str, columns: list[Any], halves: "np.ndarray[Any, Any]", *more: pa.Array
    ) -> None:
        columns = [*columns, halves[columns[0]] * HALF + halves[columns[1]], *more]
        self._table(kind).write(pa.table(columns, [str(number) for number in range(len(columns))]))
