"""What an import is asked to do, and the summary of what it did."""

import importlib.metadata
from dataclasses import dataclass, field
from pathlib import Path

from schema.circuit.records import Run
from schema.errors import FileError
from schema.formats.graph import Given


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
    features: int = 0
    """Features that got labels or examples."""
    strangers: int = 0
    """Feature files that were left out, because no circuit has their feature."""
    megabytes: float = 0.0
    """Size of the files that were read, unpacked."""
    seconds: float = 0.0
    """Duration of the whole import."""
    problems: list[Exception] = field(default_factory=list)
    """One error for each refused file."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """File → the content that the atlas cannot store, one phrase each."""

    def as_json(self) -> dict[str, object]:
        """The summary for scripts: counts, notes, and each refused file with the key at fault."""
        return {
            "loaded": self.loaded,
            "present": self.present,
            "features": self.features,
            "features_of_no_circuit": self.strangers,
            "megabytes": round(self.megabytes, 3),
            "seconds": round(self.seconds, 3),
            "refused": [_problem(problem) for problem in self.problems],
            "notes": [{"file": file, "notes": notes} for file, notes in self.notes.items()],
        }

    def sentence(self) -> str:
        """The summary for people, in one sentence."""
        failed = f", {len(self.problems)} files refused" if self.problems else ""
        notes = f"; labels or examples for {self.features} features" if self.features else ""
        if self.strangers:
            notes += (
                f"; {self.strangers} feature files left out: no circuit here has their features; "
                "import graphs first"
            )
        rate = self.megabytes / self.seconds if self.seconds else 0.0
        return (
            f"{self.loaded} circuits imported, {self.present} were there already{failed}{notes} "
            f"({self.megabytes:.1f} MB in {self.seconds:.1f} s, {rate:.1f} MB/s)."
        )


def _problem(problem: Exception) -> dict[str, object]:
    step = getattr(problem, "next_step", None)
    if isinstance(problem, FileError):
        return {"file": problem.file, "key": problem.key, "reason": problem.reason, "next_step": step}
    return {"file": None, "key": None, "reason": getattr(problem, "what", str(problem)), "next_step": step}
