"""`atlas import` and `atlas export`: other tools' files in and out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.commands.options import BoltPort, HttpPort, err, out
from atlas.settings import Settings
from schema.errors import DatabaseError, InputError

if TYPE_CHECKING:
    from ingest.imports.settings import ImportSummary


NOTES = 20
"""Notes printed at most."""


Paths = Annotated[
    list[Path],
    typer.Argument(help="Graphs (.json, .json.gz, .pt), feature files, or folders of them.", metavar="PATH"),
]
Family = Annotated[str | None, typer.Option(help="Family of all the prompts.")]
Tags = Annotated[list[str] | None, typer.Option(help="Tag of all the prompts; may be repeated.")]
ModelName = Annotated[
    str | None, typer.Option(help="Name of the model, when files do not say it, or to replace it.")
]
TranscodersName = Annotated[
    str | None, typer.Option(help="Name of the transcoders, when files do not say it, or to replace it.")
]
NodeThreshold = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Pruning of .pt graphs: share of influence nodes keep.")
]
EdgeThreshold = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Pruning of .pt graphs: share of influence edges keep.")
]
Tokenizer = Annotated[
    Path | None, typer.Option(help="Folder of a tokenizer: .pt graphs hold ids of tokens, not texts.")
]

AsJson = Annotated[
    bool, typer.Option("--json", help="What became of the files as one JSON object, for scripts.")
]


def import_(
    paths: Paths,
    family: Family = None,
    tag: Tags = None,
    model: ModelName = None,
    transcoders: TranscodersName = None,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    tokenizer: Tokenizer = None,
    as_json: AsJson = False,
) -> None:
    """Load graphs of circuit-tracer, Neuronpedia, Anthropic and EleutherAI into Neo4j; needs no GPU.

    A file goes by its content, so importing it twice changes nothing, and a stopped import goes on when it is
    called again. Files that cannot be read are named with key and reason and the exit code is 1; the others
    are loaded.
    """
    from atlas.local.login import Login
    from ingest.imports.files import import_files
    from ingest.imports.settings import ImportSettings
    from schema.formats.graph import Given

    given = Given(model, transcoders, family, tuple(dict.fromkeys(tag or ())))
    settings = ImportSettings(tuple(paths), given, node_threshold, edge_threshold, tokenizer)
    with Login(Settings.load()).connect() as database:
        summary = import_files(database, settings, console=err)
    _say(summary, as_json)


def bulk_import(
    paths: Paths,
    family: Family = None,
    tag: Tags = None,
    model: ModelName = None,
    transcoders: TranscodersName = None,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    tokenizer: Tokenizer = None,
    as_json: AsJson = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of the local database, if there is one.")
    ] = False,
    heap: Annotated[int, typer.Option(min=256, help="Memory of Neo4j's importer in MB.")] = 2048,
    bolt_port: BoltPort = 7687,
    http_port: HttpPort = 7474,
) -> None:
    """Make a new local database of many graphs, through Neo4j's own importer: many times as fast as import.

    The files are those of `atlas import`, and so is what the database then holds. It is built beside the
    present one, whose place it takes when all went well.
    """
    import tempfile
    import time

    from atlas.local import admin
    from atlas.local.login import Login
    from atlas.local.server import LocalServer
    from ingest.imports.bulk import write_tables
    from ingest.imports.settings import ImportSettings
    from schema.formats.graph import Given

    atlas = Settings.load()
    if atlas.neo4j_uri is not None:
        raise InputError(
            f"A bulk import makes a local database, and NEO4J_URI names {atlas.neo4j_uri}",
            next_step="unset NEO4J_URI, or use `atlas import`",
        )
    server = LocalServer(atlas.home)
    admin.require_new(server, replace=replace)
    given = Given(model, transcoders, family, tuple(dict.fromkeys(tag or ())))
    settings = ImportSettings(tuple(paths), given, node_threshold, edge_threshold, tokenizer)
    started = time.monotonic()
    atlas.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=atlas.home) as folder:
        tables = write_tables(settings, Path(folder), console=err)
        arguments = tables.writer.finish()
        if tables.summary.loaded:
            with err.status("Neo4j's importer …"):
                admin.import_tables(server, arguments, heap_mb=heap)
    summary = tables.summary
    if summary.loaded:
        server.start(bolt_port, http_port)
        with err.status("Indexes and the ledger …"), Login(atlas).connect() as database:
            tables.finish(database)
    summary.seconds = time.monotonic() - started
    _say(summary, as_json)


def _say(summary: "ImportSummary", as_json: bool) -> None:
    """What an import did: notes, problems and the sentence. Raises Exit when files were refused."""
    notes = [f"{file}: {note}" for file, found in summary.notes.items() for note in found]
    for note in notes[:NOTES]:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    if len(notes) > NOTES:
        err.print(f"note: and {len(notes) - NOTES} more")
    for problem in summary.problems:
        err.print("[red]error:[/] ", end="")
        err.print(str(problem).encode(errors="replace").decode(), markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False, indent=2).encode(errors="replace").decode())
    else:
        out.print(summary.sentence(), soft_wrap=True, markup=False)
    if summary.problems:
        raise typer.Exit(1)


def export(
    out_path: Annotated[
        Path,
        typer.Option("--out", help="File for one graph (`-`: the screen), folder for several or for tables."),
    ],
    circuits: Annotated[
        list[str] | None,
        typer.Argument(
            help="Ids of circuits (or their beginnings), slugs, families or tags. None: all circuits.",
            metavar="CIRCUIT",
        ),
    ] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="json (circuit-tracer's and Neuronpedia's), graphml, node-link (NetworkX), parquet or csv.",
        ),
    ] = "json",
    query: Annotated[
        Path | None,
        typer.Option(
            help="A .cypher file: its rows as one table, or the circuits that its column `circuit` names."
        ),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(help="A parameter of the query as NAME=VALUE; VALUE is JSON or text.")
    ] = None,
) -> None:
    """Write circuits, or what a query found, to files that other tools open.

    Graph JSON comes back with `atlas import` as the same circuit.
    """
    from rich.progress import Progress

    from atlas.exporting import Format, export_circuits, export_query
    from atlas.local.login import Login

    try:
        chosen = Format(format_)
    except ValueError:
        raise InputError(
            f"--format {format_!r} is none of {', '.join(Format)}", next_step="for example --format graphml"
        ) from None
    if query is not None and circuits:
        raise InputError("both circuits and --query are given", next_step="give one of the two")
    with Login(Settings.load()).connect() as database, Progress(console=err, transient=True) as progress:
        task = progress.add_task("circuits", total=None)

        def step() -> None:
            progress.advance(task)

        if query is None:
            count = export_circuits(database, circuits or [], chosen, out_path, step=step)
        else:
            values = dict(_parameter(item) for item in param or ())
            try:
                count = export_query(database, _text(query), values, chosen, out_path, step=step)
            except DatabaseError as error:
                if error.next_step is not None:
                    raise
                raise InputError(
                    f"{query}: {error.what}",
                    next_step="mend the query: it can be tried in the console that `atlas db status` names",
                ) from error
    what = "rows" if query is not None and chosen in ("parquet", "csv") else "circuits"
    err.print(f"{count} {what} written to {out_path}", markup=False, soft_wrap=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", next_step="name a .cypher text file") from error


def _parameter(item: str) -> tuple[str, object]:
    name, equals, value = item.partition("=")
    if not equals or not name:
        raise InputError(f"--param {item!r} is not NAME=VALUE", next_step='for example --param tag="easy"')
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
