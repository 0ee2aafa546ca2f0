"""Whether two orders of the same things agree: Spearman's rank correlation, and what shuffling them gives."""

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.float64]

SHUFFLES = 1000
SEED = 0


class Agreement(NamedTuple):
    """Two orders of the same things, beside one of them shuffled."""

    correlation: float
    """Spearman's, −1 to 1, ties sharing their mean rank."""
    null_95: float
    """What 95 of 100 shuffles stay below."""
    p: float
    """Share of shuffles with at least this correlation, the order itself counted as one."""


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """All NaN when one side is constant, so that it has no order."""
    a, b, size = _centred(first, second)
    if not size:
        return Agreement(math.nan, math.nan, math.nan)
    found = float(a @ b) / size
    null = np.sort(a[_orders(len(a))] @ b / size)
    # Shuffles that give the same order give sums that differ by their rounding.
    at_least = int((null >= found - 1e-12).sum())
    return Agreement(found, float(null[SHUFFLES * 95 // 100]), (1 + at_least) / (1 + SHUFFLES))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """The correlation alone."""
    a, b, size = _centred(first, second)
    return float(a @ b) / size if size else math.nan


def _centred(first: Sequence[float], second: Sequence[float]) -> tuple[Ranks, Ranks, float]:
    """The ranks of each side less their mean, and the product of their lengths."""
    a, b = (ranks(each) - (len(each) + 1) / 2 for each in (first, second))
    return a, b, float(np.sqrt((a @ a) * (b @ b)))


def ranks(values: Sequence[float]) -> Ranks:
    """The place of each value in ascending order, from 1; equal values share the mean of their places."""
    _, back, counts = np.unique(np.asarray(values, float), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[back]


@lru_cache(maxsize=8)
def _orders(n: int) -> npt.NDArray[np.int64]:
    """(SHUFFLES, n) the same shuffles every time."""
    random = Random(SEED)
    return np.array([random.sample(range(n), n) for _ in range(SHUFFLES)])
