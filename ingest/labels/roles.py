"""Roles: groups of features, over a whole atlas, that fire most strongly in the same texts.

1. profile  of a feature: its highest activation in each text, to the power of `POWER`, scaled to unit length.
            The power emphasises the texts with the strongest activations, because nearly all features fire
            a little in other texts. With many texts, profiles are projected at random to `WIDTH`
            dimensions, which keeps angles (Johnson & Lindenstrauss 1984), some texts at a time
2. group    repeatedly join the two groups whose union adds least to the squared distances within groups
            (Ward 1963), among groups with neighbouring members, until few enough groups are left. This step
            is deterministic
"""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering
from sklearn.neighbors import kneighbors_graph

POWER = 3
"""Exponent of the activations in a profile."""
WIDTH = 4096
"""Most dimensions of a profile."""
GROUPS = 250
"""Groups of an atlas; fewer when it has few features."""
NEIGHBOURS = 20
"""Neighbours of each feature. With all features as neighbours, groups would hardly differ, and memory would
grow with the square of their number."""

Floats = NDArray[np.float32]


def profiles(highest: Callable[[slice], Floats], n_texts: int, seed: int = 0) -> Floats:
    """The profiles of features, scaled to unit length: (n_features, WIDTH or n_texts).

    highest: gives (n_features, n) highest activations in some of the texts.
    """
    if n_texts <= WIDTH:
        return unit(_power(highest(slice(n_texts))))
    random = np.random.default_rng(seed)
    found: Floats | float = 0.0
    for start in range(0, n_texts, WIDTH):
        part = _power(highest(slice(start, min(start + WIDTH, n_texts))))
        found = found + part @ random.standard_normal((part.shape[1], WIDTH), np.float32)
    return unit(np.asarray(found))


def _power(highest: Floats) -> Floats:
    return np.maximum(highest, 0) ** POWER


def group(points: Floats, n_groups: int) -> NDArray[np.int64]:
    """(n_features,) number of each feature's group.

    points: (n_features, width) profiles of unit length. Equal profiles are in one group.
    """
    n, distinct = len(points), len(np.unique(points, axis=0))
    if n < 2:
        return np.zeros(n, np.int64)
    near = kneighbors_graph(points, min(NEIGHBOURS, n - 1), include_self=False)
    with warnings.catch_warnings():
        # Neighbours may form separate islands. scikit-learn then joins the nearest islands and warns.
        warnings.filterwarnings("ignore", message="the number of connected components")
        found = AgglomerativeClustering(min(n_groups, distinct), linkage="ward", connectivity=near).fit(
            points
        )
    return found.labels_.astype(np.int64)


def unit(rows: Floats) -> Floats:
    """Scale rows to unit length. Rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length, length, 1), np.float32)
