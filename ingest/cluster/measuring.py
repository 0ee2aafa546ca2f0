"""`atlas transcoders measure` on the machines of a cluster.

A worker gets the contexts of one batch, and the command adds the sums of all batches in their order. The
batches are cut as in a single process, so the figures are equal to the last bit on equal devices with equally
many threads.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from ingest.annotations.labels import CorpusSettings
from ingest.cluster.connection import ClusterSettings, connected
from ingest.cluster.failures import checked, returning_errors
from ingest.cluster.holders import HoldingWorker, refused_texts, start_holders
from ingest.cluster.pool import Lost, Pool
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.training.measure import Batch, Groups, Rebuilt, Replaced, Step, passes_of, rebuilt, with_replaced


class TooLarge:
    """In place of the sums of a batch that does not fit into the device's memory."""


class MeasuringWorker(HoldingWorker):
    """Computes the sums of batches."""

    computes = "figures"

    @returning_errors
    def rebuild(self, texts: list[Encoded], limits: list[float] | None) -> Rebuilt | TooLarge:
        """The sums of `rebuilt`. Raises InputError when the process that asks holds another model."""
        try:
            return rebuilt(self.held(), texts, limits)
        except torch.OutOfMemoryError:
            return TooLarge()

    @returning_errors
    def replace(self, texts: list[Encoded], groups: Groups, mean: Tensor) -> Replaced | TooLarge:
        """The sums of `with_replaced`. Raises InputError when the process that asks holds another model."""
        try:
            return with_replaced(self.held(), texts, groups, mean)
        except torch.OutOfMemoryError:
            return TooLarge()


class PassesOnCluster:
    """Runs the forward passes on the workers of a cluster.

    Both methods raise OutOfMemoryError for a batch that does not fit into the memory of a worker's device,
    and InputError when workers are lost or cannot compute a batch.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def rebuild(self, batches: Sequence[Batch], step: Step) -> Iterator[Rebuilt]:
        (first,) = self._results("rebuild", batches[:1], None)
        step()
        yield first
        for found in self._results("rebuild", batches[1:], first.limits):
            step()
            yield found

    def replace(
        self, batches: Sequence[Batch], groups: Groups, mean: Tensor, step: Step
    ) -> Iterator[Replaced]:
        for found in self._results("replace", batches, groups, mean):
            for _ in range(passes_of(groups)):
                step()
            yield found

    def _results(self, method: str, batches: Sequence[Batch], *given: object) -> Iterator[Any]:
        def call(worker: Any, place: int) -> Any:
            return getattr(worker, method).remote(list(batches[place]), *given)

        for place, result in self._pool.results(range(len(batches)), call):
            if isinstance(result, Lost):
                raise refused_texts(list(batches[place]), result, resumes=False)
            found = checked(result)
            if isinstance(found, TooLarge):
                raise torch.OutOfMemoryError
            yield found


@contextmanager
def measuring_on_cluster(
    model: ReplacementModel, settings: CorpusSettings, cluster: ClusterSettings, *, console: Console
) -> Iterator[PassesOnCluster]:
    """Be connected to a Ray cluster in the block, with workers that hold the model.

    Raises the errors of `connected`, and InputError when workers cannot load the model or hold another one
    than this process.
    """
    with connected(cluster) as n_workers:
        yield PassesOnCluster(start_holders(MeasuringWorker, model, settings, cluster, n_workers, console))
