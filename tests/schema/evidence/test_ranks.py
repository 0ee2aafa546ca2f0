"""Rank correlation of two orders, compared with a slow version."""

import math
from random import Random

import pytest

from schema.evidence.ranks import agreement
from tests.support.slow_ranks import slow_agreement


def test_orders_agree_as_one_by_one_gives() -> None:
    random = Random(3)
    for first, second in (
        ([random.random() for _ in range(9)], [random.random() for _ in range(9)]),
        ([1.0, 1.0, 2.0, 5.0, 5.0, 5.0], [0.1, 0.2, 0.2, 0.4, 0.9, 0.3]),
        ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0]),
    ):
        assert list(agreement(first, second)) == pytest.approx(slow_agreement(first, second))
    assert all(map(math.isnan, agreement([1.0, 1.0], [1.0, 2.0])))
    assert all(map(math.isnan, agreement([], [])))
