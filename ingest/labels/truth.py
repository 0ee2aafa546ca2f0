"""What features are truly about, where a corpus says what its texts are about: the tag that fits each best.

A feature picks out its k most active texts; the tag fits as well as the best F1, over k, between these texts
and those of the tag. The texts it fires in weakly need not fit: nearly all features fire a little elsewhere.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_TEXTS = 4
"""Tags of fewer texts are none."""


class Fit(NamedTuple):
    """The tags of the features of an atlas."""

    tags: list[str]
    """Those of enough texts, sorted."""
    best: NDArray[np.int64]
    """(n_features,) the number of the tag that fits best"""
    f1: NDArray[np.float64]
    """(n_features,) how well, 0 to 1"""


def best_tags(highest: NDArray[np.float32], tags: Sequence[Collection[str]]) -> Fit:
    """The tag that fits each feature best, the first in sorted order of equals.

    highest: (n_features, n_texts) highest activations; tags: those of each text. Raises ValueError when no
    tag has enough texts.
    """
    texts: dict[str, list[int]] = {}
    for number, mine in enumerate(tags):
        for tag in mine:
            texts.setdefault(tag, []).append(number)
    names = sorted(tag for tag, found in texts.items() if len(found) >= LEAST_TEXTS)
    if not names:
        raise ValueError(f"no tag has {LEAST_TEXTS} texts")
    has = np.zeros((len(tags), len(names)), np.float32)
    for column, tag in enumerate(names):
        has[texts[tag], column] = 1
    total = has.sum(0)
    best, f1 = np.zeros(len(highest), np.int64), np.zeros(len(highest))
    for number, row in enumerate(highest):
        active = np.argsort(-row, kind="stable")[: int((row > 0).sum())]
        if not len(active):
            continue
        hits = has[active].cumsum(0)
        fit = (2 * hits / (np.arange(1, len(active) + 1)[:, None] + total)).max(0)
        best[number], f1[number] = fit.argmax(), fit.max()
    return Fit(names, best, f1)
