"""circuit-tracer's graph JSON of every version.

The versions write ids of errors in three forms, so nodes are recognised by `feature_type` and not by id.
Logits are in layer n_layers + 1. `scan` names the transcoders; files rarely name the model. Numbers of
features are Cantor pairings when the file has a `schema_version`. In files of the first release they are the
layer and a fixed number of digits, or the index alone.

Source: the first release of circuit-tracer (utils/create_graph_files.py, frontend/graph_models.py).
"""

import re
from collections.abc import Sequence

from schema.circuit.neuronpedia_pages import is_of_site
from schema.circuit.records import NodeKind, stable_id
from schema.formats.first_sets import DIGITS, SETS, is_of_first_sets
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
_TRANSCODERS = re.compile(r"transcoder|crosscoder|scope|lorsa|(?<![a-z])(?:clt|plt|sae)s?(?![a-z])", re.I)
"""Words in names of transcoders that no name of a model has."""
_TUNED = r"(?:-(?:it|pt|base|chat|instruct|thinking|deduped|hf|a\d+b|\d{4}|v[\d.]+))*"
_MODEL = re.compile(
    rf"(?:[^@/]+/)?(?:gpt-?2(?:-small|-medium|-large|-xl)?|[^@/]*?(?<![\w.])\d+(?:\.\d+)?[bm]{_TUNED})", re.I
)
"""The name of a model, such as gemma-2-2b, Qwen/Qwen3-0.6B or llama-3.1-8b-it: it ends with the size."""
_DIGITS = {**DIGITS, "llama-3-131k-relu": 6}
"""`scan` of the first release → digits of the index in a feature's number, behind the layer."""


def applies(graph: RawGraph) -> bool:
    """Neuronpedia's files have `transcoder_list` too, as circuit-tracer makes them, but `scan` is the model,
    and they name a source or who made them.
    """
    metadata = graph.metadata
    if _TRANSCODERS.search(metadata.scan) or _REVISION.fullmatch(metadata.scan):
        return True
    return metadata.transcoder_list is not None and not (
        _names_a_source(graph) or _made_at_neuronpedia(graph)
    )


def _names_a_source(graph: RawGraph) -> bool:
    """Whether the file names the source of its features at Neuronpedia, which circuit-tracer never does."""
    info = graph.metadata.info or {}
    return any(info.get(key) for key in ("source_urls", "transcoder_set", "neuronpedia_source_set")) or bool(
        section(graph.metadata.feature_details, "neuronpedia_source_set")
    )


def _made_at_neuronpedia(graph: RawGraph) -> bool:
    info = graph.metadata.info or {}
    generator = info.get("generator")
    name = generator.get("name") if isinstance(generator, dict) else generator
    addresses = (section(info, key) for key in ("creator_url", "neuronpedia_link"))
    return any(map(is_of_site, addresses)) or (isinstance(name, str) and "neuronpedia" in name.lower())


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        metadata = graph.metadata
        paired, digits = metadata.versioned, _DIGITS.get(metadata.scan)
        return NodePlace(what, layer, node.ctx_idx, feature_index(node, layer, paired=paired, digits=digits))
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
        name = list_name(metadata.transcoder_list)
    elif found := _REVISION.fullmatch(name):
        name, revision = found[1], found[2]
    elif names_a_model(name):
        first = SETS.get(name) if is_of_first_sets(graph) else None
        pages = f"{name}/{first}" if first else None
        return SourceNames(name, pages, logit_layer(graph), pages=pages)
    return SourceNames(f"model of {name}" if name else "", name, logit_layer(graph), revision)


def list_name(transcoders: Sequence[str]) -> str:
    """The name of a list of transcoders. circuit-tracer's own name differs in every process."""
    return f"custom-{stable_id(list(transcoders))}"


def names_a_model(scan: str) -> bool:
    """Whether `scan` is the model and not the transcoders.

    Neuronpedia takes only files whose `scan` is the model, so people write it over the transcoders.
    """
    return _TRANSCODERS.search(scan) is None and _MODEL.fullmatch(scan) is not None


CIRCUIT_TRACER = Variant("circuit-tracer", applies, place, names, author="circuit-tracer")
