"""How likely a feature would be this common in a set of circuits by chance.

1. Under the null the labels "inside" and "outside" are shuffled over the circuits that could have the
   feature. Of N circuits, K have the feature and n are inside; the number of circuits inside that have it is
   then hypergeometric, so the p-value of a permutation test needs no permutations: p = P(X >= support), with
   P(X = k) = C(K, k) C(N - K, n - k) / C(N, n).
2. The tests of all features are corrected together by Benjamini and Hochberg (1995): with the m p-values
   sorted, q(i) = min over j >= i of p(j) m / j. Taking the features with q <= 0.05 makes the expected share
   of false ones among them at most 0.05.
"""

import math
from collections.abc import Mapping

from schema.questions.sets import Counts


def p_value(counts: Counts) -> float:
    """The chance of at least this support inside when the circuits' labels are shuffled (step 1)."""
    with_it = counts.support + counts.support_outside
    inside, outside = counts.n_inside, counts.n_outside
    if counts.support <= max(0, with_it - outside):
        return 1.0  # it cannot be less
    k, last = counts.support, min(with_it, inside)
    without = inside + outside - with_it
    term = math.exp(
        _log_choose(with_it, k) + _log_choose(without, inside - k) - _log_choose(with_it + without, inside)
    )
    total = 0.0
    while k <= last:
        total += term
        ratio = (with_it - k) * (inside - k) / ((k + 1) * (without - inside + k + 1))
        if ratio < 1 and term < total * 1e-17:
            break
        term *= ratio
        k += 1
    return min(1.0, total)


def q_values(tested: Mapping[Counts, int], n_tested: int) -> dict[Counts, float]:
    """The corrected p-values (step 2).

    tested: how many features have these counts; n_tested: how many tests there are in all. The others,
    features that no circuit inside has, have a p-value of 1.
    """
    p = {counts: p_value(counts) for counts in tested}
    ordered = sorted(tested, key=lambda counts: p[counts])
    place = sum(tested.values())
    answer, least = {}, 1.0
    for counts in reversed(ordered):
        # Features of equal p-value share the last place among them.
        least = min(least, p[counts] * n_tested / place)
        answer[counts] = least
        place -= tested[counts]
    return answer


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
