"""Writes many circuits as tables for Neo4j's own importer, which fills a new database.

1. add      appends the rows of one circuit to CSV files, one file for each label and relationship type;
            numbers the nodes in order
2. finish   writes the nodes that circuits share, and the aggregates. Effects are added in the order of the
            circuits, so every value equals the one that loading the circuits one by one would have stored
3. amend    after the import, writes the lists that CSV cannot hold, over Bolt

The columns and their types are those of `schema.model.core`. In CSV an absent value is empty, and an empty
text is "". A list that is empty, or that has an element with the separator in it, cannot be written and is
amended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from schema.circuit.records import Circuit, Run
from schema.circuit.tagged import TaggedCircuit
from schema.database import Database
from schema.loading.aggregates import NO_USES, add_use_to, effect_columns
from schema.loading.bulk_table import SEPARATOR, Table, unwritable
from schema.loading.effects import HALF, effects_of_record, half
from schema.loading.properties import Properties
from schema.loading.rows import (
    Frame,
    HeadRow,
    LoadedFeature,
    LoadedUse,
    NodeLists,
    SupernodeMembers,
    body,
    frame,
)
from schema.loading.validate import check_record
from schema.model.core import NODES, RELATIONSHIPS
from schema.model.declare import NodeType, Property

_LABELS = {node.label: node for node in NODES}
_LABEL_OF = dict(
    zip(NodeLists._fields, ("FeatureNode", "ErrorNode", "TokenNode", "LogitNode", "OtherNode"), strict=True)
)


def _properties(node: NodeType) -> tuple[Property, ...]:
    found = node.properties + (_LABELS[node.refines].properties if node.refines else ())
    # Only the ledger writes dates, and it is written after the import.
    return tuple(each for each in found if each.type != "datetime")


class _WaitingCircuit(NamedTuple):
    """A circuit whose prompt has no family yet."""

    place: int
    """Place of its effects in `_Effects`."""
    transcoders: int
    """Number of its set."""
    uses: list[tuple[int, float | None]]
    """Number of each of its features, and the influence of the feature."""


@dataclass
class _Effects:
    """The effects of all circuits so far, in the order of the circuits: one array for each circuit."""

    sources: list[np.ndarray[Any, Any]] = field(default_factory=list)
    targets: list[np.ndarray[Any, Any]] = field(default_factory=list)
    weights: list[np.ndarray[Any, Any]] = field(default_factory=list)

    def of(self, places: Sequence[int]) -> tuple["np.ndarray[Any, Any]", ...]:
        """The sources, targets and weights of the circuits at these places, as three arrays."""
        columns = (self.sources, self.targets, self.weights)
        return tuple(np.concatenate([column[place] for place in places]) for column in columns)


class BulkWriter:
    """Writes the tables of many circuits into a folder.

    Call `add` for each circuit, then `finish`; run the importer; then call `amend`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._nodes: dict[str, Table] = {}
        self._relationships: dict[str, Table] = {}
        self._next = 0
        self._ids: dict[tuple[str, str], int] = {}
        """(label, key) of a node that circuits share → its number."""
        self._shared: dict[int, tuple[str, Properties]] = {}
        """Number of a node that circuits share → its label and properties. These nodes are written at the
        end."""
        self._linked: set[tuple[str, int, int]] = set()
        """(type, source, target) of the relationships that are written only once."""
        self._models: dict[int, int] = {}
        """Number of a set → number of its model. The last circuit decides."""
        self._families: dict[int, int] = {}
        """Number of a prompt → number of its family."""
        self._found_in: dict[tuple[int, int], Properties] = {}
        """(feature, family) → the properties of FOUND_IN."""
        self._covers: dict[tuple[int, int], int] = {}
        """(set, family) → the number of circuits."""
        self._waiting: dict[int, list[_WaitingCircuit]] = {}
        """Number of a prompt without a family → its circuits so far."""
        self._effects = _Effects()
        self._in_family: dict[int, list[int]] = {}
        """Number of a family → places of its circuits in `_effects`."""
        self._amend: list[tuple[str, str, str, Any]] = []
        """(label, key, property, value) of the lists that CSV cannot hold."""
        self._added: dict[str, int] = {}
        """Id of a circuit that was added → number of its prompt."""

    def add(self, circuit: Circuit, run: Run) -> bool:
        """Write the tables of one circuit. Returns False when it was added before.

        Raises InputError when the parts of the record do not fit together.
        """
        check_record(circuit)
        if circuit.id in self._added:
            return False
        parts, framed = body(circuit), frame(circuit, run)
        edges = parts.edges
        circuit_number = self._number(sum(map(len, parts.nodes)) + 1)
        self._node("Circuit", circuit_number, framed.circuit)
        nodes_at = circuit_number + 1
        number = nodes_at
        for kind, rows in parts.nodes._asdict().items():
            for row in rows:
                self._node(_LABEL_OF[kind], number, row)
                number += 1
        n_nodes = number - nodes_at
        self._columns("HAS", [[circuit_number] * n_nodes, range(nodes_at, number)])
        self._columns(
            "ATTRIBUTES",
            [
                [nodes_at + place for place in edges.sources],
                [nodes_at + place for place in edges.targets],
                edges.weights,
                edges.shares,
                edges.heads or [None] * len(edges.weights),
                edges.head_weights or [None] * len(edges.weights),
            ],
        )
        prompt_number, set_number = self._frame(circuit_number, framed)
        self._added[circuit.id] = prompt_number
        for head in parts.head_totals:
            self._head(circuit_number, framed.model["id"], head)
        features = self._features(parts.features, set_number)
        self._columns(
            "INSTANCE_OF",
            [
                range(nodes_at, nodes_at + len(parts.instance_of)),
                [features[place] for place in parts.instance_of],
            ],
        )
        self._uses(parts.uses, features, circuit_number)
        self._count(framed, set_number, [(features[use["feature"]], use["influence"]) for use in parts.uses])
        for labelled in parts.labels:
            label = self._share("Label", labelled["label"]["id"], labelled["label"])
            self._link("LABELS", label, features[labelled["feature"]])
        for group in parts.supernodes:
            self._supernode(circuit_number, nodes_at, group)
        effects = effects_of_record(circuit)
        ids = np.array([self._ids["Feature", key] for key in effects.features], dtype=np.int64)
        self._effects.sources.append(ids[np.array(effects.sources, dtype=np.int64)])
        self._effects.targets.append(ids[np.array(effects.targets, dtype=np.int64)])
        self._effects.weights.append(np.array(effects.weights, dtype=np.float64))
        return True

    def tag_again(self, circuit: str, tags: Sequence[str]) -> TaggedCircuit:
        """Give the prompt of a circuit that was added the tags that it lacks. circuit: its id."""
        prompt = self._added[circuit]
        before = len(self._linked)
        self._tag(prompt, tags)
        family = self._families.get(prompt)
        name = None if family is None else self._shared[family][1]["name"]
        return TaggedCircuit(circuit, name, len(self._linked) - before)

    def finish(self) -> list[str]:
        """Write shared nodes and aggregates, and close the files. Returns the importer's arguments."""
        for transcoders, model in self._models.items():
            self._link("FOR", transcoders, model)
        self._drives()
        models = {target for kind, _, target in self._linked if kind in ("FOR", "OF_MODEL")}
        for number, (label, properties) in self._shared.items():
            if label != "Model" or number in models:
                self._node(label, number, properties)
        for (feature, family), sums in self._found_in.items():
            self._relationship("FOUND_IN", feature, family, sums)
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
        """Write the lists that CSV cannot hold. Call this after the import and the migrations."""
        for label, key, name, value in self._amend:
            # Label, key and property are declared names, so they can be part of the text.
            text = f"MATCH (n:{label} {{{_LABELS[label].key}: $key}}) SET n.{name} = $value"
            database.write(text, {"key": key, "value": value})

    # -- each method writes one kind of node or relationship

    def _number(self, count: int = 1) -> int:
        first = self._next
        self._next += count
        return first

    def _node(self, label: str, number: int, properties: Properties) -> None:
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

    def _relationship(self, kind: str, source: int, target: int, properties: Properties) -> None:
        self._table(kind).add((source, target), properties)

    def _columns(self, kind: str, columns: list[Any]) -> None:
        if len(columns[0]):
            self._table(kind).extend(columns)

    def _link(self, kind: str, source: int, target: int) -> None:
        if (kind, source, target) not in self._linked:
            self._linked.add((kind, source, target))
            self._relationship(kind, source, target, {})

    def _share(self, label: str, key: str, properties: Properties) -> int:
        """The number of a node that circuits share. The node keeps the properties of the first circuit."""
        number = self._ids.get((label, key))
        if number is None:
            number = self._ids[label, key] = self._number()
            self._shared[number] = (label, properties)
        return number

    def _tag(self, prompt: int, tags: Sequence[str]) -> None:
        for name in tags:
            self._link("TAGGED", prompt, self._share("Tag", name, {"name": name}))

    def _frame(self, circuit: int, framed: Frame) -> tuple[int, int]:
        """Write what surrounds a circuit. Returns the numbers of its prompt and of its set."""
        model = self._share("Model", framed.model["id"], framed.model)
        transcoders = self._share("TranscoderSet", framed.transcoders["id"], framed.transcoders)
        run = self._share("Run", framed.run["id"], framed.run)
        prompt = self._share("Prompt", framed.prompt["id"], framed.prompt)
        if self._models.setdefault(transcoders, model) != model:
            self._models[transcoders] = model
            stored = self._shared[transcoders][1]
            stored |= {name: value for name, value in framed.transcoders.items() if stored.get(name) is None}
        self._tag(prompt, framed.tags)
        for kind, target in (("OF_PROMPT", prompt), ("BY", transcoders), ("FROM_RUN", run)):
            self._relationship(kind, circuit, target, {})
        return prompt, transcoders

    def _features(self, rows: list[LoadedFeature], transcoders: int) -> list[int]:
        """The numbers of the features, by place."""
        numbers = []
        for row in rows:
            known = ("Feature", row["id"]) in self._ids
            number = self._share("Feature", row["id"], {**row, **NO_USES, "degree": 0})
            if not known:
                self._relationship("IN", number, transcoders, {})
            numbers.append(number)
        return numbers

    def _uses(self, uses: list[LoadedUse], features: list[int], circuit: int) -> None:
        for use in uses:
            feature = features[use["feature"]]
            self._relationship("USES", circuit, feature, {**use})
            add_use_to(self._shared[feature][1], use["influence"])

    def _count(self, framed: Frame, set_: int, uses: list[tuple[int, float | None]]) -> None:
        """Add the circuit to the counts of its family.

        When the circuit gives its prompt a family, the earlier circuits of the prompt are added too.
        """
        prompt = self._ids["Prompt", framed.prompt["id"]]
        waiting = self._waiting.setdefault(prompt, [])
        waiting.append(_WaitingCircuit(len(self._effects.weights), set_, uses))
        if prompt not in self._families:
            if not framed.families:
                return
            name = framed.families[0]
            self._families[prompt] = self._share("Family", name, {"name": name})
            self._link("IN_FAMILY", prompt, self._families[prompt])
        family = self._families[prompt]
        for each in waiting:
            self._in_family.setdefault(family, []).append(each.place)
            self._covers[each.transcoders, family] = self._covers.get((each.transcoders, family), 0) + 1
            for feature, influence in each.uses:
                if (feature, family) not in self._found_in:
                    self._found_in[feature, family] = dict(NO_USES)
                add_use_to(self._found_in[feature, family], influence)
        waiting.clear()

    def _head(self, circuit: int, model: str, row: HeadRow) -> None:
        properties = {"id": row["id"], "layer": row["layer"], "number": row["head"]}
        head = self._share("Head", row["id"], properties)
        self._link("OF_MODEL", head, self._ids["Model", model])
        self._relationship("RUNS_THROUGH", circuit, head, {"net": row["net"], "gross": row["gross"]})

    def _supernode(self, circuit: int, nodes_at: int, row: SupernodeMembers) -> None:
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
        for columns in effect_columns(*self._effects.of(range(len(self._effects.weights)))):
            ends = np.concatenate(columns[:2])
            for number, degree in zip(*np.unique(ends, return_counts=True), strict=True):
                self._shared[int(number)][1]["degree"] = int(degree)
            self._effect_table("DRIVES", columns, halves)
        for family, places in self._in_family.items():
            for columns in effect_columns(*self._effects.of(places)):
                name = pa.array([self._shared[family][1]["name"]] * len(columns[0]), pa.string())
                self._effect_table("DRIVES_IN", columns, halves, name)

    def _effect_table(
        self, kind: str, columns: list[Any], halves: "np.ndarray[Any, Any]", *more: pa.Array
    ) -> None:
        columns = [*columns, halves[columns[0]] * HALF + halves[columns[1]], *more]
        self._table(kind).write(pa.table(columns, [str(number) for number in range(len(columns))]))
