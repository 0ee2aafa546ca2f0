"""A circuit as node-link JSON: `networkx.node_link_graph(json.load(file), edges="edges")` reads it."""

from collections.abc import Iterator
from typing import Any

import orjson

from schema.circuit.records import Circuit
from schema.exports.graph_json import newest_labels, node_id
from schema.exports.graphml import attributes


def node_link(circuit: Circuit) -> Iterator[bytes]:
    """The file in pieces."""
    facts: dict[str, Any] = {
        "circuit": circuit.id,
        "prompt": circuit.prompt.text,
        "tokens": circuit.prompt.tokens,
        "model": circuit.model.id,
        "transcoders": circuit.transcoders.id,
    }
    head = orjson.dumps({"directed": True, "multigraph": False, "graph": facts})
    ids = [node_id(node) for node in circuit.nodes]
    labels = newest_labels(circuit.labels)
    yield head[:-1] + b',"nodes":['
    for place, node in enumerate(circuit.nodes):
        yield (b"," if place else b"") + orjson.dumps({"id": ids[place], **attributes(node, labels)})
    yield b'],"edges":['
    for place, (source, target, weight, share) in enumerate(circuit.edges):
        values = {"source": ids[source], "target": ids[target], "weight": weight}
        if share is not None:
            values["share"] = share
        yield (b"," if place else b"") + orjson.dumps(values)
    yield b"]}"
