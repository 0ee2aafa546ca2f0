"""Whether two orders of the same things agree: Spearman's rank correlation, beside shuffled orders.

Steps
1. Each side is replaced by its ranks; equal values share the mean of their ranks. The correlation is
   Pearson's of the ranks.
2. The null hypothesis shuffles one side `SHUFFLES` times, with the same shuffles in every call, so that the
   same data always give the same answer.
3. p = (1 + shuffles with at least this correlation) / (1 + shuffles).
"""

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
    """Spearman's rank correlation, -1 to 1."""
    null_95: float
    """The correlation that 95 of 100 shuffles stay below."""
    p: float
    """Share of shuffles with at least this correlation, the order itself counted as one. Above 0, at most "
    "1."""


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """How well two orders agree. All fields are NaN when one side is constant and so has no order."""
    # 1
    a, b, size = _centred(first, second)
    if not size:
        return Agreement(math.nan, math.nan, math.nan)
    found = float(a @ b) / size
    # 2
    null = np.sort(a[_orders(len(a))] @ b / size)
    # 3. Shuffles that give the same order give sums that differ by rounding.
    at_least = int((null >= found - 1e-12).sum())
    return Agreement(found, float(null[SHUFFLES * 95 // 100]), (1 + at_least) / (1 + SHUFFLES))


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1; NaN when one side is constant."""
    a, b, size = _centred(first, second)
    return float(a @ b) / size if size else math.nan


def _centred(first: Sequence[float], second: Sequence[float]) -> tuple[Ranks, Ranks, float]:
    """The ranks of each side less their mean, and the product of their lengths."""
    # Imported here because importing scipy.stats takes as long as starting the API.
    from scipy.stats import rankdata

    a, b = (rankdata(each) - (len(each) + 1) / 2 for each in (first, second))
    return a, b, float(np.sqrt((a @ a) * (b @ b)))


@lru_cache(maxsize=8)
def _orders(n: int) -> npt.NDArray[np.int64]:
    """(SHUFFLES, n) the same shuffles every time."""
    random = Random(SEED)
    return np.array([random.sample(range(n), n) for _ in range(SHUFFLES)])
