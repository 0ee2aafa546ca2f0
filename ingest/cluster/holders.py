"""Workers that hold the model for a command which stores the results itself.

The command holds the model, too: it reads the texts with it. All processes must hold the same one.
"""

from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from rich.console import Console

from ingest.annotations.labels import CorpusSettings
from ingest.circuits.convert import model_record, transcoders_record
from ingest.circuits.run import versions
from ingest.cluster.connection import ClusterSettings
from ingest.cluster.failures import machine, returning_errors
from ingest.cluster.pool import ATTEMPTS, Lost, Pool
from ingest.cluster.starting import loading, start_workers, unequal
from ingest.engine.replacement.model import Encoded, ReplacementModel
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


class HoldingWorker:
    """Holds the model once. Its classes have the methods that use it."""

    computes: ClassVar[str]
    """What they compute, in the plural."""

    def __init__(self, settings: CorpusSettings, threads: int) -> None:
        """threads: of the model. The model is loaded by `ready`."""
        torch.set_num_threads(threads)
        self._settings = settings

    @returning_errors
    def ready(self, asking: Holder) -> Holder:
        """Load the model. asking: the process that stores the results."""
        self._asking = asking
        return self._holder

    def held(self) -> ReplacementModel:
        """The model. Raises InputError when the process that asks holds another one."""
        require_equal(self.computes, self._asking, self._holder)
        return self._model

    @cached_property
    def _model(self) -> ReplacementModel:
        settings = self._settings
        return ReplacementModel.load(
            settings.model, settings.transcoders, device=settings.device, dtype=settings.dtype
        )

    @cached_property
    def _holder(self) -> Holder:
        return Holder.of(self._model)


def start_holders(
    worker: type[HoldingWorker],
    model: ReplacementModel,
    settings: CorpusSettings,
    cluster: ClusterSettings,
    n_workers: int,
    console: Console,
) -> Pool:
    """Start workers on a connected cluster. model: what this process holds.

    Raises InputError when a worker cannot start, cannot load the model, or holds another one.
    """
    console.print(loading(n_workers, settings), markup=False, soft_wrap=True)
    here = Holder.of(model)
    started = start_workers(worker, settings, cluster, n_workers, console, here)
    for other in started.ready:
        require_equal(worker.computes, here, other)
    return started.pool


def require_equal(computed: str, here: Holder, other: Holder) -> None:
    """Raises InputError when two processes would not compute the same. computed: what, in the plural."""
    if here.made_with != other.made_with:
        raise unequal((here.node, other.node), computed, here.made_with, other.made_with)


def refused_texts(texts: list[Encoded], lost: Lost, *, resumes: bool) -> InputError:
    """The error of texts whose worker was lost each time."""
    begins = "".join(texts[0].tokens)[:QUOTED]
    return InputError(
        f"{counted(len(texts), 'text')} of the corpus, of which the first begins with {begins!r}, ended "
        f"the worker {ATTEMPTS} times: {lost.reason}",
        next_step="give workers more memory, or take out the longest of these texts; then run the same "
        f"command again{', and it resumes' if resumes else ''}",
    )
