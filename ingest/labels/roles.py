"""Groups of features that play one role, over the whole atlas: they fire most in the same texts.

1. profile  of a feature: for each text its highest activation there to the power of `POWER`, to unit length;
            where texts are many, projected at random to `WIDTH` dimensions, which keeps angles (Johnson &
            Lindenstrauss 1984). The power lets a feature be known by the texts it fires in most: nearly all
            fire a little elsewhere.
2. group    by k-means, which on vectors of unit length compares angles
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.random_projection import GaussianRandomProjection

POWER = 3
WIDTH = 4096
GROUPS = 250
"""Groups of an atlas, or fewer when it has few features."""

Floats = NDArray[np.float32]


def profiles(highest: Floats, seed: int = 0) -> Floats:
    """(n_features, WIDTH or n_texts) of unit length. highest: (n_features, n_texts) highest activations."""
    found = unit(np.maximum(highest, 0) ** POWER)
    if found.shape[1] > WIDTH:
        found = GaussianRandomProjection(WIDTH, random_state=seed).fit_transform(found)
    return unit(found)


def group(points: Floats, n_groups: int, seed: int = 0) -> NDArray[np.int64]:
    """(n_features,) the number of each feature's group. points: of unit length."""
    distinct = len(np.unique(points, axis=0))
    found = KMeans(min(n_groups, distinct), n_init=1, random_state=seed).fit(points)
    return found.labels_.astype(np.int64)


def unit(rows: Floats) -> Floats:
    """The rows to unit length; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length, length, 1), np.float32)
