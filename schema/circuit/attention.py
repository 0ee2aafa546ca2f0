"""Records of attention heads in a circuit."""

from typing import NamedTuple


class HeadPart(NamedTuple):
    """What one attention head carries of an edge."""

    source: str
    """`Node.key` of the edge's source: places change when parts are put in order."""
    target: str
    layer: int
    head: int
    weight: float
    """Its part of the edge's weight."""


class HeadTotal(NamedTuple):
    """The influence that runs through one attention head, over all edges of a circuit."""

    layer: int
    head: int
    net: float
    """Parts against their edge's sign count as negative."""
    gross: float
    """Every part counts as positive."""


class QkPair(NamedTuple):
    """What two sources add to an attention score."""

    query: str
    """Node of the query's side, as graph JSON names it; `rest` for biases."""
    key: str
    """Node of the key's side."""
    score: float


class QkScore(NamedTuple):
    """One head's score of a key for a query, before the softmax, by pairs of sources."""

    layer: int
    head: int
    position: int
    """The query's."""
    key_position: int
    score: float
    """The sum over all pairs."""
    pattern: float
    """The attention paid, 0 … 1."""
    pairs: tuple[QkPair, ...]
    """Those that add or take most, the largest first."""
