"""The true concept of features, for a corpus with tags: the tag that fits each feature best.

The fit of a tag is the best F1, over k, between the k most active texts of the feature and the texts of the
tag. Texts with weak activations do not count against a tag, because nearly all features fire a little in
other texts.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_TEXTS = 4
"""Least texts of a tag; rarer tags are ignored."""


class BestTags(NamedTuple):
    """The best tag of each feature."""

    tags: list[str]
    """The tags with enough texts, sorted."""
    best: NDArray[np.int64]
    """(n_features,) position in `tags` of the best tag"""
    f1: NDArray[np.float64]
    """(n_features,) F1 of the best tag, 0 to 1"""


def best_tags(highest: NDArray[np.float32], tags: Sequence[Collection[str]]) -> BestTags:
    """Find the tag that fits each feature best. Among equal tags, the first in sorted order wins.

    highest: (n_features, n_texts) highest activations. tags: the tags of each text. Raises ValueError when
    no tag has enough texts.
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
    return BestTags(names, best, f1)
