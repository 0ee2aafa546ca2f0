"""Statistics of features over a set of prompts: the tokens that they fire on.

`ingest.labels.explain` puts these numbers into words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Firings:
    """All firings of features, one row for each, in the order of prompts."""

    layer: NDArray[np.int32]
    """(n,) layer of the feature"""
    index: NDArray[np.int32]
    """(n,) index of the feature in its layer"""
    token: NDArray[np.int32]
    """(n,) vocabulary id of the token on which the feature fired"""
    activation: NDArray[np.float32]
    """(n,) above 0"""

    @classmethod
    def join(cls, parts: Sequence["Firings"]) -> "Firings":
        """Join the firings of several prompts."""
        return cls(
            layer=np.concatenate([np.empty(0, np.int32), *(part.layer for part in parts)]),
            index=np.concatenate([np.empty(0, np.int32), *(part.index for part in parts)]),
            token=np.concatenate([np.empty(0, np.int32), *(part.token for part in parts)]),
            activation=np.concatenate([np.empty(0, np.float32), *(part.activation for part in parts)]),
        )


class TokenShare(NamedTuple):
    """How closely a feature and one token are connected."""

    token: int
    """Vocabulary id."""
    share: float
    """Share of the feature's total activation that falls on this token, 0 to 1."""
    recall: float
    """Share of the token's occurrences on which the feature fires, 0 to 1."""


@dataclass(frozen=True)
class FeatureStatistics:
    """The firings of one feature over all prompts."""

    layer: int
    index: int
    n_firings: int
    """Tokens on which it fires."""
    tokens: tuple[TokenShare, ...]
    """The tokens with most of its activation, the strongest first; at most `top`."""


def feature_statistics(
    firings: Firings, occurrences: NDArray[np.int64], *, top: int = 5
) -> list[FeatureStatistics]:
    """Statistics of every feature that fired, ordered by layer and index.

    occurrences: (vocab_size,) how often each token occurs at a position where features may fire. top: most
    tokens of one feature.
    """
    if not len(firings.layer):
        return []
    order = np.lexsort((firings.token, firings.index, firings.layer))
    layer, index, token = firings.layer[order], firings.index[order], firings.token[order]
    activation = firings.activation[order].astype(np.float64)
    new_feature = np.r_[True, (layer[1:] != layer[:-1]) | (index[1:] != index[:-1])]
    new_pair = new_feature | np.r_[True, token[1:] != token[:-1]]
    pair_starts = np.flatnonzero(new_pair)
    pair_mass = np.add.reduceat(activation, pair_starts)
    pair_count = np.diff(np.r_[pair_starts, len(layer)])
    # The first and last (feature, token) pair of each feature.
    feature_starts = np.flatnonzero(new_feature[pair_starts])
    feature_ends = np.r_[feature_starts[1:], len(pair_starts)]
    result = []
    for start, end in zip(feature_starts, feature_ends, strict=True):
        mass = pair_mass[start:end]
        total = mass.sum()
        # Among equal tokens the lower id wins, so that labels are the same on every machine.
        best = np.argsort(-mass, kind="stable")[:top]
        tokens = token[pair_starts[start:end]]
        result.append(
            FeatureStatistics(
                layer=int(layer[pair_starts[start]]),
                index=int(index[pair_starts[start]]),
                n_firings=int(pair_count[start:end].sum()),
                tokens=tuple(
                    TokenShare(
                        token=int(tokens[i]),
                        share=float(mass[i] / total),
                        recall=float(pair_count[start + i] / max(int(occurrences[tokens[i]]), 1)),
                    )
                    for i in best
                ),
            )
        )
    return result


def count_tokens(
    token_ids: Iterable[Sequence[int]], *, vocab_size: int, n_left_out: int
) -> NDArray[np.int64]:
    """(vocab_size,) occurrences of each token; the first `n_left_out` of each prompt do not count."""
    counts = np.zeros(vocab_size, np.int64)
    for ids in token_ids:
        np.add.at(counts, np.asarray(ids[n_left_out:], np.int64), 1)
    return counts
