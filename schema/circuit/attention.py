"""Records of what attention heads do in a circuit."""

from typing import NamedTuple


class HeadPart(NamedTuple):
    """The part of an edge that one attention head carries."""

    source: str
    """`Node.key` of the source. Keys are used because the places of nodes change when a circuit is sorted."""
    target: str
    """`Node.key` of the target."""
    layer: int
    head: int
    """Number of the head in its layer, from 0."""
    weight: float
    """The head's part of the weight of the edge."""


class HeadTotal(NamedTuple):
    """The influence that runs through one attention head, over all edges of a circuit."""

    layer: int
    head: int
    """Number of the head in its layer, from 0."""
    net: float
    """Sum in which a part counts as negative when its sign is opposite to that of its edge."""
    gross: float
    """Sum in which every part counts as positive."""


class QkPair(NamedTuple):
    """The contribution of two sources to an attention score."""

    query: str
    """Node id in graph JSON of the source on the query side; `rest` for biases."""
    key: str
    """Node id in graph JSON of the source on the key side; `rest` for biases."""
    score: float


class QkScore(NamedTuple):
    """The attention score of one head for one query and key, before the softmax, by pairs of sources."""

    layer: int
    head: int
    position: int
    """Position of the query, from 0."""
    key_position: int
    """Position of the key, from 0."""
    score: float
    """The sum over all pairs."""
    pattern: float
    """Attention weight after the softmax, 0 to 1."""
    pairs: tuple[QkPair, ...]
    """The pairs with the largest absolute contributions, the largest first."""
