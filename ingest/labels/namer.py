"""First labels for the features of one model, from their firings on a set of prompts."""

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np

from ingest.engine.replacement.firings import firings
from ingest.engine.replacement.model import Encoded, ReplacementModel
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
        parts = []
        for prompt, fired in zip(prompts, firings(model, prompts), strict=True):
            tokens = np.asarray(prompt.ids, np.int32)[fired.position]
            parts.append(Firings(fired.layer, fired.feature, tokens, fired.activation))
            advance()
        occurrences = sum(
            (count_tokens([p.ids], vocab_size=model.vocab_size, n_left_out=p.n_left_out) for p in prompts),
            np.zeros(model.vocab_size, np.int64),
        )
        return cls(model, feature_statistics(Firings.join(parts), occurrences))

    def names(self, features: Iterable[FeatureKey]) -> dict[FeatureKey, Explanation]:
        """What each feature does, in words. Features that did not fire on the prompts are left out."""
        wanted = [key for key in dict.fromkeys(features) if key in self._statistics]
        if fresh := [key for key in wanted if key not in self._names]:
            says = promoted(self._model, written(self._model, fresh), PROMOTED).tolist()
            for key, tokens in zip(fresh, says, strict=True):
                self._names[key] = explain(self._statistics[key], tokens, self._decode)
        return {key: self._names[key] for key in wanted}
