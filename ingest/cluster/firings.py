"""Where features fire in a corpus, on the machines of a cluster: commands that share the cache of firings.

The command cuts the corpus into parts as a single process does (`ingest.labels.contexts`). A worker gets the
texts of one part that the cache lacks, and the command stores what it gives in the order of the texts, so
that the file of the cache is equal to the last bit on equal devices with equally many threads.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import torch
from rich.console import Console

from ingest.annotations.labels import CorpusSettings
from ingest.circuits.convert import model_record, transcoders_record
from ingest.circuits.run import versions
from ingest.cluster.connection import ClusterSettings, connected
from ingest.cluster.failures import checked, machine, returning_errors
from ingest.cluster.pool import ATTEMPTS, Lost, Pool
from ingest.cluster.starting import loading, start_workers, unequal
from ingest.engine.replacement.firings import TextFirings, firings
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.labels.firings_cache import Compute, PackedFirings, packed, unpacked
from schema.counted import counted
from schema.errors import InputError

QUOTED = 60
"""Most characters of a text in an error."""


class Holder(NamedTuple):
    """A process that holds the model."""

    node: str
    """Name of the machine."""
    made_with: dict[str, str]
    """Model, transcoders, number format and packages; equal in all processes."""

    @classmethod
    def of(cls, model: ReplacementModel) -> "Holder":
        """This process."""
        record = model_record(model)
        return cls(
            machine(),
            {
                "model": record.id,
                "transcoders": transcoders_record(model, record.id).id,
                "dtype": str(model.dtype),
                **versions(),
            },
        )


class FiringsWorker:
    """Holds the model once, and computes where its features fire."""

    def __init__(self, settings: CorpusSettings, threads: int) -> None:
        """threads: of the model. The model is loaded by `ready`."""
        torch.set_num_threads(threads)
        self._settings = settings

    @returning_errors
    def ready(self, asking: Holder) -> Holder:
        """Load the model. asking: the process that stores the firings."""
        self._asking = asking
        return self._holder

    @returning_errors
    def compute(self, texts: list[Encoded]) -> list[PackedFirings]:
        """The firings of each text. Raises InputError when the process that asks holds another model."""
        require_equal(self._asking, self._holder)
        return [packed(each) for each in firings(self._model, texts)]

    @cached_property
    def _model(self) -> ReplacementModel:
        settings = self._settings
        return ReplacementModel.load(
            settings.model, settings.transcoders, device=settings.device, dtype=settings.dtype
        )

    @cached_property
    def _holder(self) -> Holder:
        return Holder.of(self._model)


@contextmanager
def computing_on_cluster(
    settings: CorpusSettings, cluster: ClusterSettings, *, console: Console
) -> Iterator[Compute]:
    """Be connected to a Ray cluster in the block. Gives what computes firings there.

    Workers start at the first text, so that a corpus which the cache holds needs none. Raises the errors of
    `connected`. What it gives raises InputError when workers cannot load the model, hold another one than
    this process, are lost, or cannot take a text.
    """
    with connected(cluster) as n_workers:

        def start(model: ReplacementModel) -> Pool:
            console.print(loading(n_workers, settings), markup=False, soft_wrap=True)
            here = Holder.of(model)
            started = start_workers(FiringsWorker, settings, cluster, n_workers, console, here)
            for other in started.ready:
                require_equal(here, other)
            return started.pool

        def compute(model: ReplacementModel, lists: Iterable[list[Encoded]]) -> Iterator[list[TextFirings]]:
            return computed(lists, lambda: start(model))

        yield compute


def computed(lists: Iterable[list[Encoded]], start: Callable[[], Pool]) -> Iterator[list[TextFirings]]:
    """The firings of each text of each list, in order."""
    coming = iter(lists)
    for first in coming:
        if first:
            break
        yield []
    else:
        return
    under_way: dict[int, list[Encoded]] = {}

    def shares() -> Iterator[int]:
        for share, texts in enumerate(chain([first], coming)):
            under_way[share] = texts
            yield share

    def call(worker: Any, share: int) -> Any:
        return worker.compute.remote(under_way[share]) if under_way[share] else None

    for share, result in start().results(shares(), call):
        texts = under_way.pop(share)
        if isinstance(result, Lost):
            raise _refused(texts, result)
        yield [unpacked(each) for each in checked(result or [])]


def _refused(texts: list[Encoded], lost: Lost) -> InputError:
    """The error of texts whose worker was lost each time."""
    begins = "".join(texts[0].tokens)[:QUOTED]
    return InputError(
        f"{counted(len(texts), 'text')} of the corpus, of which the first begins with {begins!r}, ended "
        f"the worker {ATTEMPTS} times: {lost.reason}",
        next_step="give workers more memory, or take out the longest of these texts; then run the same "
        "command again, and it resumes",
    )


def require_equal(here: Holder, other: Holder) -> None:
    """Raises InputError when two processes would not compute the same firings."""
    if here.made_with != other.made_with:
        raise unequal((here.node, other.node), "firings", here.made_with, other.made_with)
