"""A circuit's pruned graph, as far as sums over its paths need it."""

from typing import NamedTuple


class FlowNode(NamedTuple):
    """A node, as far as sums over paths need it."""

    id: str
    kind: str
    """Its label in the database, such as `TokenNode`."""
    position: int
    token: str | None
    activation: float | None
    """Of features."""
    probability: float | None
    """Of logits."""


class FlowRow(NamedTuple):
    """One circuit's pruned graph."""

    key: str
    nodes: list[FlowNode]
    """By position and id."""
    sources: list[str]
    """Node ids, aligned with `targets` and `weights`."""
    targets: list[str]
    weights: list[float]
