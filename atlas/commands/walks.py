"""The summary that `atlas diagnose` and `atlas ablate` print at the end."""

from typing import TYPE_CHECKING

import typer

from atlas.commands.options import out, print_error
from schema.counted import counted

if TYPE_CHECKING:
    from ingest.evidence.walk import WalkSummary


def print_summary(summary: "WalkSummary", sentence: str) -> None:
    """Print the problems and what was done. Exit code 1 when a circuit could not be measured."""
    for problem in summary.problems:
        print_error(problem)
    failed = (
        f" {counted(len(summary.problems), 'circuit')} could not be measured." if summary.problems else ""
    )
    out.print(
        f"{sentence} {counted(summary.present, 'circuit was', 'circuits were')} measured before.{failed}",
        soft_wrap=True,
    )
    if summary.problems:
        raise typer.Exit(1)
