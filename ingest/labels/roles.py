"""Groups of features that play one role, over the whole atlas: they fire in the same texts.

1. profile  of a feature: for each text the square root of its highest activation there, to unit length,
            projected at random to `WIDTH` dimensions, which keeps angles (Johnson & Lindenstrauss 1984)
2. group    by k-means on the unit sphere, centres chosen as in k-means++ (Arthur & Vassilvitskii 2007)
"""

import numpy as np
from numpy.typing import NDArray

WIDTH = 400
STEPS = 15
GROUPS = 100
"""Groups of an atlas, or fewer when it has few features."""

Floats = NDArray[np.float32]


def profiles(highest: Floats, seed: int = 0) -> Floats:
    """(n_features, WIDTH or n_texts) of unit length. highest: (n_features, n_texts) highest activations."""
    found = _unit(np.sqrt(np.maximum(highest, 0)))
    if found.shape[1] > WIDTH:
        random = np.random.default_rng(seed).standard_normal((found.shape[1], WIDTH), dtype=np.float32)
        found = found @ random
    return _unit(found)


def group(points: Floats, n_groups: int, seed: int = 0) -> NDArray[np.int64]:
    """(n_features,) the number of each feature's group. points: of unit length."""
    random = np.random.default_rng(seed)
    centres = points[[int(random.integers(len(points)))]]
    far = np.maximum(1 - points @ centres[0], 0)
    while len(centres) < n_groups and far.sum() > 1e-6:
        chosen = points[int(random.choice(len(points), p=far / far.sum()))]
        centres = np.vstack([centres, chosen])
        far = np.minimum(far, np.maximum(1 - points @ chosen, 0))
    for _ in range(STEPS):
        nearest = (points @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        empty = ~sums.any(1)
        sums[empty] = centres[empty]
        centres = _unit(sums)
    return (points @ centres.T).argmax(1)


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length, length, 1), np.float32)
