"""Where features fire in a corpus, on the machines of a cluster: commands that share the cache of firings.

The command cuts the corpus into parts as a single process does (`ingest.labels.contexts`). A worker gets the
texts of one part that the cache lacks, and the command stores what it gives in the order of the texts, so
that the file of the cache is equal to the last bit on equal devices with equally many threads.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from rich.console import Console

from ingest.annotations.labels import CorpusSettings
from ingest.cluster.connection import ClusterSettings, connected
from ingest.cluster.failures import checked, returning_errors
from ingest.cluster.holders import HoldingWorker, refused_texts, start_holders
from ingest.cluster.pool import Lost, Pool
from ingest.engine.replacement.firings import TextFirings, firings
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.labels.firings_cache import Compute, PackedFirings, packed, unpacked


class FiringsWorker(HoldingWorker):
    """Computes where the features of the model fire."""

    computes = "firings"

    @returning_errors
    def compute(self, texts: list[Encoded]) -> list[PackedFirings]:
        """The firings of each text. Raises InputError when the process that asks holds another model."""
        return [packed(each) for each in firings(self.held(), texts)]


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

        def compute(model: ReplacementModel, lists: Iterable[list[Encoded]]) -> Iterator[list[TextFirings]]:
            def start() -> Pool:
                return start_holders(FiringsWorker, model, settings, cluster, n_workers, console)

            return computed(lists, start)

        yield compute


def computed(lists: Iterable[list[Encoded]], start: Callable[[], Pool]) -> Iterator[list[TextFirings]]:
    """The firings of each text of each list, in order. Workers start at the first list that has a text."""
    coming = iter(lists)
    for texts in coming:
        if texts:
            yield from _spread(chain([texts], coming), start())
            return
        yield []


def _spread(lists: Iterable[list[Encoded]], pool: Pool) -> Iterator[list[TextFirings]]:
    under_way: dict[int, list[Encoded]] = {}

    def shares() -> Iterator[int]:
        for share, texts in enumerate(lists):
            under_way[share] = texts
            yield share

    def call(worker: Any, share: int) -> Any:
        return worker.compute.remote(under_way[share]) if under_way[share] else None

    for share, result in pool.results(shares(), call):
        texts = under_way.pop(share)
        if isinstance(result, Lost):
            raise refused_texts(texts, result, resumes=True)
        yield [unpacked(each) for each in checked(result or [])]
