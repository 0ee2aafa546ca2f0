"""What an import is asked to do, and the summary of what it did."""

import importlib.metadata
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich import filesize

from schema.circuit.records import Run
from schema.counted import counted
from schema.errors import FileError
from schema.formats.graph import Given
from schema.loading.additions import AddedParts


@dataclass(frozen=True)
class ImportSettings:
    """What to import, and how."""

    paths: tuple[Path, ...]
    """Files, and folders that are searched for files."""
    given: Given = field(default_factory=Given)
    """Names, family and tags that the user gives for all files."""
    node_threshold: float = 0.8
    """Share of influence, 0 to 1, that the kept nodes of a `.pt` graph have together. JSON is pruned
    already."""
    edge_threshold: float = 0.98
    """Share of influence, 0 to 1, that the kept edges of a `.pt` graph have together."""
    tokenizer: Path | None = None
    """Folder of the tokenizer that turns the token ids of `.pt` graphs into text."""

    def run(self) -> Run:
        """The run that the database records for these settings."""
        settings = {
            "import": [str(path) for path in self.paths],
            "family": self.given.family,
            "tags": list(self.given.tags),
            "model": self.given.model,
            "transcoders": self.given.transcoders,
            "node_threshold": self.node_threshold,
            "edge_threshold": self.edge_threshold,
        }
        return Run(settings, {"circuit-atlas": importlib.metadata.version("circuit-atlas")})


@dataclass
class ImportSummary:
    """What one import did."""

    loaded: int = 0
    """Circuits that are new in the database."""
    present: int = 0
    """Graphs whose circuit the database had already."""
    supernodes: int = 0
    """Supernodes that were added to circuits that were there already."""
    labels: int = 0
    """Labels that were added to their features."""
    traces: int = 0
    """Circuits of them that got the attention scores that another tool traced."""
    tagged: int = 0
    """Circuits of them whose prompts got new tags."""
    other_family: int = 0
    """Circuits of them whose prompts stay in another family than the import names, or in none."""
    features: int = 0
    """Features that got labels or examples."""
    strangers: int = 0
    """Feature files that were left out, because no circuit has their feature."""
    n_bytes: int = 0
    """Size of the files that were read, unpacked."""
    problems: list[Exception] = field(default_factory=list)
    """One error for each refused file."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """File → the content that the atlas cannot store, one phrase each."""
    _started: float = field(default_factory=time.monotonic, repr=False)
    _ended: float | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """Duration of the import: until now, or until `end` was called."""
        return (time.monotonic() if self._ended is None else self._ended) - self._started

    def end(self) -> None:
        """Stop the clock."""
        self._ended = time.monotonic()

    def pace(self) -> str:
        """What was read so far, in what time, and the rate. The progress bar and the sentence show it."""
        seconds = self.seconds
        rate = self.n_bytes / seconds if seconds else 0.0
        return f"{filesize.decimal(self.n_bytes)} in {seconds:.1f} s, {filesize.decimal(round(rate))}/s"

    def add(self, added: AddedParts) -> None:
        """Count what a file added to a circuit that was there already."""
        self.supernodes += added.n_supernodes
        self.labels += added.n_labels
        self.traces += added.n_traces

    def as_json(self) -> dict[str, object]:
        """The summary for scripts: counts, notes, and each refused file with the key at fault."""
        return {
            "loaded": self.loaded,
            "present": self.present,
            "added": {
                "supernodes": self.supernodes,
                "labels": self.labels,
                "traces": self.traces,
                "tagged": self.tagged,
            },
            "features": self.features,
            "features_of_no_circuit": self.strangers,
            "megabytes": round(self.n_bytes / 1e6, 3),
            "seconds": round(self.seconds, 3),
            "refused": [_problem(problem) for problem in self.problems],
            "notes": [{"file": file, "notes": notes} for file, notes in self.notes.items()],
        }

    def sentence(self) -> str:
        """The summary for people, in one sentence."""
        said = [
            f"{counted(self.loaded, 'circuit')} imported",
            counted(self.present, "was there already", "were there already"),
        ]
        if self.problems:
            said.append(f"{counted(len(self.problems), 'file')} refused")
        return f"{', '.join(said)}{''.join(f'; {note}' for note in self._notes())} ({self.pace()})."

    def _notes(self) -> Iterator[str]:
        added = [
            counted(n, what) for n, what in ((self.supernodes, "supernode"), (self.labels, "label")) if n
        ]
        if self.traces:
            added.append(f"the attention scores of {counted(self.traces, 'circuit')}")
        if added:
            yield f"added to circuits that were there: {', '.join(added)}"
        if self.tagged:
            yield f"new tags for the prompts of {counted(self.tagged, 'circuit')}"
        if self.other_family:
            yield (
                f"the prompts of {counted(self.other_family, 'circuit')} keep the family that they had; "
                "`atlas family` moves prompts"
            )
        if self.features:
            yield f"labels or examples for {counted(self.features, 'feature')}"
        if self.strangers:
            yield (
                f"{counted(self.strangers, 'feature file')} left out: no circuit here has their features; "
                "import graphs first"
            )


def _problem(problem: Exception) -> dict[str, object]:
    step = getattr(problem, "next_step", None)
    if isinstance(problem, FileError):
        return {"file": problem.file, "key": problem.key, "reason": problem.reason, "next_step": step}
    return {"file": None, "key": None, "reason": getattr(problem, "what", str(problem)), "next_step": step}
