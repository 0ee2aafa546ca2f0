"""What differs between the tools that write graph JSON: how nodes are numbered, and who made them of what."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from schema.circuit.records import NodeKind
from schema.formats.raw import RawGraph, RawNode


@dataclass(frozen=True, slots=True)
class Place:
    """Which node of a circuit a node of a file is."""

    kind: NodeKind
    layer: int
    """Logits: -1 stands for one above the highest layer of the file."""
    position: int
    index: int | None
    component: str | None = None


class Names(NamedTuple):
    """What a file says of the model and the transcoders, as far as it does."""

    model: str
    transcoders: str
    n_layers: int | None
    transcoders_revision: str | None = None
    source_set: str | None = None
    attention_source_set: str | None = None
    weights: str | None = None
    """As `Circuit.weights`."""


@dataclass(frozen=True)
class Variant:
    """One tool's way to write graph JSON."""

    tool: str
    applies: Callable[[RawGraph], bool]
    place: Callable[[RawNode, RawGraph], Place]
    """Raises ValueError when the node's numbers contradict each other: its text is the reason."""
    names: Callable[[RawGraph], Names]
    author: str
    """Who wrote the labels, when the file does not name anybody."""
    no_label: re.Pattern[str] | None = None
    """Texts that a tool writes where a label would stand."""


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
"""`feature_type` → kind; viewers, too, go by it, not by `node_id`."""


def kind(node: RawNode) -> NodeKind:
    """Raises ValueError."""
    try:
        return KINDS[node.feature_type]
    except KeyError:
        raise ValueError(f"feature_type {node.feature_type[:60]!r} is none that is known") from None


def layer_number(node: RawNode) -> int:
    """`layer` of a feature or an error as a number. Raises ValueError."""
    layer = node.layer
    if isinstance(layer, str):
        if not re.fullmatch(r"\d{1,4}", layer, re.ASCII):
            raise ValueError(f"layer {layer[:60]!r} is no number")
        layer = int(layer)
    if not 0 <= layer < 10_000:
        raise ValueError(f"layer {layer} is outside 0 … 9999")
    return layer


def vocabulary_id(number: int | str | None) -> int | None:
    """A token's number, None when the file has none."""
    if number is None:
        return None
    number = int(number)
    return number if number >= 0 else None


def section(values: dict[str, object] | None, key: str) -> str | None:
    """A text that a file may hold in an unchecked section of its metadata."""
    value = (values or {}).get(key)
    return value if isinstance(value, str) and value else None
