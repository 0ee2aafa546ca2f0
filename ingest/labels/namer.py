"""First labels for the features of one model, from their firings on a set of prompts."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.engine.replacement.firings import firings
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.passes import MOST_ROWS
from ingest.labels.contexts import FeatureKey
from ingest.labels.explain import Explanation, explain
from ingest.labels.promoted import promoted, written
from ingest.labels.statistics import (
    FeatureStatistics,
    Firings,
    count_tokens,
    feature_statistics,
)

PROMOTED = 3
"""Promoted tokens that a label names."""
TOGETHER = MOST_ROWS
"""Prompts that are counted together, cut from the whole list in order."""


class CountedFirings(NamedTuple):
    """What features fire on in some prompts."""

    firings: Firings
    occurrences: NDArray[np.int64]
    """(vocab_size,) how often each token occurs at a position where features may fire"""

    @classmethod
    def over(
        cls, model: ReplacementModel, prompts: Sequence[Encoded], *, advance: Callable[[], object]
    ) -> "CountedFirings":
        """Run the model over prompts. `advance` is called after each prompt."""
        parts = []
        for prompt, fired in zip(prompts, firings(model, prompts), strict=True):
            tokens = np.asarray(prompt.ids, np.int32)[fired.position]
            parts.append(Firings(fired.layer, fired.feature, tokens, fired.activation))
            advance()
        occurrences = sum(
            (count_tokens([p.ids], vocab_size=model.vocab_size, n_left_out=p.n_left_out) for p in prompts),
            np.zeros(model.vocab_size, np.int64),
        )
        return cls(Firings.join(parts), occurrences)


def statistics_of(parts: Sequence[CountedFirings]) -> list[FeatureStatistics]:
    """The statistics of every feature over prompts that were counted in parts. Parts must be in order.

    The last bits of an activation depend on the prompts that run together. Parts of `TOGETHER` prompts give
    the same statistics wherever they were counted.
    """
    if not parts:
        return []
    occurrences = sum((each.occurrences for each in parts[1:]), parts[0].occurrences)
    return feature_statistics(Firings.join([each.firings for each in parts]), occurrences)


class Namer:
    """Names features. Build a namer once over all prompts, then ask for the features of each circuit."""

    def __init__(self, model: ReplacementModel, statistics: Iterable[FeatureStatistics]) -> None:
        self._model = model
        self._statistics = {(found.layer, found.index): found for found in statistics}
        self._names: dict[FeatureKey, Explanation] = {}
        self._decode = cache(model.decode)

    @classmethod
    def over(
        cls, model: ReplacementModel, prompts: list[Encoded], *, advance: Callable[[], object] = lambda: None
    ) -> "Namer":
        """Run the model over prompts and count the tokens that every feature fires on.

        `advance` is called after each prompt. Special first tokens are not counted.
        """
        parts = [
            CountedFirings.over(model, prompts[start : start + TOGETHER], advance=advance)
            for start in range(0, len(prompts), TOGETHER)
        ]
        return cls(model, statistics_of(parts))

    def names(self, features: Iterable[FeatureKey]) -> dict[FeatureKey, Explanation]:
        """What each feature does, in words. Features that did not fire on the prompts are left out."""
        wanted = [key for key in dict.fromkeys(features) if key in self._statistics]
        if fresh := [key for key in wanted if key not in self._names]:
            says = promoted(self._model, written(self._model, fresh), PROMOTED).tolist()
            for key, tokens in zip(fresh, says, strict=True):
                self._names[key] = explain(self._statistics[key], tokens, self._decode)
        return {key: self._names[key] for key in wanted}
