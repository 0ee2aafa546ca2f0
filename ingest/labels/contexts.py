"""A pass over a corpus: where each feature fires, and the tokens around each firing.

1. encode   each text; the error of a text that the model cannot take is recorded
2. run      the model over some texts at a time, or read their firings from the cache
3. gather   the firings of the wanted features in a temporary file, sorted by feature, `GATHERED` at a time

Memory holds the tokens of the corpus, four bytes each, and the firings of one feature at a time.
"""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.engine.errors import PromptError
from ingest.engine.replacement.firings import TextFirings, firings
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.labels.firings_cache import Compute, FiringsCache, in_this_process

MOST_TEXTS = 32
"""Texts whose firings are in memory together, at most."""
MOST_TOKENS = 4096
"""Tokens after which no further text joins these."""
GATHERED = 1 << 22
"""Firings that are sorted together."""

FeatureKey = tuple[int, int]
"""Layer of a feature, and its index in the layer."""


@dataclass(frozen=True, eq=False)
class Contexts:
    """The tokens of a corpus: all texts in a row, without their special first tokens."""

    ids: NDArray[np.int32]
    """(n_tokens,) vocabulary ids"""
    starts: NDArray[np.int64]
    """(n_contexts + 1,) first token of each context; the last entry is n_tokens"""

    @classmethod
    def of(cls, texts: Sequence[Sequence[int] | NDArray[np.int32]]) -> "Contexts":
        """Join texts. texts: the vocabulary ids of each, without the special first token."""
        starts = np.cumsum([0, *(len(text) for text in texts)])
        return cls(np.concatenate([np.empty(0, np.int32), *(np.asarray(t, np.int32) for t in texts)]), starts)

    def number(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) number of the context that contains each token. places: (n,) tokens over all contexts."""
        return np.searchsorted(self.starts, places, side="right") - 1

    @property
    def context(self) -> NDArray[np.int64]:
        """(n_tokens,) number of the context that contains each token."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


class FeatureFirings(NamedTuple):
    """The firings of one feature."""

    place: NDArray[np.int64]
    """(n,) the token, numbered over all contexts; ascending"""
    activation: NDArray[np.float32]
    """(n,) above 0; also below 0 for transcoders that pass negative values"""


class _Run(NamedTuple):
    """Some firings in the file: the places of all, then the activations of all, both sorted by feature."""

    offset: int
    """Where the run begins, in bytes."""
    bounds: NDArray[np.int64]
    """(n_features + 1,) the first firing of each feature; the last entry is the number of firings"""


class FiringsFile:
    """Firings sorted by feature, in runs. The file has no name, and is gone when this object is."""

    def __init__(self, n_features: int) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  the finalizer closes it
        weakref.finalize(self, self._file.close)
        self.runs: list[_Run] = []
        self.counts = np.zeros(n_features, np.int64)
        """(n_features,) firings of each feature"""

    def write(
        self, number: NDArray[np.int32], place: NDArray[np.int32], activation: NDArray[np.float32]
    ) -> None:
        """Add firings, each of the feature with a number. Places follow those of earlier calls."""
        order = np.argsort(number, kind="stable")
        bounds = np.searchsorted(number[order], np.arange(len(self.counts) + 1))
        self.runs.append(_Run(self._file.tell(), bounds))
        self.counts += np.diff(bounds)
        for column in (place, activation):
            left = memoryview(column[order].tobytes())
            while left:
                left = left[self._file.write(left) :]

    def read(self, number: int) -> FeatureFirings:
        """The firings of one feature."""
        places, values = [np.empty(0, np.int32)], [np.empty(0, np.float32)]
        for run in self.runs:
            start, stop = run.bounds[number : number + 2].tolist()
            size, at = 4 * (stop - start), run.offset + 4 * start
            places.append(np.frombuffer(os.pread(self._file.fileno(), size, at), np.int32))
            at += 4 * int(run.bounds[-1])
            values.append(np.frombuffer(os.pread(self._file.fileno(), size, at), np.float32))
        return FeatureFirings(np.concatenate(places).astype(np.int64), np.concatenate(values))


@dataclass(frozen=True, eq=False)
class Activity:
    """Where features fire in a corpus."""

    contexts: Contexts
    """The tokens of the corpus."""
    features: dict[FeatureKey, int]
    """Each feature that was asked for → its number."""
    firings: FiringsFile

    def of(self, key: FeatureKey) -> FeatureFirings:
        """The firings of a feature; none for a feature that was not asked for."""
        if (number := self.features.get(key)) is None:
            return FeatureFirings(np.empty(0, np.int64), np.empty(0, np.float32))
        return self.firings.read(number)

    def __contains__(self, key: FeatureKey) -> bool:
        """Whether the feature fires."""
        return self.n_firings(key) > 0

    def n_firings(self, key: FeatureKey) -> int:
        """The number of tokens on which the feature fires."""
        number = self.features.get(key)
        return 0 if number is None else int(self.firings.counts[number])

    def fires(self, key: FeatureKey) -> NDArray[np.bool_]:
        """(n_tokens,) whether the feature fires on each token."""
        found = np.zeros(len(self.contexts.ids), bool)
        found[self.of(key).place] = True
        return found

    def density(self, key: FeatureKey) -> float:
        """Share of all tokens on which the feature fires, 0 to 1."""
        return self.n_firings(key) / max(1, len(self.contexts.ids))


def encode_all(
    model: ReplacementModel, texts: Iterable[str], problems: list[PromptError]
) -> Iterator[tuple[str, Encoded]]:
    """Encode texts: each text that the model can take, once. The errors of the others go to `problems`."""
    seen: set[bytes] = set()
    for text in texts:
        try:
            encoded = model.encode(text)
        except PromptError as error:
            problems.append(error)
            continue
        digest = hashlib.sha256(np.asarray(encoded.ids, np.int64).tobytes()).digest()
        if digest not in seen:
            seen.add(digest)
            yield text, encoded


def activity(
    model: ReplacementModel,
    texts: Iterable[Encoded],
    features: Collection[FeatureKey] | None = None,
    *,
    cache: FiringsCache | None = None,
    compute: Compute = in_this_process,
    advance: Callable[[int], object] = lambda n: None,
) -> Activity:
    """Run the model over texts.

    features: those whose firings are kept; None for all. cache: where firings of texts are looked up and
    stored. compute: gives the firings that the cache lacks. `advance` is called after each batch with the
    number of its texts.
    """
    if features is None:
        sizes = [layer.n_features for layer in model.transcoders.layers]
        features = [(layer, index) for layer, size in enumerate(sizes) for index in range(size)]
    gathering = Gathering(model.n_layers, model.transcoders.n_features, features)
    parts = _parts(texts)
    found: Iterator[tuple[list[Encoded], Iterable[TextFirings]]]
    if cache is None:
        found = ((part, firings(model, part)) for part in parts)
    else:
        found = cache.firings(model, parts, compute)
    for part, of_part in found:
        for text, fired in zip(part, of_part, strict=True):
            gathering.add(text, fired)
        advance(len(part))
    return gathering.done()


def _parts(texts: Iterable[Encoded]) -> Iterator[list[Encoded]]:
    part: list[Encoded] = []
    for text in texts:
        part.append(text)
        if len(part) == MOST_TEXTS or sum(len(each.ids) for each in part) > MOST_TOKENS:
            yield part
            part = []
    if part:
        yield part


class Gathering:
    """Sorts firings by feature into a temporary file, while they arrive by text."""

    def __init__(self, n_layers: int, n_features: int, wanted: Collection[FeatureKey]) -> None:
        """n_features: of the widest layer. wanted: the features whose firings are kept."""
        self._features = {key: number for number, key in enumerate(sorted(wanted))}
        self._numbers = np.full((n_layers, n_features), -1, np.int32)
        for key, number in self._features.items():
            self._numbers[key] = number
        self._texts: list[NDArray[np.int32]] = []
        self._n_tokens = 0
        self._waiting: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]] = []
        """Numbers of features, places and activations that are not in the file yet."""
        self._n_waiting = 0
        self._firings = FiringsFile(len(self._features))

    def add(self, text: Encoded, fired: TextFirings) -> None:
        """Take the firings of the next text."""
        first = text.n_left_out
        number = self._numbers[fired.layer, fired.feature]
        mine = number >= 0
        place = (fired.position[mine] - first + self._n_tokens).astype(np.int32)
        self._waiting.append((number[mine], place, fired.activation[mine]))
        self._texts.append(np.asarray(text.ids[first:], np.int32))
        self._n_tokens += len(text.ids) - first
        self._n_waiting += len(place)
        if self._n_waiting > GATHERED:
            self._write()

    def done(self) -> Activity:
        """The activity over all texts."""
        self._write()
        return Activity(Contexts.of(self._texts), self._features, self._firings)

    def _write(self) -> None:
        if self._n_waiting:
            self._firings.write(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
            self._waiting, self._n_waiting = [], 0
