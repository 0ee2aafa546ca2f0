"""A circuit as GraphML, which Gephi, Cytoscape, yEd and NetworkX open.

XML cannot hold most control characters. In texts they become the replacement character U+FFFD.
"""

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from schema.circuit.records import Circuit, FeatureKey, Node, NodeKind
from schema.exports.graph_json import newest_labels, node_id

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NODE_KEYS = {
    "kind": "string",
    "layer": "int",
    "position": "int",
    "index": "long",
    "activation": "double",
    "influence": "double",
    "influence_is_bound": "boolean",
    "cumulative": "double",
    "token": "string",
    "probability": "double",
    "component": "string",
    "pinned": "boolean",
    "label": "string",
}
EDGE_KEYS = {"weight": "double", "share": "double"}
GRAPH_KEYS = {"circuit": "string", "prompt": "string", "model": "string", "transcoders": "string"}


def graphml(circuit: Circuit) -> Iterator[str]:
    """The file in pieces. An unknown value has no `data` element."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for target, keys in (("graph", GRAPH_KEYS), ("node", NODE_KEYS), ("edge", EDGE_KEYS)):
        for name, kind in keys.items():
            yield f'<key id="{target}-{name}" for="{target}" attr.name="{name}" attr.type="{kind}"/>\n'
    yield '<graph edgedefault="directed">\n'
    facts = (circuit.id, circuit.prompt.text, circuit.model.id, circuit.transcoders.id)
    yield "".join(_data("graph", name, value) for name, value in zip(GRAPH_KEYS, facts, strict=True)) + "\n"
    ids = [quoteattr(_clean(node_id(node))) for node in circuit.nodes]
    labels = newest_labels(circuit.labels)
    for node, node_name in zip(circuit.nodes, ids, strict=True):
        parts = "".join(_data("node", key, value) for key, value in attributes(node, labels).items())
        yield f"<node id={node_name}>{parts}</node>\n"
    for edge in circuit.edges:
        share = "" if edge.share is None else _data("edge", "share", edge.share)
        yield f"<edge source={ids[edge.source]} target={ids[edge.target]}>"
        yield f"{_data('edge', 'weight', edge.weight)}{share}</edge>\n"
    yield "</graph>\n</graphml>\n"


def attributes(node: Node, labels: dict[FeatureKey, str]) -> dict[str, str | int | float | bool]:
    """The known attributes of a node, by the names of NODE_KEYS. labels: key of a feature → its label."""
    values = {key: getattr(node, key) for key in NODE_KEYS if key != "label"}
    values["kind"] = str(node.kind)
    if node.kind is NodeKind.FEATURE and node.index is not None:
        values["label"] = labels.get(node.feature_key)
    return {key: value for key, value in values.items() if value is not None}


def _data(target: str, key: str, value: str | int | float | bool) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'<data key="{target}-{key}">{escape(_clean(text))}</data>'


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
