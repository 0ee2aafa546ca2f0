"""Rank correlation, computed the slow way."""

from random import Random

import numpy as np


def slow_ranks(values: list[float]) -> list[float]:
    return [sum(other < value for other in values) + (values.count(value) + 1) / 2 for value in values]


def slow_agreement(first: list[float], second: list[float]) -> list[float]:
    a, b, random = slow_ranks(first), slow_ranks(second), Random(0)
    found = float(np.corrcoef(a, b)[0, 1])
    null = sorted(float(np.corrcoef(random.sample(a, len(a)), b)[0, 1]) for _ in range(1000))
    return [found, null[950], (1 + sum(each >= found - 1e-9 for each in null)) / 1001]
