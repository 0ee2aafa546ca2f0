"""circuit-tracer's graph JSON of every version.

The versions write ids of errors in three forms, so nodes are recognised by `feature_type` and not by id.
Logits are in layer n_layers + 1. The file names the transcoders but not the model.
"""

import re

from schema.circuit.neuronpedia_pages import MODELS
from schema.circuit.records import NodeKind, stable_id
from schema.formats.numbers import feature_index
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import (
    LAYER,
    NodePlace,
    SourceNames,
    Variant,
    kind,
    layer_number,
    section,
    vocabulary_id,
)

_TOKEN = re.compile(r"E_(-?\d{1,9})_(\d{1,9})", re.ASCII)
_REVISION = re.compile(r"(.+)@([^@/]+)", re.DOTALL)


def applies(graph: RawGraph) -> bool:
    """Neuronpedia's files have `transcoder_list` too, as circuit-tracer makes them, but name a source."""
    return graph.metadata.transcoder_list is not None and not names_a_source(graph)


def names_a_source(graph: RawGraph) -> bool:
    """Whether the file names the source of its features at Neuronpedia, which circuit-tracer never does."""
    info = graph.metadata.info or {}
    return any(info.get(key) for key in ("source_urls", "transcoder_set", "neuronpedia_source_set")) or bool(
        section(graph.metadata.feature_details, "neuronpedia_source_set")
    )


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        paired = graph.metadata.schema_version is not None
        return NodePlace(what, layer, node.ctx_idx, feature_index(node, layer, paired=paired))
    return plain_place(node, what)


def plain_place(node: RawNode, what: NodeKind) -> NodePlace:
    """The place of an error, token or logit, which circuit-tracer and Neuronpedia write in the same way."""
    if what is NodeKind.ERROR:
        return NodePlace(what, layer_number(node), node.ctx_idx, None)
    if what is NodeKind.TOKEN:
        found = _TOKEN.fullmatch(node.node_id)
        return NodePlace(what, -1, node.ctx_idx, vocabulary_id(found[1]) if found else None)
    if what is NodeKind.LOGIT:
        return NodePlace(what, layer_number(node) - 1, node.ctx_idx, vocabulary_id(node.feature))
    return NodePlace(what, layer_number(node), node.ctx_idx, None, f"{node.feature_type}:{node.node_id}")


def logit_layer(graph: RawGraph) -> int | None:
    """The number of layers, from the layer of the logits; None when the logits do not agree."""
    layers = {node.layer for node in graph.nodes if node.feature_type == "logit"}
    if len(layers) != 1 or (found := LAYER.fullmatch(str(layers.pop()))) is None:
        return None
    return max(int(found[1]) - 1, 0)


def names(graph: RawGraph) -> SourceNames:
    metadata = graph.metadata
    name, revision = metadata.scan, None
    if metadata.transcoder_list:
        # circuit-tracer's own name for a list of transcoders differs in every process.
        name = f"custom-{stable_id(metadata.transcoder_list)}"
    elif found := _REVISION.fullmatch(name):
        name, revision = found[1], found[2]
    elif name in MODELS:
        # Neuronpedia takes only files whose `scan` is the model, so people write it over the transcoders.
        return SourceNames(name, None, logit_layer(graph))
    return SourceNames(f"model of {name}" if name else "", name, logit_layer(graph), revision)


CIRCUIT_TRACER = Variant("circuit-tracer", applies, place, names, author="circuit-tracer")
