"""The walk of `atlas diagnose` and `atlas ablate` over the circuits of a database.

Steps
1. Find the circuits of the transcoder set, of the families asked for, that were not measured yet.
2. Read some of them at a time and measure each (`CircuitMeasurement`). A circuit that cannot be measured
   becomes a problem of the summary, and the walk goes on.
3. Write each circuit in one transaction, so that a command that was stopped at any moment can be repeated and
   goes on with the circuits that are missing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from ingest.circuits.convert import transcoders_record
from ingest.engine.errors import EngineError
from ingest.engine.replacement.model import ReplacementModel
from ingest.progress import progress
from schema.database import Database
from schema.errors import InputError
from schema.evidence.interventions import CircuitToMeasureRow
from schema.questions.question import Question, ask

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class WalkSettings:
    """Which circuits are measured, and with which model."""

    model: Path
    """Folder or hub name of the model."""
    transcoders: Path
    """Folder or hub name of the transcoders."""
    families: Sequence[str] | None = None
    """Families of the prompts; None for all circuits of the set, those without a family included."""
    limit: int | None = None
    """Circuits of each family, the first ones by id; None for all."""
    anew: bool = False
    """Whether circuits that were measured already are measured again."""
    device: str = "auto"
    """Where the model runs; `auto` is the first GPU, or else the CPU."""
    dtype: str = "float32"
    """Number format of the weights."""

    def load_model(self) -> ReplacementModel:
        """The model with its transcoders. Raises EngineError."""
        return ReplacementModel.load(self.model, self.transcoders, device=self.device, dtype=self.dtype)


@dataclass
class WalkSummary:
    """What one call measured."""

    circuits: int = 0
    """Circuits that were measured now."""
    parts: int = 0
    """Features or components that were ablated in these circuits, all together."""
    present: int = 0
    """Circuits that were measured already."""
    problems: list[Exception] = field(default_factory=list)
    """One for each circuit that could not be measured."""


class CircuitMeasurement(ABC):
    """What is measured of each circuit."""

    circuits: Question[CircuitToMeasureRow]
    """Finds the circuits to measure, with $transcoders, $families and $limit."""
    together: int
    """Circuits that are read and measured together."""
    lacking: str
    """What the error says of circuits when none is found, after "no circuit that …"."""
    next_step: str
    """What to do then."""

    @abstractmethod
    def measure(self, keys: Sequence[str]) -> Iterator["MeasuredParts | EngineError | InputError"]:
        """One answer for each of these circuits that still exists."""


class MeasuredParts(ABC):
    """The measurement of one circuit."""

    @property
    @abstractmethod
    def n_parts(self) -> int:
        """Features or components that were ablated."""

    @abstractmethod
    def keep(self, database: Database) -> None:
        """Write the measurement in one transaction."""


def walk(
    database: Database,
    model: ReplacementModel,
    measurement: CircuitMeasurement,
    settings: WalkSettings,
    *,
    console: Console,
) -> WalkSummary:
    """Measure the circuits that are missing. Raises InputError when no circuit fits, EngineError,
    DatabaseError."""
    # 1
    set_id = transcoders_record(model).id
    families = None if settings.families is None else list(settings.families)
    found = ask(
        database,
        measurement.circuits,
        timeout_s=TIMEOUT_S,
        transcoders=set_id,
        families=families,
        limit=settings.limit,
    )
    if not found:
        named = "" if families is None else f" of the families {', '.join(map(repr, families))}"
        raise InputError(
            f"The database has no circuit{named} that was made with {set_id}{measurement.lacking}",
            next_step=measurement.next_step,
        )
    todo = [row.circuit for row in found if settings.anew or not row.done]
    summary = WalkSummary(present=len(found) - len(todo))
    with progress(console) as work:
        circuits = work.add("circuits", len(todo))
        for start in range(0, len(todo), measurement.together):
            keys = todo[start : start + measurement.together]
            # 2
            for n_done, measured in enumerate(measurement.measure(keys), start + 1):
                if isinstance(measured, MeasuredParts):
                    # 3
                    measured.keep(database)
                    summary.circuits += 1
                    summary.parts += measured.n_parts
                else:
                    summary.problems.append(measured)
                circuits.reach(n_done)
            circuits.reach(start + len(keys))
    return summary
