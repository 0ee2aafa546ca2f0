"""Graphs of Neuronpedia's second engine, which replaces MLPs by transcoders and attention by Lorsa.

`layer` is a number, logits are in layer n_layers, and biases can be sources.
"""

import re

from schema.circuit.records import NodeKind
from schema.exports.graph_json import ATTENTION, BIAS
from schema.formats.circuit_tracer import plain_place
from schema.formats.neuronpedia import AUTHOR, explained
from schema.formats.neuronpedia import names as neuronpedia_names
from schema.formats.numbers import uncantor
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import NodePlace, SourceNames, Variant, kind, layer_number, section, vocabulary_id

_FEATURE = re.compile(r"(\d{1,4})_(cro|lor)_(\d{1,18})_(\d{1,9})", re.ASCII)
_OTHER = re.compile(r"\d{1,4}_(?:bias|unknown)_(.*)_\d{1,9}", re.ASCII | re.DOTALL)
_TYPES = {"lorsa", "lorsa error", "bias", "unknown"}


def applies(graph: RawGraph) -> bool:
    return any(node.feature_type in _TYPES or _FEATURE.fullmatch(node.node_id) for node in graph.nodes)


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    component = ATTENTION if node.feature_type in ("lorsa", "lorsa error") else None
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        if found := _FEATURE.fullmatch(node.node_id):
            at, index = int(found[1]), int(found[3])
        elif node.feature is not None and 0 <= node.feature < 2**63:
            at, index = uncantor(node.feature)
        else:
            raise ValueError(f"feature {node.feature} is not the number of a feature")
        if at != layer:
            raise ValueError(f"the node is of layer {at}, but layer is {layer}")
        return NodePlace(what, layer, node.ctx_idx, index, component)
    if what is NodeKind.ERROR:
        return NodePlace(what, layer_number(node), node.ctx_idx, None, component)
    if what is NodeKind.LOGIT:
        return NodePlace(what, layer_number(node), node.ctx_idx, vocabulary_id(node.feature))
    if what is NodeKind.OTHER:
        found = _OTHER.fullmatch(node.node_id)
        prefix = BIAS if node.feature_type == "bias" else ""
        return NodePlace(
            what, layer_number(node), node.ctx_idx, None, prefix + (found[1] if found else node.node_id)
        )
    return plain_place(node, what)


def names(graph: RawGraph) -> SourceNames:
    layers = {node.layer for node in graph.nodes if node.feature_type == "logit"}
    only = layers.pop() if len(layers) == 1 else None
    attention = section(graph.metadata.feature_details, "neuronpedia_lorsa_source_set")
    model = graph.metadata.scan
    return neuronpedia_names(graph)._replace(
        n_layers=only if isinstance(only, int) and only >= 0 else None,
        attention_source_set=attention,
        attention_pages=f"{model}/{attention}" if attention and "/" not in model else None,
    )


CRM = Variant(
    "neuronpedia-crm",
    applies,
    place,
    names,
    author=AUTHOR,
    explained=explained,
    no_label=re.compile(r"F\d+", re.ASCII),
)
