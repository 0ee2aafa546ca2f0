"""The files that Anthropic published with "On the Biology of a Large Language Model".

`feature` is the feature's number in its layer; clerps are labels that people wrote. `scan` names the run.
"""

from dataclasses import replace

from schema.circuit.records import NodeKind
from schema.formats.circuit_tracer import plain_place
from schema.formats.numbers import feature_index
from schema.formats.raw import RawGraph, RawNode
from schema.formats.variant import Names, Place, Variant, kind, layer_number

_RUNS = "jackl-circuits-runs-"


def applies(graph: RawGraph) -> bool:
    return graph.metadata.scan.startswith(_RUNS)


def place(node: RawNode, graph: RawGraph) -> Place:
    what = kind(node)
    if what is NodeKind.FEATURE:
        layer = layer_number(node)
        return Place(what, layer, node.ctx_idx, feature_index(node, layer, paired=False))
    found = plain_place(node, what)
    # Viewers put logits above all layers, whatever `layer` says.
    return replace(found, layer=-1) if what is NodeKind.LOGIT else found


def names(graph: RawGraph) -> Names:
    scan = graph.metadata.scan
    return Names(model=scan, transcoders=f"transcoders of {scan}", n_layers=None)


ANTHROPIC = Variant("anthropic", applies, place, names, author="Anthropic")
