"""`atlas export`: write circuits, or the rows of a Cypher query, to files of other tools."""

from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import err, name_and_value
from atlas.settings import Settings
from ingest.progress import progress
from schema.counted import counted
from schema.errors import DatabaseError, InputError


def export(
    out_path: Annotated[
        Path,
        typer.Option(
            "--out",
            help="A file for one graph, a folder for several graphs or for tables; `-` writes to the "
            "standard output.",
        ),
    ],
    circuits: Annotated[
        list[str] | None,
        typer.Argument(
            help="Circuits to write: ids or their beginnings, slugs, prompt families, tags; tools, source "
            "sets or source URLs of imported graphs.",
            metavar="CIRCUIT",
            show_default="all circuits",
        ),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="json (circuit-tracer and Neuronpedia), graphml, node-link (NetworkX), parquet or csv.",
        ),
    ] = "json",
    query: Annotated[
        Path | None,
        typer.Option(
            help="A .cypher file. As parquet or csv its rows are written as one table; in another format the "
            "circuits that its column `circuit` names are written."
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="A parameter of the query as NAME=VALUE, where VALUE is JSON or else text. Repeat the "
            "option for several."
        ),
    ] = None,
) -> None:
    """Write circuits, or the rows of a Cypher query, to files that other tools open.

    For example: `atlas export --out graphs/ capitals` writes the circuits of a family as graph JSON, and
    `atlas export --format parquet --out tables/` writes all circuits as tables. `atlas import` reads graph
    JSON back as the same circuits.
    """
    from atlas.local.login import Login
    from schema.exports.files import ExportFormat, export_circuits, export_query

    try:
        chosen = ExportFormat(format_)
    except ValueError:
        raise InputError(
            f"--format {format_!r} is not one of {', '.join(ExportFormat)}",
            next_step="for example --format graphml",
        ) from None
    if query is not None and circuits:
        raise InputError("Both circuits and --query are given", next_step="give only one of them")
    with Login(Settings.load()).connect() as database, progress(err, resumes=False, erase=True) as work:
        step = work.add("circuits").advance

        if query is None:
            n_written = export_circuits(database, circuits or [], chosen, out_path, step=step)
        else:
            values = dict(name_and_value(each, "--param", 'tag="easy"') for each in param or ())
            try:
                n_written = export_query(database, _text(query), values, chosen, out_path, step=step)
            except DatabaseError as error:
                if error.next_step is not None:
                    raise
                raise InputError(
                    f"{query}: {error.what}",
                    next_step="correct the query; `atlas db status` prints the address of a console to try "
                    "it in",
                ) from error
    what = "row" if query is not None and chosen in ("parquet", "csv") else "circuit"
    err.print(f"{counted(n_written, what)} written to {out_path}", markup=False, soft_wrap=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", next_step="name a .cypher text file") from error
