"""Files of EleutherAI's `attribute`.

The weights are gradients, rounded to four decimal places and not multiplied by the activation of the source.
The circuit is marked (`Circuit.weights`), because they are not direct effects.

node_id  intermediate_{position}_{layer}_{index} · error_{position}_{layer} · input_{position} ·
         output_{position}_{rank}
feature  features: Cantor pairing of layer and index; other nodes: null
"""

import re

from schema.circuit.records import NodeKind
from schema.formats.numbers import uncantor
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import NodePlace, SourceNames, Variant, kind, layer_number

_ID = re.compile(r"(?:intermediate_\d+_\d+_\d+|error_\d+_\d+|input_\d+|output_\d+_\d+)", re.ASCII)
_NO_NAME = "default"
"""What EleutherAI's program writes as `scan` when nobody named the run."""
_FEATURE = re.compile(r"intermediate_\d{1,9}_(\d{1,4})_(\d{1,18})", re.ASCII)


def applies(graph: RawGraph) -> bool:
    return bool(graph.nodes) and all(_ID.fullmatch(node.node_id) for node in graph.nodes)


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        found = _FEATURE.fullmatch(node.node_id)
        if found is None:
            raise ValueError(f"node_id {node.node_id[:60]!r} is not the id of a feature")
        at, index = int(found[1]), int(found[2])
        if at != layer or (
            node.feature is not None
            and node.feature != -1
            and node.feature >= 0
            and uncantor(node.feature) != (at, index)
        ):
            raise ValueError(f"feature {node.feature} and layer {layer} are not those of {node.node_id}")
        return NodePlace(what, layer, node.ctx_idx, index)
    if what is NodeKind.ERROR:
        return NodePlace(what, layer_number(node), node.ctx_idx, None)
    if what is NodeKind.OTHER:
        return NodePlace(what, layer_number(node), node.ctx_idx, None, node.node_id)
    return NodePlace(what, -1, node.ctx_idx, None)


def names(graph: RawGraph) -> SourceNames:
    metadata = graph.metadata
    n_layers = metadata.n_layers if metadata.n_layers is not None and metadata.n_layers > 0 else None
    if metadata.scan == _NO_NAME:
        return SourceNames(None, None, n_layers, weights="gradient")
    return SourceNames(f"model of {metadata.scan}", metadata.scan, n_layers, weights="gradient")


ELEUTHER = Variant("eleuther-attribute", applies, place, names, author="attribute")
