"""A pass over a corpus: every time a feature fires, and the tokens around it.

1. encode   each text; what the model cannot take is remembered
2. run      the model over several texts at a time, and keep the firings of the wanted features
3. sort     by feature, so that one feature's firings are a slice
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
"""Layer and index."""


@dataclass(frozen=True, eq=False)
class Contexts:
    """The tokens of a corpus, texts one after the other, without the special first token."""

    ids: NDArray[np.int64]
    """(n_tokens,) vocabulary ids"""
    starts: NDArray[np.int64]
    """(n_contexts + 1,) where each context begins; the last entry is n_tokens"""

    @classmethod
    def of(cls, texts: Sequence[Sequence[int]]) -> "Contexts":
        """texts: vocabulary ids of each, the special first token left out."""
        starts = np.cumsum([0, *(len(text) for text in texts)])
        return cls(np.asarray([token for text in texts for token in text], np.int64), starts)

    @property
    def context(self) -> NDArray[np.int64]:
        """(n_tokens,) the number of the context that each token stands in."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def position(self) -> NDArray[np.int64]:
        """(n_tokens,) the position of each token in its context, from 0."""
        return np.arange(len(self.ids)) - self.starts[self.context]


@dataclass(frozen=True, eq=False)
class Activity:
    """Where features fire in a corpus."""

    contexts: Contexts
    slices: dict[FeatureKey, slice]
    """The firings of each feature that fires at all."""
    place: NDArray[np.int64]
    """(n_firings,) the token, counted over all contexts; ascending inside a feature"""
    activation: NDArray[np.float32]
    """(n_firings,) > 0, or below it for transcoders that let negative numbers pass"""

    def fires(self, key: FeatureKey) -> NDArray[np.bool_]:
        """(n_tokens,) whether a feature fires."""
        found = np.zeros(len(self.contexts.ids), bool)
        found[self.place[self.slices.get(key, slice(0))]] = True
        return found

    def density(self, key: FeatureKey) -> float:
        """The share of tokens that a feature fires on."""
        where = self.slices.get(key, slice(0))
        return (where.stop - (where.start or 0)) / max(1, len(self.contexts.ids))


def encode_all(model: ReplacementModel, texts: Iterable[str]) -> tuple[dict[str, Encoded], list[PromptError]]:
    """The texts that the model can take, each once, and what is wrong with the others."""
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
    """Run the model over texts. `advance` is called with the number of texts that were done."""
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
