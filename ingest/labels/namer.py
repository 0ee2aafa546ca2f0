"""First labels for the features of one model, from their firings on a set of prompts."""

from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np

from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.labels.examples import logit_effects
from ingest.labels.explain import AUTHOR, METHOD, Explanation, explain
from ingest.labels.statistics import (
    FeatureStatistics,
    Firings,
    count_tokens,
    feature_statistics,
)
from schema.circuit.records import Label

TOGETHER = 16
"""Prompts in one forward pass."""

PROMOTED = 3
"""Promoted tokens that a label names."""


class Namer:
    """Names features. Build a namer once over all prompts, then ask for single features."""

    def __init__(self, model: ReplacementModel, statistics: Iterable[FeatureStatistics]) -> None:
        self._model = model
        self._statistics = {(found.layer, found.index): found for found in statistics}
        self._names: dict[tuple[int, int], Explanation] = {}

    @classmethod
    def over(
        cls, model: ReplacementModel, prompts: list[Encoded], *, advance: Callable[[], object] = lambda: None
    ) -> "Namer":
        """Run the model over prompts and count the tokens that every feature fires on.

        `advance` is called after each prompt. Special first tokens are not counted.
        """
        parts = []
        frozen = chain.from_iterable(
            model.freeze_many([prompt.ids for prompt in prompts[start : start + TOGETHER]])
            for start in range(0, len(prompts), TOGETHER)
        )
        for prompt, held in zip(prompts, frozen, strict=True):
            active = model.transcoders.encode(model.read(held), skip_first=prompt.special_first_token)
            where = active.where.cpu().numpy().astype(np.int32)
            parts.append(
                Firings(
                    layer=where[:, 0],
                    index=where[:, 2],
                    token=np.asarray(prompt.ids, np.int32)[where[:, 1]],
                    activation=active.activation.float().cpu().numpy(),
                )
            )
            advance()
        occurrences = sum(
            (
                count_tokens([p.ids], vocab_size=model.vocab_size, skip_first=p.special_first_token)
                for p in prompts
            ),
            np.zeros(model.vocab_size, np.int64),
        )
        return cls(model, feature_statistics(Firings.join(parts), occurrences))

    def name(self, layer: int, index: int) -> Explanation | None:
        """What the feature does, in words; None when it did not fire on the prompts."""
        key = (layer, index)
        if key not in self._names:
            found = self._statistics.get(key)
            if found is None:
                return None
            self._names[key] = explain(found, self._promoted(layer, index), self._model.decode)
        return self._names[key]

    def concept(self, layer: int, index: int) -> str | None:
        """The short name of a feature; None when it did not fire on the prompts."""
        found = self.name(layer, index)
        return None if found is None else found.concept

    def label(self, layer: int, index: int) -> Label | None:
        """The label of a feature, ready to load; None when it did not fire on the prompts."""
        found = self.name(layer, index)
        return None if found is None else Label(layer, index, found.text, METHOD, AUTHOR)

    def _promoted(self, layer: int, index: int) -> list[int]:
        """The tokens whose logits a feature raises most, over all layers that it writes to."""
        effects = logit_effects(self._model, (layer, index))
        return [int(token) for token in effects.topk(min(PROMOTED, len(effects))).indices]
