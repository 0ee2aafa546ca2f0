"""From a circuit's record to the parameters of the queries that load it; pure.

Rows refer to each other by their place in lists, which is several times as fast as looking keys up.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from schema.circuit.influence import circuit_sums
from schema.circuit.records import Circuit, Label, Node, NodeKind, Run, Supernode, stable_id
from schema.errors import InputError
from schema.loading.head_rows import head_rows

LAYERS = 1024
"""What indices are multiplied by, so that a layer fits beside them in one number."""

KEY_LIMIT = 4000
"""Bytes of a name that is a key: Neo4j cannot index more than about 8 000."""


def check(circuit: Circuit) -> None:
    """Raise InputError when the parts of a circuit do not fit together, or cannot be stored."""

    def refuse(
        what: str, next_step: str = "the file or the converter that made the circuit is at fault"
    ) -> None:
        raise InputError(f"Circuit {circuit.id} ({circuit.prompt.text[:60]!r}): {what}", next_step=next_step)

    count = len(circuit.nodes)
    seen: set[str] = set()
    for place, node in enumerate(circuit.nodes):
        if node.key in seen:
            refuse(f"two nodes are {node.key}")
        seen.add(node.key)
        if node.kind is NodeKind.FEATURE and node.index is None:
            refuse(f"node {place} is a feature node without an index")
        if node.index is not None and not 0 <= node.index < 2**63:
            refuse(f"node {place} has index {node.index}, outside 0 … 2^63-1")
    pairs = {(edge.source, edge.target) for edge in circuit.edges}
    if len(pairs) < len(circuit.edges):
        refuse("two edges have the same source and target")
    for edge in circuit.edges:
        if not (0 <= edge.source < count and 0 <= edge.target < count):
            refuse(f"an edge goes from node {edge.source} to {edge.target}, but there are {count} nodes")
    for group in circuit.supernodes:
        for place in group.members:
            if not 0 <= place < count:
                refuse(f"supernode {group.label!r} groups node {place}, but there are {count} nodes")
    for layer, index in (*(circuit.pruned_features or ()), *(circuit.unselected_features or ())):
        if not (0 <= layer < LAYERS and 0 <= index < 2**63 // LAYERS):
            refuse(f"the absent feature {layer}/{index} is outside 0 … {LAYERS - 1} / 0 … 2^53-1")
    features = {_feature_key(node) for node in circuit.nodes if node.kind is NodeKind.FEATURE}
    for label in circuit.labels:
        if (label.layer, label.index, label.component) not in features:
            refuse(f"label {label.text!r} is about feature {label.layer}/{label.index}, which no node has")
    if not all(math.isfinite(number) for number in _numbers(circuit)):
        refuse("a weight, score or activation is not a finite number")
    prompt = circuit.prompt
    keys = [prompt.family or "", *prompt.tags, *(group.label for group in circuit.supernodes)]
    keys += [circuit.model.id, circuit.transcoders.id]
    for text in (*keys, *_texts(circuit)):
        try:
            text.encode()
        except UnicodeEncodeError:
            refuse(f"{text[:60]!r} holds half of a surrogate pair, which is no Unicode text")
    for key in keys:
        if len(key.encode()) > KEY_LIMIT:
            refuse(f"the name {key[:60]!r}… is longer than {KEY_LIMIT} bytes", "shorten it")


def _numbers(circuit: Circuit) -> Iterable[float]:
    values: list[float | None] = [circuit.node_threshold, circuit.edge_threshold, circuit.replacement_score]
    values += [circuit.completeness_score, circuit.error_share, circuit.kept_influence]
    values += [group.score for group in circuit.supernodes]
    for label in circuit.labels:
        values += [label.score, label.null_score]
    for node in circuit.nodes:
        values += [node.activation, node.influence, node.cumulative, node.probability]
    for edge in circuit.edges:
        values += [edge.weight, edge.share]
    values += [part.weight for part in circuit.head_parts]
    for total in circuit.head_totals:
        values += [total.net, total.gross]
    return (value for value in values if value is not None)


def _texts(circuit: Circuit) -> Iterable[str]:
    prompt = circuit.prompt
    yield from (prompt.text, *prompt.tokens, prompt.expected or "", prompt.pair or "", prompt.split or "")
    yield circuit.qk_tracing or ""
    yield from (node.token for node in circuit.nodes if node.token is not None)
    for label in circuit.labels:
        yield from (label.text, label.method, label.author)
    for group in circuit.supernodes:
        yield from (group.method, group.author)
    if circuit.source is not None:
        yield from (text for text in asdict(circuit.source).values() if text is not None)


def frame(circuit: Circuit, run: Run) -> dict[str, Any]:
    """Model, set, run, prompt and the circuit itself."""
    model, transcoders, prompt, answer = circuit.model, circuit.transcoders, circuit.prompt, circuit.answer
    return {
        "model": {
            "id": model.id,
            "name": model.name,
            "revision": model.revision,
            "architecture": model.architecture,
            "n_layers": model.n_layers,
            "d_model": model.d_model,
            "vocab_size": model.vocab_size,
            "training_step": model.training_step,
        },
        "set": {
            "id": transcoders.id,
            "name": transcoders.name,
            "revision": transcoders.revision,
            "kind": transcoders.kind,
            "activation": transcoders.activation,
            "input_hook": transcoders.input_hook,
            "output_hook": transcoders.output_hook,
            "n_features": transcoders.n_features,
        },
        "run": run_row(run),
        "prompt": {
            "id": prompt.id,
            "text": prompt.text,
            "tokens": list(prompt.tokens),
            "token_ids": None if prompt.token_ids is None else list(prompt.token_ids),
            "expected": prompt.expected,
            "pair": prompt.pair,
            "split": prompt.split,
        },
        "families": [] if prompt.family is None else [prompt.family],
        "tags": list(prompt.tags),
        "circuit": {
            "id": circuit.id,
            "target": circuit.target,
            "target_position": circuit.target_position,
            "node_threshold": None if circuit.node_threshold is None else float(circuit.node_threshold),
            "edge_threshold": None if circuit.edge_threshold is None else float(circuit.edge_threshold),
            "max_feature_nodes": circuit.max_feature_nodes,
            "dtype": circuit.dtype,
            "special_first_token": circuit.special_first_token,
            "replacement_score": circuit.replacement_score,
            "completeness_score": circuit.completeness_score,
            "error_share": circuit.error_share,
            "n_active_features": circuit.n_active_features,
            "n_selected_features": circuit.n_selected_features,
            "kept_influence": circuit.kept_influence,
            "pruned_features": _numbered(circuit.pruned_features),
            "unselected_features": _numbered(circuit.unselected_features),
            **circuit_sums(circuit),
            "n_nodes": len(circuit.nodes),
            "n_edges": len(circuit.edges),
            "answer": None if answer is None else answer.token,
            "answer_probability": None if answer is None else answer.probability,
            "correct": circuit.correct,
            "weights": circuit.weights,
            "content": circuit.content,
            "qk_tracing": circuit.qk_tracing,
            **({} if circuit.source is None else asdict(circuit.source)),
        },
    }


def _numbered(features: Iterable[tuple[int, int]] | None) -> list[int] | None:
    """Layer and index as one number each: Neo4j packs such lists to a few bytes an element."""
    return None if features is None else sorted(index * LAYERS + layer for layer, index in features)


def run_row(run: Run) -> dict[str, str]:
    """A run's properties, but for its dates."""
    return {"id": run.id, "settings": _json(run.settings), "versions": _json(run.versions)}


def body(circuit: Circuit) -> dict[str, Any]:
    """Nodes, edges, features, labels and supernodes.

    Nodes are created kind by kind; `place` maps a place in the record to one in that order.
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
    rows = {
        kind: [_node_row(circuit.nodes[number], circuit_id, last) for number in numbers]
        for kind, numbers in kinds.items()
    }
    return {
        "id": circuit_id,
        "features": [[circuit.transcoders.feature_id(*key), *key] for key in features],
        "feature_nodes": rows[NodeKind.FEATURE],
        "error_nodes": rows[NodeKind.ERROR],
        "token_nodes": rows[NodeKind.TOKEN],
        "logit_nodes": rows[NodeKind.LOGIT],
        "other_nodes": rows[NodeKind.OTHER],
        "instance_of": [features[_feature_key(node)] for node in feature_nodes],
        "sources": [place[edge.source] for edge in circuit.edges],
        "targets": [place[edge.target] for edge in circuit.edges],
        "weights": [float(edge.weight) for edge in circuit.edges],
        "shares": [None if edge.share is None else float(edge.share) for edge in circuit.edges],
        **head_rows(circuit),
        "uses": _uses(feature_nodes, features),
        "labels": [_label_row(label, circuit, features) for label in circuit.labels],
        "supernodes": [
            {
                "supernode": _supernode_row(group, circuit_id),
                "members": sorted({place[i] for i in group.members}),
            }
            for group in dict.fromkeys(circuit.supernodes)
        ],
    }


KINDS = ("feature_nodes", "error_nodes", "token_nodes", "logit_nodes", "other_nodes")
"""Nodes of `body`, in the order that its places count in."""

EDGES = ("sources", "targets", "weights", "shares", "heads", "head_weights")
"""Columns of edges in `body`; the last two are empty when no heads are known."""

DETAIL = (*KINDS, *EDGES)

NODE_BYTES = 120
"""A node's row in a message, about, without the circuit's id and texts."""

EDGE_BYTES = 28
"""An edge: two places and two numbers."""


def batches(
    circuit_id: str, frame_rows: dict[str, Any], body_rows: dict[str, Any], limit: int
) -> list[tuple[str, dict[str, Any]]]:
    """(step of `schema.loading.load`, parameters) that write a circuit, none much over `limit` bytes of
    detail.

    A circuit that fits goes whole, its edges by place; else nodes and edges follow in pieces, by id.
    """
    ids = [row["id"] for kind in KINDS for row in body_rows[kind]]
    n_edges = len(body_rows["weights"])
    node_bytes = NODE_BYTES + len(circuit_id)
    if len(ids) * node_bytes + n_edges * EDGE_BYTES <= limit:
        return [("whole", {**frame_rows, **body_rows})]
    steps: list[tuple[str, dict[str, Any]]] = [("circuit", frame_rows)]
    size = max(1, limit // node_bytes)
    for kind in KINDS:
        rows = body_rows[kind]
        for start in range(0, len(rows), size):
            none: dict[str, Any] = {key: [] for key in KINDS}
            steps.append(("nodes", {**none, "id": circuit_id, kind: rows[start : start + size]}))
    # Every edge may name two nodes that no other edge of its piece names.
    size = max(1, limit // (EDGE_BYTES + 2 * node_bytes))
    for start in range(0, n_edges, size):
        stop = start + size
        sources, targets = body_rows["sources"][start:stop], body_rows["targets"][start:stop]
        used = sorted({*sources, *targets})
        place = {old: new for new, old in enumerate(used)}
        piece = {
            "ids": [ids[old] for old in used],
            "sources": [place[old] for old in sources],
            "targets": [place[old] for old in targets],
            **{key: body_rows[key][start:stop] for key in EDGES[2:]},
        }
        steps.append(("edges", piece))
    shared = {key: value for key, value in body_rows.items() if key not in DETAIL}
    # Features, and what supernodes group besides: the order of `KINDS`, so that features keep their places.
    members = {member for row in body_rows["supernodes"] for member in row["members"]}
    used = sorted({*range(len(body_rows["feature_nodes"])), *members})
    place = {old: new for new, old in enumerate(used)}
    shared["supernodes"] = [
        {**row, "members": [place[member] for member in row["members"]]} for row in shared["supernodes"]
    ]
    steps.append(("share", {**frame_rows, **shared, "ids": [ids[old] for old in used]}))
    return steps


FeatureKey = tuple[int, int, str | None]
"""Layer, index and component."""


def _feature_key(node: Node) -> FeatureKey:
    assert node.index is not None
    return node.layer, node.index, node.component


def _features(circuit: Circuit) -> dict[FeatureKey, int]:
    """The key of every feature, sorted (so that two loads lock in the same order) → its place."""
    keys = {_feature_key(node) for node in circuit.nodes if node.kind is NodeKind.FEATURE}
    ordered = sorted(keys, key=lambda key: (key[0], key[1], key[2] or ""))
    return {key: place for place, key in enumerate(ordered)}


def _node_row(node: Node, circuit_id: str, last: int) -> dict[str, Any]:
    row = {
        "id": f"{circuit_id}/{node.key}",
        "layer": node.layer,
        "position": node.position,
        "position_from_end": last - node.position,
        "index": node.index,
        "activation": node.activation,
        "influence": node.influence,
        "cumulative": node.cumulative,
        "token": node.token,
        "probability": node.probability,
        "component": node.component,
        "pinned": node.pinned or None,
    }
    return {key: value for key, value in row.items() if value is not None}


def _uses(nodes: Sequence[Node], features: dict[FeatureKey, int]) -> list[dict[str, Any]]:
    found: dict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        found[features[_feature_key(node)]].append(node)
    rows = []
    for place, each in sorted(found.items()):
        influences = [node.influence for node in each if node.influence is not None]
        rows.append(
            {
                "feature": place,
                "influence": math.fsum(influences) if influences else None,
                "activation": max((n.activation for n in each if n.activation is not None), default=None),
                "positions": sorted(node.position for node in each),
            }
        )
    return rows


def _label_row(label: Label, circuit: Circuit, features: dict[FeatureKey, int]) -> dict[str, Any]:
    key = label.layer, label.index, label.component
    feature_id = circuit.transcoders.feature_id(*key)
    return {
        "feature": features[key],
        "label": {
            "id": stable_id(feature_id, label.text, label.method, label.author),
            "text": label.text,
            "method": label.method,
            "author": label.author,
            "score": label.score,
            "null_score": label.null_score,
        },
    }


def _supernode_row(group: Supernode, circuit_id: str) -> dict[str, Any]:
    members = sorted(set(group.members))
    return {
        "id": stable_id(circuit_id, group.label, group.position, members, group.method, group.author),
        "label": group.label,
        "position": group.position,
        "method": group.method,
        "author": group.author,
        "score": group.score,
    }


def drives(circuit: Circuit) -> dict[str, Any]:
    """`pairs` of one circuit."""
    effects: dict[tuple[str, str], list[float]] = defaultdict(list)
    feature_id = circuit.transcoders.feature_id
    ids = [
        feature_id(*_feature_key(node)) if node.kind is NodeKind.FEATURE else None for node in circuit.nodes
    ]
    for edge in circuit.edges:
        source, target = ids[edge.source], ids[edge.target]
        if source is not None and target is not None:
            effects[source, target].append(edge.weight)
    return pairs(effects)


def pairs(effects: dict[tuple[str, str], list[float]]) -> dict[str, Any]:
    """One circuit's weight of each pair of features: the exact sum over positions, rounded once."""
    ids = sorted({feature for pair in effects for feature in pair})
    place = {feature: number for number, feature in enumerate(ids)}
    pairs = sorted(effects)
    return {
        "features": ids,
        "sources": [place[source] for source, _ in pairs],
        "targets": [place[target] for _, target in pairs],
        "weights": [math.fsum(effects[pair]) for pair in pairs],
    }


def _json(values: object) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
