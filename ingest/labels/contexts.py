"""A pass over a corpus: where each feature fires, and the tokens around each firing.

1. encode   each text; the error of a text that the model cannot take is recorded
2. run      the model over several texts at a time, and keep the firings of all features
3. sort     by feature, so that the firings of one feature are a slice
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from ingest.engine.errors import PromptError
from ingest.engine.replacement.model import Encoded, ReplacementModel

TOGETHER = 32
"""Texts in one forward pass."""

FeatureKey = tuple[int, int]
"""Layer of a feature, and its index in the layer."""


@dataclass(frozen=True, eq=False)
class Contexts:
    """The tokens of a corpus: all texts in a row, without their special first tokens."""

    ids: NDArray[np.int64]
    """(n_tokens,) vocabulary ids"""
    starts: NDArray[np.int64]
    """(n_contexts + 1,) first token of each context; the last entry is n_tokens"""

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> "Contexts":
        """Join texts. texts: the vocabulary ids of each, without the special first token."""
        starts = np.cumsum([0, *(len(text) for text in texts)])
        return cls(np.asarray([token for text in texts for token in text], np.int64), starts)

    @property
    def context(self) -> NDArray[np.int64]:
        """(n_tokens,) number of the context that contains each token."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def position(self) -> NDArray[np.int64]:
        """(n_tokens,) position of each token in its context, from 0."""
        return np.arange(len(self.ids)) - self.starts[self.context]


@dataclass(frozen=True, eq=False)
class Activity:
    """Where features fire in a corpus."""

    contexts: Contexts
    """The tokens of the corpus."""
    slices: dict[FeatureKey, slice]
    """Feature → its firings, as a slice of `place` and `activation`. Features that never fire are absent."""
    place: NDArray[np.int64]
    """(n_firings,) the token, numbered over all contexts; ascending within a feature"""
    activation: NDArray[np.float32]
    """(n_firings,) above 0; also below 0 for transcoders that pass negative values"""

    def fires(self, key: FeatureKey) -> NDArray[np.bool_]:
        """(n_tokens,) whether the feature fires on each token."""
        found = np.zeros(len(self.contexts.ids), bool)
        found[self.place[self.slices.get(key, slice(0))]] = True
        return found

    def density(self, key: FeatureKey) -> float:
        """Share of all tokens on which the feature fires, 0 to 1."""
        where = self.slices.get(key, slice(0))
        return (where.stop - (where.start or 0)) / max(1, len(self.contexts.ids))


def encode_all(model: ReplacementModel, texts: Iterable[str]) -> tuple[dict[str, Encoded], list[PromptError]]:
    """Encode texts: each text that the model can take, once, and one error for each other text."""
    found: dict[tuple[int, ...], tuple[str, Encoded]] = {}
    problems = []
    for text in texts:
        try:
            encoded = model.encode(text)
        except PromptError as error:
            problems.append(error)
            continue
        found.setdefault(tuple(encoded.ids), (text, encoded))
    return dict(found.values()), problems


@torch.inference_mode()
def activity(
    model: ReplacementModel, texts: Sequence[Encoded], *, advance: Callable[[int], object] = lambda n: None
) -> Activity:
    """Run the model over texts. `advance` is called after each batch with the number of its texts."""
    places, keys, values = [np.empty(0, np.int64)], [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    tokens = []
    before = 0
    for start in range(0, len(texts), TOGETHER):
        part = texts[start : start + TOGETHER]
        for text, held in zip(part, model.freeze_many([text.ids for text in part]), strict=True):
            first = int(text.special_first_token)
            active = model.transcoders.encode(model.read(held), skip_first=bool(first))
            where = active.where.cpu().numpy()
            places.append(where[:, 1] - first + before)
            keys.append(where[:, [0, 2]])
            values.append(active.activation.float().cpu().numpy())
            tokens.append(text.ids[first:])
            before += len(text.ids) - first
        advance(len(part))
    place, key, value = np.concatenate(places), np.concatenate(keys), np.concatenate(values)
    order = np.lexsort((place, key[:, 1], key[:, 0]))
    key = key[order]
    cuts = np.flatnonzero(np.any(key[1:] != key[:-1], axis=1)) + 1
    bounds = [0, *cuts.tolist(), len(key)] if len(key) else []
    slices = {(int(key[a, 0]), int(key[a, 1])): slice(a, b) for a, b in pairwise(bounds)}
    return Activity(Contexts.of(tokens), slices, place[order], value[order])
