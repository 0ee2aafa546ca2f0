"""The files that Anthropic published with "On the Biology of a Large Language Model".

`feature` is the index of the feature in its layer. Clerps are labels that people wrote. `scan` names the run.
"""

from dataclasses import replace

from schema.circuit.records import NodeKind
from schema.formats.circuit_tracer import plain_place
from schema.formats.numbers import feature_index
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import NodePlace, SourceNames, Variant, kind, layer_number

_RUNS = "jackl-circuits-runs-"


def applies(graph: RawGraph) -> bool:
    return graph.metadata.scan.startswith(_RUNS)


def place(node: RawNode, graph: RawGraph) -> NodePlace:
    what = kind(node)
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        return NodePlace(what, layer, node.ctx_idx, feature_index(node, layer, paired=False))
    found = plain_place(node, what)
    # Viewers draw logits above all layers and ignore `layer`.
    return replace(found, layer=-1) if what is NodeKind.LOGIT else found


def names(graph: RawGraph) -> SourceNames:
    scan = graph.metadata.scan
    return SourceNames(model=scan, transcoders=f"transcoders of {scan}", n_layers=None)


ANTHROPIC = Variant("anthropic", applies, place, names, author="Anthropic")
