"""The graphs that were made before files named their transcoders, when each model had one set.

Only the numbers of their features tell: later files have a `schema_version` or a source set.
"""

from schema.circuit.records import NodeKind
from schema.formats.numbers import is_number
from schema.formats.raw import RawGraph
from schema.formats.variant import kind, layer_number

SETS = {"gemma-2-2b": "gemmascope-transcoder-16k"}
"""Model → the source set that Neuronpedia has of its one set."""
DIGITS: dict[str, int | None] = {"gemma-2-2b": 5, "qwen3-4b": None}
"""Model → digits of the index in a feature's number, behind the layer; None: the number is the index."""


def is_of_first_sets(graph: RawGraph) -> bool:
    """Whether the graph is one of these, as far as the numbers of its features tell."""
    metadata = graph.metadata
    if metadata.versioned or metadata.scan not in DIGITS:
        return False
    digits = DIGITS[metadata.scan]
    features = (node for node in graph.nodes if kind(node) is NodeKind.FEATURE)
    return all(is_number(node, layer_number(node), digits) for node in features)
