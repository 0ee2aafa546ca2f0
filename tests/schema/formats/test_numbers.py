"""The pairing of layer and index in one number is exact for large numbers."""

from schema.exports.graph_json import cantor
from schema.formats.numbers import uncantor


def test_pairing_is_exact_where_floating_point_is_not() -> None:
    for layer, index in [(0, 0), (25, 72700), (61, 2**31), (3, 2**31 - 1), (9999, 2**40)]:
        assert uncantor(cantor(layer, index)) == (layer, index)
