"""The three ways in which graph files number features, and how they are distinguished: the index alone, the
Cantor pairing of layer and index, or the layer followed by the index with a fixed number of digits.
"""

import math
import re

from schema.exports.graph_json import cantor
from schema.formats.raw import RawNode

LIMIT = 2**63
DIGITS = range(5, 10)
"""How many digits an index can have behind its layer: so many that the largest index of a set fits."""
_ID = re.compile(r"(\d{1,6})_(\d{1,18})_(\d{1,9})", re.ASCII)


def uncantor(number: int) -> tuple[int, int]:
    """The layer and index whose Cantor pairing is the number. It is exact; floats fail from 2^52 on."""
    diagonal = (math.isqrt(8 * number + 1) - 1) // 2
    index = number - diagonal * (diagonal + 1) // 2
    return diagonal - index, index


def feature_index(node: RawNode, layer: int, *, paired: bool, digits: int | None = None) -> int:
    """The index of a feature node in its layer.

    A node id `{layer}_{index}_{position}` decides when `feature` agrees with it in one of the three ways.
    Otherwise `paired` says whether `feature` is a Cantor pairing, and `digits` how many of its digits are the
    index. Raises ValueError.
    """
    number = node.feature
    index = _index_of_id(node, layer)
    if index is not None and _agrees(number, layer, index):
        return index
    if number is None or not 0 <= number < LIMIT:
        raise ValueError(f"feature {number} is not the number of a feature")
    if paired:
        at, index = uncantor(number)
        if at != layer:
            raise ValueError(f"feature {number} pairs layer {at} and index {index}, but layer is {layer}")
        return index
    if digits is not None:
        at, index = divmod(number, 10**digits)
        if at != layer:
            raise ValueError(f"feature {number} begins with layer {at}, but layer is {layer}")
        return index
    if index is not None:
        raise ValueError(f"feature {number} does not mean index {index}, which node_id {node.node_id} names")
    return number


def is_number(node: RawNode, layer: int, digits: int | None) -> bool:
    """Whether `feature` can be the layer followed by that many digits of the index; None: the index alone."""
    if node.feature is None or not 0 <= node.feature < LIMIT:
        return False
    at, index = (layer, node.feature) if digits is None else divmod(node.feature, 10**digits)
    return at == layer and _index_of_id(node, layer) in (None, index)


def _index_of_id(node: RawNode, layer: int) -> int | None:
    """The index in a node id `{layer}_{index}_{position}`; None when the id has another form."""
    found = _ID.fullmatch(node.node_id)
    if found is None:
        return None
    at, index, position = map(int, found.groups())
    return index if (at, position) == (layer, node.ctx_idx) else None


def _agrees(number: int | None, layer: int, index: int) -> bool:
    """Whether a feature's number is its index in one of the three ways, or missing."""
    return number in (None, index, cantor(layer, index)) or any(
        number == layer * 10**digits + index for digits in DIGITS if index < 10**digits
    )
