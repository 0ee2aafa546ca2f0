"""A number for each pair of features, by which the database finds their DRIVES."""

HALF = 2**31
"""Past the largest half of a `pair`."""

LAYER_STEP = 1_000_003
"""How far the halves of the same index in neighbouring layers lie apart."""


def pair(source: tuple[int, int], target: tuple[int, int]) -> int:
    """The `pair` of DRIVES between two features, each given by layer and index.

    31 bits of each are kept, so that features of two sets, and few others, make the same number: what is
    found by it has to be compared with both ends.
    """
    return half(*source) * HALF + half(*target)


def half(layer: int, index: int) -> int:
    """What one feature gives to a `pair`."""
    return (index % HALF + layer % HALF * LAYER_STEP) % HALF


def pair_text(source: str, target: str) -> str:
    """`pair` in Cypher, of the features that two variables hold."""
    return f"({half_text(source)}) * {HALF} + {half_text(target)}"


def half_text(feature: str) -> str:
    """`half` in Cypher."""
    return f"({feature}.index % {HALF} + {feature}.layer % {HALF} * {LAYER_STEP}) % {HALF}"
