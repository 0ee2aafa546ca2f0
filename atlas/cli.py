"""The command `atlas`: a table of contents of its subcommands, each of which has its own file in
`atlas/commands`.

Exit codes: 0 success; 1 something failed, or some of the inputs did; 2 the command line is wrong;
130 interrupted by Ctrl-C; 143 ended by SIGTERM.
"""

import importlib.metadata
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from atlas.commands import imports, labels, upkeep
from atlas.commands.attribute import attribute
from atlas.commands.checkpoints import checkpoints
from atlas.commands.claims import claim
from atlas.commands.components import ablate
from atlas.commands.db import db
from atlas.commands.demo import demo
from atlas.commands.diagnostics import diagnose
from atlas.commands.doctor import doctor
from atlas.commands.exports import export
from atlas.commands.families import family
from atlas.commands.figures import figure
from atlas.commands.hypotheses import hypothesis
from atlas.commands.ingest import ingest
from atlas.commands.interventions import intervene
from atlas.commands.jobs import job
from atlas.commands.mcp import mcp
from atlas.commands.modules import modules
from atlas.commands.options import out, print_error, quietable
from atlas.commands.query import query
from atlas.commands.report import report
from atlas.commands.serve import serve
from atlas.commands.studies import study
from atlas.commands.supernodes import supernodes
from atlas.commands.transcoders import transcoders
from ingest.engine.errors import EngineError
from ingest.extra import missing_extra
from schema.errors import AtlasError

CONTENTS: dict[str, dict[str, Callable[..., Any] | typer.Typer]] = {
    "Start here": {
        "demo": demo,
        "db": db,
        "ingest": ingest,
        "import": imports.import_,
        "serve": serve,
        "query": query,
        "mcp": mcp,
    },
    "Circuits and files": {
        "attribute": attribute,
        "export": export,
        "load": imports.load,
        "bulk-import": imports.bulk_import,
        "checkpoints": checkpoints,
        "family": family,
        "transcoders": transcoders,
        "job": job,
    },
    "Labels and groups of features": {
        "examples": labels.examples,
        "label": labels.label,
        "labels": labels.labels,
        "supernodes": supernodes,
        "modules": modules,
    },
    "Tests by intervention": {
        "intervene": intervene,
        "claim": claim,
        "hypothesis": hypothesis,
        "diagnose": diagnose,
        "ablate": ablate,
    },
    "Studies, figures and reports": {
        "study": study,
        "figure": figure,
        "report": report,
    },
    "Upkeep": {
        "doctor": doctor,
        "stats": upkeep.stats,
        "runs": upkeep.runs,
        "delete": upkeep.delete,
        "check": upkeep.check,
        "backup": upkeep.backup,
        "restore": upkeep.restore,
    },
}
"""Heading in `atlas --help` → its commands and groups of commands by name, common ones first."""


class Contents(TyperGroup):
    """Lists the commands in the order of `CONTENTS`; typer alone would list groups after commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for commands in CONTENTS.values() for name in commands]


app = typer.Typer(
    name="atlas",
    cls=Contents,
    help="Attribution graphs of many prompts in one graph database, and answers across them.\n\n"
    "Try `atlas demo` first. For your own prompts: `atlas db start`, `atlas ingest PROMPTS.jsonl`, "
    "`atlas serve`, then `atlas query QUESTION.graphql --table`. `atlas COMMAND --help` explains a command.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"circuit-atlas {importlib.metadata.version('circuit-atlas')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    pass


for heading, commands in CONTENTS.items():
    for name, command in commands.items():
        if isinstance(command, typer.Typer):
            for each in command.registered_commands:
                if each.callback is not None:
                    each.callback = quietable(each.callback)
            app.add_typer(command, name=name, rich_help_panel=heading)
        else:
            app.command(name, rich_help_panel=heading)(quietable(command))


def main() -> None:
    """Run the command. An error of the atlas or the engine is printed without a traceback."""
    try:
        app()
    except (AtlasError, EngineError) as error:
        print_error(error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if (missing := missing_extra(error)) is None:
            raise
        print_error(missing)
        sys.exit(1)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # of torch, which is imported by then
            raise
        print_error(
            AtlasError(
                f"The memory of the device is full: {str(error).splitlines()[0]}",
                next_step="use smaller batches (--batch, --memory), shorter texts, --dtype bfloat16 or "
                "--device cpu",
            )
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
