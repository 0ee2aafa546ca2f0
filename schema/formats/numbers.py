"""The three ways in which graph files number features, and how they are distinguished."""

import math
import re

from schema.exports.graph_json import cantor
from schema.formats.raw import RawNode

LIMIT = 2**63
_ID = re.compile(r"(\d{1,6})_(\d{1,18})_(\d{1,9})", re.ASCII)


def uncantor(number: int) -> tuple[int, int]:
    """The layer and index whose Cantor pairing is the number. It is exact; floats fail from 2^52 on."""
    diagonal = (math.isqrt(8 * number + 1) - 1) // 2
    index = number - diagonal * (diagonal + 1) // 2
    return diagonal - index, index


def feature_index(node: RawNode, layer: int, *, paired: bool, digits: int | None = None) -> int:
    """The index of a feature node in its layer.

    A node id `{layer}_{index}_{position}` decides when `feature` agrees with it in one of the three ways: as
    the index, as the Cantor pairing of layer and index, or as the layer and five digits. Otherwise `paired`
    says whether `feature` is a Cantor pairing, and `digits` how many of its digits are the index. Raises
    ValueError.
    """
    number = node.feature
    if found := _ID.fullmatch(node.node_id):
        at, index, position = map(int, found.groups())
        known = {None, index, cantor(layer, index), int(f"{layer}{index:05d}")}
        if (at, position) == (layer, node.ctx_idx) and number in known:
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
    return number
