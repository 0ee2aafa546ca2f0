"""Refuses records whose parts do not fit together or cannot be stored, before anything is written."""

from collections.abc import Iterable
from dataclasses import asdict

from schema.circuit.direction import backward_edge
from schema.circuit.influence import MOST_LAYERS
from schema.circuit.records import FLOAT32_MAX, Circuit, FeatureKey, NodeKind
from schema.errors import InputError
from schema.loading.properties import LAYERS

KEY_LIMIT = 4000
"""Largest size in bytes of a name that is a key or has an index. Neo4j cannot index texts of more than about
8 000 bytes."""


def check_record(circuit: Circuit) -> None:
    """Raise InputError when the parts of a circuit do not fit together or cannot be stored."""

    def refuse(what: str, next_step: str = "correct the file or the converter that made the circuit") -> None:
        raise InputError(f"Circuit {circuit.id} ({circuit.prompt.text[:60]!r}): {what}", next_step=next_step)

    count = len(circuit.nodes)
    seen: set[str] = set()
    for place, node in enumerate(circuit.nodes):
        if node.key in seen:
            refuse(f"two nodes are {node.key}")
        seen.add(node.key)
        if node.kind is NodeKind.FEATURE and node.index is None:
            refuse(f"node {place} is a feature node without an index")
        if node.kind in (NodeKind.FEATURE, NodeKind.ERROR) and node.layer >= MOST_LAYERS:
            refuse(f"node {place} has layer {node.layer}, above {MOST_LAYERS - 1}")
        if node.index is not None and not 0 <= node.index < 2**63:
            refuse(f"node {place} has index {node.index}, outside 0 … 2^63-1")
    pairs = {(edge.source, edge.target) for edge in circuit.edges}
    if len(pairs) < len(circuit.edges):
        refuse("two edges have the same source and target")
    for edge in circuit.edges:
        if not (0 <= edge.source < count and 0 <= edge.target < count):
            refuse(f"an edge goes from node {edge.source} to {edge.target}, but the last node is {count - 1}")
    for group in circuit.supernodes:
        for place in group.members:
            if not 0 <= place < count:
                refuse(f"supernode {group.label!r} groups node {place}, but the last node is {count - 1}")
    for layer, index in (*(circuit.pruned_features or ()), *(circuit.unselected_features or ())):
        if not (0 <= layer < LAYERS and 0 <= index < 2**63 // LAYERS):
            refuse(f"the absent feature {layer}/{index} is outside 0 … {LAYERS - 1} / 0 … 2^53-1")
    features = {node.feature_key for node in circuit.nodes if node.kind is NodeKind.FEATURE}
    for label in circuit.labels:
        if FeatureKey(label.layer, label.index, label.component) not in features:
            refuse(f"label {label.text!r} is about feature {label.layer}/{label.index}, which no node has")
    # NaN is not within bounds either.
    if not all(-FLOAT32_MAX <= number <= FLOAT32_MAX for number in _numbers(circuit)):
        refuse("a weight, score or activation is not a finite 32-bit number")
    ends = [(edge.source, edge.target) for edge in circuit.edges]
    if (found := backward_edge(circuit.nodes, ends)) is not None:
        number, reason = found
        source, target = (circuit.nodes[place].key for place in circuit.edges[number][:2])
        refuse(f"the edge from {source} to {target} {reason}")
    prompt = circuit.prompt
    keys = [prompt.family or "", *prompt.tags, *(group.label for group in circuit.supernodes)]
    keys += [circuit.model.id, circuit.transcoders.id]
    if circuit.source is not None:
        keys += [circuit.source.tool, circuit.source.slug, circuit.source.creator or ""]
    for text in (*keys, *_texts(circuit)):
        try:
            text.encode()
        except UnicodeEncodeError:
            refuse(f"{text[:60]!r} holds half of a surrogate pair, which is not valid Unicode text")
    for key in keys:
        if len(key.encode()) > KEY_LIMIT:
            refuse(f"the name {key[:60]!r}… is longer than {KEY_LIMIT} bytes", "shorten it")


def _numbers(circuit: Circuit) -> Iterable[float]:
    """All numbers that could be NaN or infinity."""
    values: list[float | None] = [circuit.node_threshold, circuit.edge_threshold, circuit.replacement_score]
    values += [circuit.completeness_score, circuit.error_share, circuit.kept_influence]
    values += [circuit.error_share_low, circuit.error_share_high]
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
    """All texts that are not keys."""
    prompt = circuit.prompt
    yield from (prompt.text, *prompt.tokens, prompt.expected or "", prompt.pair or "", prompt.split or "")
    yield from prompt.accepted
    yield circuit.continuation or ""
    yield circuit.qk_tracing or ""
    yield from (node.token for node in circuit.nodes if node.token is not None)
    for label in circuit.labels:
        yield from (label.text, label.method, label.author)
    for group in circuit.supernodes:
        yield from (group.method, group.author)
    if circuit.source is not None:
        yield from (text for text in asdict(circuit.source).values() if isinstance(text, str))
        yield from circuit.source.source_urls
