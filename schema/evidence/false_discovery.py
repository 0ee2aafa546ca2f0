"""Correction of many tests: the q-values of Benjamini and Hochberg.

With the m p-values in ascending order, q(i) = min over j >= i of p(j) · m / j. Accepting every test with
q <= 0.05 keeps the expected share of false findings among the accepted tests at 0.05 or below.

Source: Benjamini & Hochberg (1995).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

LEVEL = 0.05
"""False discovery rate at which a claim or a hypothesis survives."""


def q_values(p: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The q-value of each test, 0 to 1, in the order of `p`.

    p: the p-values of all tests that were made, whatever came out, each 0 to 1.
    """
    if len(p) == 0:
        return np.empty(0)
    # Imported here because importing scipy.stats takes as long as starting the API.
    from scipy.stats import false_discovery_control

    q: npt.NDArray[np.float64] = false_discovery_control(p)
    return q
