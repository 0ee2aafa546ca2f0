"""Workers, each of which holds the model once and attributes shares of the prompts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import ray
import torch

from ingest.circuits.prompts import PromptLine
from ingest.circuits.run import (
    Attributor,
    IngestSettings,
    IngestSummary,
    PlannedCircuit,
    first_token,
    groups,
)
from ingest.circuits.shards import shares, storable
from ingest.cluster.failures import machine, returning_errors
from ingest.labels.namer import CountedFirings, Namer
from ingest.labels.statistics import FeatureStatistics
from schema.circuit.records import Circuit, Model, Run, TranscoderSet, stable_id
from schema.shards.folder import packed


class Ready(NamedTuple):
    """A worker that holds the model."""

    node: str
    """Name of the machine."""
    plan: str
    """Hash of the ids of all circuits; equal on all workers."""
    run: Run


class Plan(NamedTuple):
    """What is to do, as one worker sees it."""

    planned: list[PlannedCircuit]
    problems: list[tuple[str, str | None]]
    """What and next step of each line that fails."""
    notes: list[str]
    model: Model
    transcoders: TranscoderSet


class Computed(NamedTuple):
    """What became of one share."""

    shards: list[tuple[str, bytes]]
    """Name and bytes of each shard of its circuits."""
    n_circuits: int
    problems: list[tuple[str, str | None]]
    """What and next step of each prompt that failed."""
    edge_shares: list[float]
    notes: list[str]


class AttributionWorker:
    """Holds the model once, and attributes shares of the prompts."""

    def __init__(self, settings: IngestSettings, threads: int) -> None:
        """threads: of the model. The model is loaded by `ready`."""
        torch.set_num_threads(threads)
        self._settings = settings
        self._problems: list[Exception] = []
        self._namer: Namer | None = None

    @returning_errors
    def ready(self, lines: list[PromptLine]) -> Ready:
        """Load the model, and plan all prompts. Every call after the first does nothing."""
        if not hasattr(self, "_planned"):
            self._attributor = Attributor(self._settings.load_model(), self._settings)
            self._planned = self._attributor.plan(lines, self._problems)
            self._shares = list(shares(self._planned))
        plan = stable_id([each.key for each in self._planned])
        return Ready(machine(), plan, self._attributor.run())

    @returning_errors
    def plan(self) -> Plan:
        """The plan, which is the same on every worker."""
        attributor = self._attributor
        return Plan(
            self._planned,
            [_said(each) for each in self._problems],
            [
                first_token(attributor.model, self._settings.first_token),
                *attributor.unreachable(self._planned),
            ],
            attributor.model_record,
            attributor.transcoders_record,
        )

    @returning_errors
    def count(self, share: int) -> CountedFirings:
        """What features fire on in the prompts of a share."""
        prompts = [each.encoded for each in self._shares[share]]
        return CountedFirings.over(self._attributor.model, prompts, advance=lambda: None)

    @returning_errors
    def compute(self, share: int, wanted: frozenset[str], statistics: Sequence[Any]) -> Computed:
        """Attribute the wanted prompts of a share.

        statistics: one reference to the statistics of all prompts.
        """
        if self._namer is None:
            found: list[FeatureStatistics] = ray.get(statistics[0])
            self._namer = Namer(self._attributor.model, found)
        summary, notes, circuits = IngestSummary(), list[str](), list[tuple[int, Circuit]]()
        for group in groups(self._shares[share]):
            for each in map(storable, self._attributor.attributed(group, wanted, self._namer)):
                summary.take(each, notes.append)
                if each.circuit is not None:
                    circuits.append((each.planned.line.line, each.circuit))
        return Computed(
            packed(circuits, self._attributor.run()),
            len(circuits),
            [_said(each) for each in summary.problems],
            summary.edge_shares,
            notes,
        )


def _said(error: Exception) -> tuple[str, str | None]:
    return getattr(error, "what", str(error)), getattr(error, "next_step", None)
