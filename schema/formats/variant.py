"""The differences between the tools that write graph JSON: numbers of nodes, and names of models."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from schema.circuit.records import NodeKind
from schema.formats.raw import RawGraph, RawNode


@dataclass(frozen=True, slots=True)
class NodePlace:
    """The place in a circuit of a node of a file."""

    kind: NodeKind
    layer: int
    """As in `Node.layer`. For a logit, -1 stands for the layer above the highest layer of the file."""
    position: int
    index: int | None
    component: str | None = None


class SourceNames(NamedTuple):
    """The names that a file gives to the model and the transcoders."""

    model: str | None
    """None when the file names neither the model nor the transcoders."""
    transcoders: str | None
    """None when the file does not say which transcoders it was made with."""
    n_layers: int | None
    transcoders_revision: str | None = None
    source_set: str | None = None
    attention_source_set: str | None = None
    weights: str | None = None
    """As `Circuit.weights`."""
    pages: str | None = None
    """As `TranscoderSet.neuronpedia`."""
    attention_pages: str | None = None
    """As `TranscoderSet.neuronpedia_attention`."""


class Explained(NamedTuple):
    """What is known about the texts in `clerp` of a file whose texts are explanations by a program."""

    author: str
    """Author of the explanations."""
    of_people: tuple[tuple[str, str], ...] = ()
    """Key and text, as in `qParams.clerps`, of the texts that a person wrote in place of an explanation."""


@dataclass(frozen=True)
class Variant:
    """The way in which one tool writes graph JSON."""

    tool: str
    """Name of the tool, which becomes `Source.tool`."""
    applies: Callable[[RawGraph], bool]
    """Whether a file was written by the tool."""
    place: Callable[[RawNode, RawGraph], NodePlace]
    """Gives the place of a node. Raises ValueError with the reason when the node's numbers contradict each
    other."""
    names: Callable[[RawGraph], SourceNames]
    author: str
    """Author of the labels when the file names nobody."""
    no_label: re.Pattern[str] | None = None
    """Matches texts that the tool writes in place of a label."""
    explained: Callable[[RawGraph], Explained | None] = lambda graph: None
    """Who explained the features in `clerp`; None when the texts are labels of the file's author."""


KINDS = {
    "cross layer transcoder": NodeKind.FEATURE,
    "unexplored node": NodeKind.FEATURE,
    "lorsa": NodeKind.FEATURE,
    "mlp reconstruction error": NodeKind.ERROR,
    "lorsa error": NodeKind.ERROR,
    "embedding": NodeKind.TOKEN,
    "logit": NodeKind.LOGIT,
    "bias": NodeKind.OTHER,
    "unknown": NodeKind.OTHER,
}
"""`feature_type` → kind of the node. Viewers also use `feature_type` and not `node_id`."""


LAYER = re.compile(r"(\d{1,4})(?:\.0+)?", re.ASCII)
"""A layer as a text, such as "5" or "5.0"."""


def kind(node: RawNode) -> NodeKind:
    """The kind of a node. Raises ValueError when it is unknown."""
    try:
        return KINDS[node.feature_type]
    except KeyError:
        raise ValueError(f"feature_type {node.feature_type[:60]!r} is unknown") from None


def layer_number(node: RawNode) -> int:
    """The layer of a feature or an error. Raises ValueError when it is not a number in range."""
    layer = node.layer
    if isinstance(layer, str):
        found = LAYER.fullmatch(layer)
        if found is None:
            raise ValueError(f"layer {layer[:60]!r} is not a number")
        layer = int(found[1])
    if not 0 <= layer < 10_000:
        raise ValueError(f"layer {layer} is outside 0 … 9999")
    return layer


def vocabulary_id(number: int | str | None) -> int | None:
    """The vocabulary id of a token; None when the file has none."""
    if number is None:
        return None
    number = int(number)
    return number if number >= 0 else None


def section(values: dict[str, object] | None, key: str) -> str | None:
    """A text in a section of the metadata whose types are not checked; None when it is missing or empty."""
    value = (values or {}).get(key)
    return value if isinstance(value, str) and value else None
