"""`atlas import`, `atlas load` and `atlas bulk-import`: load graphs of other tools, and shards."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.commands.options import BoltPort, HttpPort, err, out, print_error
from atlas.settings import Settings
from schema.errors import InputError

if TYPE_CHECKING:
    from ingest.imports.settings import ImportSummary

MAX_NOTES = 20
"""Notes about files that are printed at most."""

Paths = Annotated[
    list[Path],
    typer.Argument(
        help="Graph files (.json, .json.gz, .pt), feature files, or folders with such files.", metavar="PATH"
    ),
]
Family = Annotated[str | None, typer.Option(help="Prompt family of all prompts.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Tag of all prompts. Repeat the option for several tags."),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="Name of the model. It replaces the name in the files.", show_default="from the files"
    ),
]
TranscodersName = Annotated[
    str | None,
    typer.Option(
        "--transcoders",
        help="Name of the transcoders. It replaces the name in the files.",
        show_default="from the files",
    ),
]
NodeThreshold = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Only for .pt graphs: pruning keeps the nodes that together hold this share of the influence.",
    ),
]
EdgeThreshold = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Only for .pt graphs: pruning keeps the edges that together hold this share of the influence.",
    ),
]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        help="Only for .pt graphs: folder of the tokenizer. These graphs hold token ids instead of texts."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print what became of each file as one JSON object, for scripts.")
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

    For example: `atlas import graphs/ --family capitals`. Then run `atlas serve` and ask questions with
    `atlas query`.

    A file is recognised by its content. Importing a file twice changes nothing, and a command that was
    stopped continues when it is repeated. A file that cannot be read is reported with the key and the reason,
    and the exit code is 1; all other files are loaded.
    """
    from atlas.local.login import Login
    from ingest.imports.files import import_files
    from ingest.imports.settings import ImportSettings
    from schema.formats.graph import Given

    given = Given(model, transcoders, family, tuple(dict.fromkeys(tag or ())))
    settings = ImportSettings(tuple(paths), given, node_threshold, edge_threshold, tokenizer)
    with Login(Settings.load()).connect() as database:
        summary = import_files(database, settings, console=err)
    _print_summary(summary, as_json)


def load(
    shards: Annotated[
        list[str],
        typer.Argument(
            help="Folders that `atlas ingest --to` wrote, or single shards: local paths, or addresses such "
            "as s3://bucket/folder.",
            metavar="DIR",
        ),
    ],
) -> None:
    """Load shards into Neo4j, with the same content as an `atlas ingest` without `--to`; needs no GPU.

    For example: `atlas load shards/`. Then run `atlas serve` and ask questions with `atlas query`. `atlas
    bulk-import` makes a new database from shards faster.

    Loading a shard twice changes nothing, and a command that was stopped continues when it is repeated. A
    shard that is damaged or of another version is refused by name, and the exit code is 1; all other shards
    are loaded.
    """
    from atlas.local.login import Login
    from ingest.imports.shards import load_shards

    with Login(Settings.load()).connect() as database:
        summary = load_shards(database, shards, console=err)
    for problem in summary.problems:
        print_error(problem)
    out.print(summary.sentence(), soft_wrap=True, markup=False)
    if summary.problems:
        raise typer.Exit(1)


def bulk_import(
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Graph files, feature files, or folders with such files, as for `atlas import`; or shards, "
            "as for `atlas load`.",
            metavar="PATH",
        ),
    ],
    family: Family = None,
    tag: Tags = None,
    model: ModelName = None,
    transcoders: TranscodersName = None,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    tokenizer: Tokenizer = None,
    as_json: AsJson = False,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace the present local database. Everything it holds is lost."),
    ] = False,
    heap: Annotated[int, typer.Option(min=256, help="Memory of Neo4j's importer in MB.")] = 2048,
    bolt_port: BoltPort = 7687,
    http_port: HttpPort = 7474,
) -> None:
    """Make a new local database from many graphs with Neo4j's own importer, much faster than `atlas import`.

    For example: `atlas bulk-import graphs/ --replace`. Then run `atlas serve`.

    The command reads the same files as `atlas import`, and the same shards as `atlas load`, and stores the
    same data. The options that name or prune graphs do not change shards. The new database is built
    beside the present one and takes its place only when everything succeeded.
    """
    from atlas.local import admin
    from atlas.local.login import Login
    from atlas.local.server import LocalServer
    from ingest.imports.bulk import write_tables
    from ingest.imports.settings import ImportSettings
    from schema.formats.graph import Given
    from schema.shards.folder import holds_shards

    atlas = Settings.load()
    shards = [path for path in paths if holds_shards(path)]
    if atlas.neo4j_uri is not None:
        ways = ["`atlas load` for shards"] if shards else []
        ways += ["`atlas import` for graph files"] if len(shards) < len(paths) else []
        raise InputError(
            f"A bulk import makes a local database, but NEO4J_URI names {atlas.neo4j_uri}",
            next_step=f"unset NEO4J_URI, or use {' and '.join(ways)}",
        )
    server = LocalServer(atlas.home)
    admin.require_new(server, replace=replace)
    given = Given(model, transcoders, family, tuple(dict.fromkeys(tag or ())))
    graphs = tuple(Path(path) for path in paths if path not in shards)
    settings = ImportSettings(graphs, given, node_threshold, edge_threshold, tokenizer)
    atlas.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=atlas.home) as folder:
        tables = write_tables(settings, Path(folder), shards=shards, console=err)
        arguments = tables.writer.finish()
        if tables.summary.loaded:
            with err.status("Neo4j's importer is running …"):
                admin.import_tables(server, arguments, heap_mb=heap)
    summary = tables.summary
    if summary.loaded:
        server.start(bolt_port, http_port)
        with err.status("Making indexes and the list of runs …"), Login(atlas).connect() as database:
            tables.finish(database)
    summary.end()
    _print_summary(summary, as_json)


def _print_summary(summary: "ImportSummary", as_json: bool) -> None:
    """Print what an import did: notes, errors and a sentence. Raises Exit when files were refused."""
    notes = [f"{file}: {note}" for file, found in summary.notes.items() for note in found]
    for note in notes[:MAX_NOTES]:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    if len(notes) > MAX_NOTES:
        err.print(f"note: and {len(notes) - MAX_NOTES} more")
    for problem in summary.problems:
        print_error(problem)
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False, indent=2).encode(errors="replace").decode())
    else:
        out.print(summary.sentence(), soft_wrap=True, markup=False)
    if summary.problems:
        raise typer.Exit(1)
