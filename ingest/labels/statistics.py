"""What features do over a set of prompts: which tokens they fire on, which they promote.

Numbers only; `ingest.labels.explain` puts them into words.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Firings:
    """Every time a feature fired, one row each, in prompt order."""

    layer: NDArray[np.int32]
    """(n,)"""
    index: NDArray[np.int32]
    """(n,) feature index in its layer"""
    token: NDArray[np.int32]
    """(n,) vocabulary id of the token it fired on"""
    activation: NDArray[np.float32]
    """(n,) > 0"""

    @classmethod
    def join(cls, parts: Sequence["Firings"]) -> "Firings":
        """Several prompts' firings as one."""
        return cls(
            layer=np.concatenate([np.empty(0, np.int32), *(part.layer for part in parts)]),
            index=np.concatenate([np.empty(0, np.int32), *(part.index for part in parts)]),
            token=np.concatenate([np.empty(0, np.int32), *(part.token for part in parts)]),
            activation=np.concatenate([np.empty(0, np.float32), *(part.activation for part in parts)]),
        )


class TokenShare(NamedTuple):
    """How a feature and one token go together."""

    token: int
    """Vocabulary id."""
    share: float
    """Part of the feature's summed activation that falls on this token, 0 … 1."""
    recall: float
    """Part of the token's occurrences on which the feature fires, 0 … 1."""


@dataclass(frozen=True)
class FeatureStatistics:
    """One feature over all prompts."""

    layer: int
    index: int
    n_firings: int
    tokens: tuple[TokenShare, ...]
    """The tokens it fires on, most activation first, at most `top`."""


def feature_statistics(
    firings: Firings, occurrences: NDArray[np.int64], *, top: int = 5
) -> list[FeatureStatistics]:
    """Statistics of every feature that fired, ordered by layer and index.

    `occurrences` is (vocab,): how often each token stood at a position where features may fire.
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
    # Which pairs belong to which feature.
    feature_starts = np.flatnonzero(new_feature[pair_starts])
    feature_ends = np.r_[feature_starts[1:], len(pair_starts)]
    result = []
    for start, end in zip(feature_starts, feature_ends, strict=True):
        mass = pair_mass[start:end]
        # Ties go to the lower token id, so that labels are the same on every machine.
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
                        share=float(mass[i] / mass.sum()),
                        recall=float(pair_count[start + i] / max(int(occurrences[tokens[i]]), 1)),
                    )
                    for i in best
                ),
            )
        )
    return result


def count_tokens(
    token_ids: Iterable[Sequence[int]], *, vocab_size: int, skip_first: bool
) -> NDArray[np.int64]:
    """(vocab,) occurrences of each token; `skip_first` leaves out the special first token."""
    counts = np.zeros(vocab_size, np.int64)
    for ids in token_ids:
        np.add.at(counts, np.asarray(ids[1:] if skip_first else ids, np.int64), 1)
    return counts
