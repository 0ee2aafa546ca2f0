"""A circuit's record as the parameters of the queries that load it. Pure.

Rows refer to each other by place in a list: in Cypher, taking an element of a list is several times as fast
as finding a node by its key. Everything that is sent once for each edge is a column, because names of fields
in every edge would double the size of a message.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, TypedDict

import orjson

from schema.circuit.attention import HeadPart, HeadTotal
from schema.circuit.influence import influence_sums
from schema.circuit.records import (
    Circuit,
    FeatureKey,
    Label,
    Node,
    NodeKind,
    Run,
    Supernode,
    label_id,
    stable_id,
)
from schema.loading.properties import (
    LABEL_FIELDS,
    MEASURED,
    NODE_FIELDS,
    SOURCE_FIELDS,
    SUPERNODE_FIELDS,
    Properties,
    numbered,
    properties_of,
)
from schema.model.core import CIRCUIT, MODEL, PROMPT, TRANSCODER_SET


class Frame(NamedTuple):
    """A circuit's own properties, and the nodes around it that it shares with other circuits."""

    model: Properties
    transcoders: Properties
    run: Properties
    prompt: Properties
    families: list[str]
    """The family of the prompt, or nothing: Cypher loops over a list instead of testing for null."""
    tags: list[str]
    circuit: Properties


class LoadedFeature(TypedDict):
    """A feature that the circuit has."""

    id: str
    layer: int
    index: int
    component: str | None


class LoadedUse(TypedDict):
    """A USES relationship."""

    feature: int
    """Place in `Body.features`."""
    influence: float | None
    activation: float | None
    positions: list[int]


class FeatureLabel(TypedDict):
    """A label, and the feature that it describes."""

    feature: int
    """Place in `Body.features`."""
    label: Properties


class SupernodeMembers(TypedDict):
    """A supernode, and the nodes that it groups."""

    supernode: Properties
    members: list[int]
    """Places in `Body.nodes`, ascending."""


class HeadRow(TypedDict):
    """The influence that runs through one attention head."""

    id: str
    layer: int
    head: int
    net: float
    gross: float


class NodeLists(NamedTuple):
    """The properties of the nodes by kind, in the order in which places of nodes count."""

    feature_nodes: list[Properties]
    error_nodes: list[Properties]
    token_nodes: list[Properties]
    logit_nodes: list[Properties]
    other_nodes: list[Properties]

    def ids(self) -> list[str]:
        """The ids of all nodes, by place."""
        return [row["id"] for rows in self for row in rows]


class EdgeColumns(NamedTuple):
    """The edges by column: element i of every column belongs to edge i."""

    sources: list[int]
    """Place of the source in `NodeLists`."""
    targets: list[int]
    weights: list[float]
    shares: list[float | None]
    heads: list[list[str] | None]
    """`layer/head` of the heads that carry the edge; the whole column is empty when no heads are known."""
    head_weights: list[list[float] | None]
    """The part of the weight that each head carries; empty when no heads are known."""


class Body(NamedTuple):
    """The parts of a circuit."""

    id: str
    """Id of the circuit."""
    features: list[LoadedFeature]
    """Ascending by layer and index, so that all loads lock features in one order."""
    nodes: NodeLists
    instance_of: list[int]
    """For each feature node, the place of its feature in `features`."""
    edges: EdgeColumns
    head_totals: list[HeadRow]
    uses: list[LoadedUse]
    labels: list[FeatureLabel]
    supernodes: list[SupernodeMembers]


def frame(circuit: Circuit, run: Run) -> Frame:
    """The circuit's own properties, its model, transcoder set, run and prompt."""
    prompt, answer = circuit.prompt, circuit.answer
    source = dict.fromkeys(SOURCE_FIELDS) if circuit.source is None else asdict(circuit.source)
    source["source_urls"] = source["source_urls"] or None  # no list is absent, as in every other property
    return Frame(
        model=properties_of(MODEL, circuit.model),
        transcoders=properties_of(TRANSCODER_SET, circuit.transcoders, **dict.fromkeys(MEASURED)),
        run=run_row(run),
        prompt=properties_of(PROMPT, prompt, accepted=prompt.accepted or None),
        families=[] if prompt.family is None else [prompt.family],
        tags=list(prompt.tags),
        circuit=properties_of(
            CIRCUIT,
            circuit,
            pruned_features=numbered(circuit.pruned_features),
            unselected_features=numbered(circuit.unselected_features),
            derived=[str(name) for name in circuit.derived] or None,
            n_nodes=len(circuit.nodes),
            n_edges=len(circuit.edges),
            answer=None if answer is None else answer.token,
            answer_probability=None if answer is None else answer.probability,
            **influence_sums(circuit),
            **source,
        ),
    )


def run_row(run: Run) -> Properties:
    """The properties of a run without its dates, which the ledger writes."""
    return {"id": run.id, "settings": _json(run.settings), "versions": _json(run.versions)}


def body(circuit: Circuit) -> Body:
    """Nodes, edges, features, labels and supernodes.

    The nodes are written kind by kind. `place` maps a place in the record to the place in that order.
    """
    circuit_id = circuit.id
    kinds: dict[NodeKind, list[int]] = {kind: [] for kind in NodeKind}
    for number, node in enumerate(circuit.nodes):
        kinds[node.kind].append(number)
    order = [number for kind in NodeKind for number in kinds[kind]]
    place = {number: new for new, number in enumerate(order)}
    features = _features(circuit)
    feature_nodes = [circuit.nodes[number] for number in kinds[NodeKind.FEATURE]]
    last = len(circuit.prompt.tokens) - 1
    heads = _heads_of_edges(circuit)
    return Body(
        id=circuit_id,
        features=[_feature_row(key, circuit) for key in features],
        nodes=NodeLists(
            *(
                [_node_row(circuit.nodes[number], circuit_id, last) for number in kinds[kind]]
                for kind in KINDS
            )
        ),
        instance_of=[features[node.feature_key] for node in feature_nodes],
        edges=EdgeColumns(
            sources=[place[edge.source] for edge in circuit.edges],
            targets=[place[edge.target] for edge in circuit.edges],
            weights=[float(edge.weight) for edge in circuit.edges],
            shares=[None if edge.share is None else float(edge.share) for edge in circuit.edges],
            heads=[[f"{part.layer}/{part.head}" for part in parts] or None for parts in heads],
            head_weights=[[float(part.weight) for part in parts] or None for parts in heads],
        ),
        head_totals=[_head_row(each, circuit) for each in circuit.head_totals],
        uses=_uses(feature_nodes, features),
        labels=[_label_row(label, circuit, features) for label in circuit.labels],
        supernodes=[
            SupernodeMembers(
                supernode=_supernode_row(group, circuit_id), members=sorted({place[i] for i in group.members})
            )
            for group in dict.fromkeys(circuit.supernodes)
        ],
    )


KINDS = (NodeKind.FEATURE, NodeKind.ERROR, NodeKind.TOKEN, NodeKind.LOGIT, NodeKind.OTHER)
"""The kinds of `NodeLists`, in order."""

NODE_BYTES = 120
"""Approximate size of a node's row in a message, without the circuit's id and without texts."""

EDGE_BYTES = 28
"""Approximate size of an edge in a message: two places and two numbers."""


def size_of(parts: Body) -> int:
    """Approximate size in bytes of the nodes and edges of a circuit in messages."""
    n_nodes = sum(map(len, parts.nodes))
    return n_nodes * (NODE_BYTES + len(parts.id)) + len(parts.edges.weights) * EDGE_BYTES


class Message(NamedTuple):
    """One message to the database."""

    step: str
    """Which query to run: a key of `schema.loading.load.STEPS`."""
    parameters: dict[str, Any]


def messages(framed: Frame, parts: Body, limit: int) -> list[Message]:
    """The messages that write a circuit. None has much more than `limit` bytes of nodes or edges.

    A small circuit is one message, in which edges refer to nodes by place. For a larger circuit the nodes and
    edges follow in pieces, and nodes that an earlier message wrote are found by id.
    """
    shared = framed._asdict() | {
        "features": parts.features,
        "instance_of": parts.instance_of,
        "head_totals": parts.head_totals,
        "uses": parts.uses,
        "labels": parts.labels,
    }
    nodes, edges, ids = parts.nodes, parts.edges, parts.nodes.ids()
    n_edges = len(edges.weights)
    node_bytes = NODE_BYTES + len(parts.id)
    if size_of(parts) <= limit:
        everything = {**shared, **nodes._asdict(), **edges._asdict(), "supernodes": parts.supernodes}
        return [Message("everything", everything)]
    found = [Message("circuit", {"circuit": framed.circuit})]
    size = max(1, limit // node_bytes)
    empty: dict[str, list[Properties]] = {kind: [] for kind in NodeLists._fields}
    for kind, rows in nodes._asdict().items():
        for start in range(0, len(rows), size):
            found.append(Message("nodes", {**empty, "id": parts.id, kind: rows[start : start + size]}))
    # In the worst case every edge names two nodes that no other edge of its piece names.
    size = max(1, limit // (EDGE_BYTES + 2 * node_bytes))
    for start in range(0, n_edges, size):
        piece = EdgeColumns._make(column[start : start + size] for column in edges)
        used = sorted({*piece.sources, *piece.targets})
        place = {old: new for new, old in enumerate(used)}
        piece = piece._replace(
            sources=[place[old] for old in piece.sources], targets=[place[old] for old in piece.targets]
        )
        found.append(Message("edges", {**piece._asdict(), "ids": [ids[old] for old in used]}))
    # The nodes that the rest refers to. Feature nodes come first, so they keep their places.
    members = {member for row in parts.supernodes for member in row["members"]}
    used = sorted({*range(len(nodes.feature_nodes)), *members})
    place = {old: new for new, old in enumerate(used)}
    supernodes = [
        SupernodeMembers(supernode=row["supernode"], members=[place[member] for member in row["members"]])
        for row in parts.supernodes
    ]
    rest = {"id": parts.id, "ids": [ids[old] for old in used], "supernodes": supernodes}
    found.append(Message("shared", {**shared, **rest}))
    return found


def _features(circuit: Circuit) -> dict[FeatureKey, int]:
    """The key of every feature → its place. The keys are sorted."""
    keys = {node.feature_key for node in circuit.nodes if node.kind is NodeKind.FEATURE}
    ordered = sorted(keys, key=lambda key: (key.layer, key.number, key.component or ""))
    return {key: place for place, key in enumerate(ordered)}


def _feature_row(key: FeatureKey, circuit: Circuit) -> LoadedFeature:
    id_ = circuit.transcoders.feature_id(*key)
    return LoadedFeature(id=id_, layer=key.layer, index=key.number, component=key.component)


def _head_row(total: HeadTotal, circuit: Circuit) -> HeadRow:
    id_ = f"{circuit.model.id}/{total.layer}/{total.head}"
    return HeadRow(id=id_, layer=total.layer, head=total.head, net=total.net, gross=total.gross)


def _node_row(node: Node, circuit_id: str, last: int) -> Properties:
    row: Properties = {
        "id": f"{circuit_id}/{node.key}",
        "position_from_end": last - node.position,
    }
    for name in NODE_FIELDS:
        value = getattr(node, name)
        # Absent properties are left out, because a message has a row for every node. Marks are true
        # or absent.
        if value is not None and value is not False:
            row[name] = value
    return row


def _heads_of_edges(circuit: Circuit) -> list[list[HeadPart]]:
    """The head parts of each edge; an empty list when the circuit has none."""
    if not circuit.head_parts:
        return []
    of_edge: dict[tuple[str, str], list[HeadPart]] = defaultdict(list)
    for part in circuit.head_parts:
        of_edge[part.source, part.target].append(part)
    keys = [node.key for node in circuit.nodes]
    return [of_edge[keys[edge.source], keys[edge.target]] for edge in circuit.edges]


def _uses(nodes: Sequence[Node], features: dict[FeatureKey, int]) -> list[LoadedUse]:
    found: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        found[features[node.feature_key]].append(node)
    rows = []
    for place, each in sorted(found.items()):
        influences = [node.influence for node in each if node.influence is not None]
        rows.append(
            LoadedUse(
                feature=place,
                influence=math.fsum(influences) if influences else None,
                activation=max((n.activation for n in each if n.activation is not None), default=None),
                positions=sorted(node.position for node in each),
            )
        )
    return rows


def _label_row(label: Label, circuit: Circuit, features: dict[FeatureKey, int]) -> FeatureLabel:
    key = FeatureKey(label.layer, label.index, label.component)
    id_ = label_id(circuit.transcoders.feature_id(*key), label.text, label.method, label.author)
    values = {name: getattr(label, name) for name in LABEL_FIELDS}
    return FeatureLabel(feature=features[key], label={"id": id_, **values})


def _supernode_row(group: Supernode, circuit_id: str) -> Properties:
    members = sorted(set(group.members))
    id_ = stable_id(circuit_id, group.label, group.position, members, group.method, group.author)
    return {"id": id_, **{name: getattr(group, name) for name in SUPERNODE_FIELDS}}


def _json(values: object) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
