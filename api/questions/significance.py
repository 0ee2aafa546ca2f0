"""How likely it is by chance that a feature is as common in a set of circuits as it is.

1. Under the null hypothesis the labels "inside" and "outside" are shuffled over the circuits that could have
   the feature. Of N circuits, K have the feature and n are inside. The number of circuits inside that have it
   is then hypergeometric, so a permutation test needs no permutations: p = P(X >= support), with
   P(X = k) = C(K, k) C(N - K, n - k) / C(N, n).
2. The p-values of all features are corrected together (`schema.evidence.false_discovery`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from schema.evidence.false_discovery import q_values
from schema.questions.sets import Counts


@dataclass(frozen=True)
class SharingTests:
    """The tests of all features of one answer of `sharedFeatures`."""

    tested: Mapping[Counts, int]
    """How many features have these counts, for each kind of counts with a circuit inside."""
    n_tested: int
    """Number of tests. The features that `tested` leaves out are in no circuit inside: their p-value is 1."""

    @cached_property
    def p(self) -> dict[Counts, float]:
        """Counts → p-value, 0 to 1 (step 1)."""
        return p_values(self.tested)

    @cached_property
    def q(self) -> dict[Counts, float]:
        """Counts → q-value, 0 to 1 (step 2)."""
        features = np.fromiter(self.tested.values(), int, len(self.tested))
        every = np.ones(self.n_tested)
        every[: features.sum()] = np.repeat(np.fromiter(self.p.values(), float, len(self.p)), features)
        last_of_each = features.cumsum() - 1
        return dict(zip(self.tested, q_values(every)[last_of_each].tolist(), strict=True))


def p_values(tested: Collection[Counts]) -> dict[Counts, float]:
    """Counts → the chance of at least this support inside when the circuits' labels are shuffled, 0 to 1."""
    if not tested:
        return {}
    # Imported here because importing scipy.stats would double the time that the API takes to start.
    from scipy.stats import hypergeom

    support, n_inside, support_outside, n_outside = np.array([*tested]).T
    p = hypergeom.sf(support - 1, n_inside + n_outside, support + support_outside, n_inside)
    return dict(zip(tested, p.tolist(), strict=True))
