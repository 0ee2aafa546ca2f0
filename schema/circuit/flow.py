"""The pruned graph of a circuit, with only the facts that sums over its paths need."""

from typing import NamedTuple


class FlowNode(NamedTuple):
    """A node with the facts that sums over paths need."""

    id: str
    kind: str
    """Label of the node in the database, such as `TokenNode`."""
    position: int
    token: str | None
    activation: float | None
    """Activation of a feature node; None for other nodes."""
    probability: float | None
    """Probability of a logit node, 0 to 1; None for other nodes."""


class FlowRow(NamedTuple):
    """The pruned graph of one circuit."""

    key: str
    """Id of the circuit."""
    nodes: list[FlowNode]
    """Nodes, sorted by position and id."""
    sources: list[str]
    """Node id of the source of each edge; aligned with `targets` and `weights`."""
    targets: list[str]
    """Node id of the target of each edge."""
    weights: list[float]
    """Signed direct effect of each edge."""
