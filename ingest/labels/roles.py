"""Groups of features that play one role, over the whole atlas: they fire most in the same texts.

1. profile  of a feature: for each text its highest activation there to the power of `POWER`, to unit length;
            where texts are many, projected at random to `WIDTH` dimensions, which keeps angles (Johnson &
            Lindenstrauss 1984). The power lets a feature be known by the texts it fires in most: nearly all
            fire a little elsewhere.
2. group    join the two groups whose union adds least to the squared distances inside groups (Ward 1963), of
            those with near neighbours in each other, until few enough are left; nothing is drawn at random
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.neighbors import kneighbors_graph
from sklearn.random_projection import GaussianRandomProjection

POWER = 3
WIDTH = 4096
GROUPS = 250
"""Groups of an atlas, or fewer when it has few features."""
NEIGHBOURS = 20
"""Of each feature. With all as neighbours the groups are hardly other, and memory grows with the square."""

Floats = NDArray[np.float32]


def profiles(highest: Floats, seed: int = 0) -> Floats:
    """(n_features, WIDTH or n_texts) of unit length. highest: (n_features, n_texts) highest activations."""
    found = unit(np.maximum(highest, 0) ** POWER)
    if found.shape[1] > WIDTH:
        found = GaussianRandomProjection(WIDTH, random_state=seed).fit_transform(found)
    return unit(found)


def group(points: Floats, n_groups: int) -> NDArray[np.int64]:
    """(n_features,) the number of each feature's group, equal points in one. points: of unit length."""
    n, distinct = len(points), len(np.unique(points, axis=0))
    if n < 2:
        return np.zeros(n, np.int64)
    near = kneighbors_graph(points, min(NEIGHBOURS, n - 1), include_self=False)
    with warnings.catch_warnings():
        # Features may fall into islands of neighbours; the nearest of these are then joined, and it is said.
        warnings.filterwarnings("ignore", message="the number of connected components")
        found = AgglomerativeClustering(min(n_groups, distinct), linkage="ward", connectivity=near).fit(
            points
        )
    return found.labels_.astype(np.int64)


def unit(rows: Floats) -> Floats:
    """The rows to unit length; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length, length, 1), np.float32)
