"""The command `atlas`: every subcommand, its options and its exit codes.

Exit codes: 0 all went well; 1 something failed, or some prompts did; 2 the command line itself is wrong;
130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from atlas.commands import files as file_commands
from atlas.commands import labels as label_commands
from atlas.commands import upkeep as database_commands
from atlas.commands.checkpoints import checkpoints
from atlas.commands.claims import claim
from atlas.commands.components import ablate
from atlas.commands.db import db
from atlas.commands.diagnostics import diagnose
from atlas.commands.figures import figure
from atlas.commands.hypotheses import hypothesis
from atlas.commands.interventions import intervene
from atlas.commands.jobs import job
from atlas.commands.modules import modules
from atlas.commands.options import BoltPort, HttpPort, use_cores
from atlas.commands.report import report
from atlas.commands.serve import serve
from atlas.commands.studies import study
from atlas.settings import Settings
from ingest.engine.errors import EngineError
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.errors import AtlasError, InputError

app = typer.Typer(
    name="atlas",
    help="Attribution graphs of many prompts in one graph database, and answers across them.\n\n"
    "Try `atlas demo` first. For your own prompts: `atlas db start`, `atlas ingest PROMPTS.jsonl`, "
    "`atlas serve`, then `atlas query QUESTION.graphql --table`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.add_typer(db, name="db")
app.add_typer(study, name="study")
app.add_typer(modules, name="modules")
app.add_typer(checkpoints, name="checkpoints")
app.add_typer(hypothesis, name="hypothesis")
app.add_typer(claim, name="claim")
app.add_typer(job, name="job")
app.command()(intervene)
app.command()(diagnose)
app.command()(ablate)
app.command()(serve)
app.command()(report)
app.command()(figure)
app.command("import")(file_commands.import_)
app.command("bulk-import")(file_commands.bulk_import)
app.command("export")(file_commands.export)
app.command()(label_commands.examples)
app.command()(label_commands.label)
app.command()(label_commands.supernodes)
app.command()(database_commands.runs)
app.command()(database_commands.delete)
app.command()(database_commands.check)
app.command()(database_commands.stats)
app.command()(database_commands.backup)
app.command()(database_commands.restore)

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ModelDir = Annotated[
    Path,
    typer.Option(
        "--model",
        help="Folder of the model, as transformers saves it, or hf://org/name[@revision].",
        show_default="bundled",
    ),
]
TranscodersDir = Annotated[
    Path,
    typer.Option(
        "--transcoders",
        help="Folder of its transcoders, or hf://org/name[/folder][@revision]; docs/transcoders.md lists the "
        "formats.",
        show_default="bundled",
    ),
]
NodeThreshold = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Keep the nodes that hold this share of the influence.")
]
EdgeThreshold = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Keep the edges that hold this share of the influence.")
]
MaxFeatureNodes = Annotated[
    int | None, typer.Option(min=1, help="Attribute at most this many features, the most influential first.")
]
TargetText = Annotated[
    str | None,
    typer.Option(
        help="What to attribute instead of the most probable next tokens: a token, or JSON such as "
        '{"difference": ["a", "b"], "position": -1}; a list for several.'
    ),
]
FirstTokenText = Annotated[
    Literal["left-out", "counted", "none"],
    typer.Option(
        help="The special first token: its features are left out, they count too, or it is not put there."
    ),
]
MemoryText = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="The most that attribution may take besides the model, such as 8GB: large graphs are streamed.",
    ),
]
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port of the GraphQL API.")]


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the answers.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the studies.")] = False,
    port: Port = 8000,
    bolt_port: BoltPort = 7687,
    http_port: HttpPort = 7474,
) -> None:
    """Ingest the bundled prompts, answer three questions that no single graph can, repeat three studies."""
    from atlas.demo.run import run_demo

    use_cores()
    run_demo(
        Settings.load(), out, once=once, quick=quick, port=port, bolt_port=bolt_port, http_port=http_port
    )


@app.command()
def doctor() -> None:
    """Check this installation and say what to do about anything wrong."""
    from atlas.local.doctor import examine

    findings = examine(Settings.load())
    for finding in findings:
        out.print(f"[{'green' if finding.ok else 'red'}]{'ok ' if finding.ok else 'BAD'}[/] {finding.what}")
        if finding.next_step is not None:
            out.print(f"     → {finding.next_step}", markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def ingest(
    prompts: Annotated[
        Path,
        typer.Argument(
            help="Prompts: .jsonl (or .csv) with `prompt`, `family`, `expected`, `tags`, or .txt."
        ),
    ] = PROMPTS_PATH,
    model: ModelDir = MODEL_DIR,
    transcoders: TranscodersDir = TRANSCODERS_DIR,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    max_feature_nodes: MaxFeatureNodes = None,
    target: TargetText = None,
    first_token: FirstTokenText = "left-out",
    memory: MemoryText = None,
    heads: Annotated[
        bool, typer.Option("--heads", help="Keep what each attention head carries of each edge and in all.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Instead of a file, take the jobs that are asked for over the API."),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="With --watch: end when no job waits.")] = False,
) -> None:
    """Compute the attribution graph of each prompt and load it into Neo4j.

    One circuit is one transaction: stop it whenever you like and run it again, it goes on where it was.
    Prompts that fail are named at the end and the exit code is 1; the others are loaded.
    """
    from atlas.local.login import Login
    from atlas.serving.worker import watch_jobs
    from ingest.circuits.run import IngestSettings
    from ingest.circuits.run import ingest as run
    from ingest.engine.attribution.budget import parse_memory
    from ingest.engine.attribution.targets import DEFAULT, parse

    asked = IngestSettings(
        prompts=prompts,
        model=model,
        transcoders=transcoders,
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
        max_feature_nodes=max_feature_nodes,
        target=DEFAULT if target is None else parse(target),
        first_token=first_token,
        memory=None if memory is None else parse_memory(memory),
        heads=heads,
    )
    use_cores()
    with Login(Settings.load()).connect() as database:
        if watch:
            watch_jobs(database, asked, once=once, console=err)
            return
        summary = run(database, asked, console=err)
    for problem in summary.problems:
        _print_error(problem)
    out.print(summary.sentence(), soft_wrap=True)
    if summary.problems:
        raise typer.Exit(1)


@app.command()
def attribute(
    prompt: Annotated[str, typer.Option(help="The text to attribute.")],
    out_path: Annotated[
        Path, typer.Option("--out", help="Where to write the graph JSON; `-` for the screen.")
    ],
    model: ModelDir = MODEL_DIR,
    transcoders: TranscodersDir = TRANSCODERS_DIR,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    max_feature_nodes: MaxFeatureNodes = None,
    target: TargetText = None,
    first_token: FirstTokenText = "left-out",
    memory: MemoryText = None,
    slug: Annotated[str | None, typer.Option(help="Name of the graph inside the file.")] = None,
    heads: Annotated[
        bool, typer.Option("--heads", help="Say what each attention head carries of each edge.")
    ] = False,
    qk: Annotated[
        list[str] | None,
        typer.Option(help="LAYER/HEAD@POSITION whose attention is taken apart into pairs; may be repeated."),
    ] = None,
) -> None:
    """Write one prompt's attribution graph as circuit-tracer's graph JSON; needs no database.

    Thresholds of 1 write the unpruned graph.
    """
    from ingest.circuits.heads import lines
    from ingest.circuits.run import attribute_one
    from ingest.engine.attribution.budget import parse_memory
    from ingest.engine.attribution.targets import DEFAULT, parse
    from schema.exports.graph_json import to_json, write

    circuit = attribute_one(
        prompt,
        model=model,
        transcoders=transcoders,
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
        max_feature_nodes=max_feature_nodes,
        target=DEFAULT if target is None else parse(target),
        first_token=first_token,
        memory=None if memory is None else parse_memory(memory),
        heads=heads,
        qk=qk or (),
    )
    if str(out_path) == "-":
        import orjson

        sys.stdout.buffer.write(orjson.dumps(to_json(circuit, slug=slug)) + b"\n")
        return
    try:
        write(circuit, out_path, slug=slug)
    except OSError as error:
        raise InputError(
            f"{out_path} cannot be written: {error.strerror}", next_step="give a path in a folder that exists"
        ) from error
    answer = circuit.answer
    err.print(
        f"{out_path}: {len(circuit.nodes)} nodes, {len(circuit.edges)} edges; answer "
        f"{answer.token if answer else '?'!r} (p = {answer.probability if answer else 0:.3f}); replacement "
        f"score {circuit.replacement_score:.3f}, completeness score {circuit.completeness_score:.3f}",
        markup=False,
        soft_wrap=True,
    )
    for line in lines(circuit):
        err.print(line, markup=False, soft_wrap=True)


@app.command()
def query(
    file: Annotated[Path, typer.Argument(help="A .graphql file with one query; `-` reads standard input.")],
    var: Annotated[
        list[str] | None, typer.Option(help="A variable as NAME=VALUE; VALUE is JSON or text.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json/--table", help="JSON for scripts, or tables to read.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="The answer's only list as CSV, objects as dotted columns.")
    ] = False,
    api: Annotated[str | None, typer.Option(help="Address of the API.", show_default="ATLAS_API")] = None,
    token_file: Annotated[Path | None, typer.Option(help="The server's token, when it wants one.")] = None,
) -> None:
    """Ask the API the question in a file."""
    import json

    from atlas.client import AtlasClient, variable
    from atlas.tables import print_rows, tables, write_csv

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}", next_step="name a .graphql text file") from error
    token = None
    if token_file is not None:
        from atlas.serving.api_server import read_token

        token = read_token(token_file)
    with AtlasClient(api or Settings.load().api, token=token) as client:
        data = client.query(text, dict(variable(item) for item in var or ()))
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")
    elif as_csv:
        found = tables(data)
        lists = [rows for rows in found if not rows.scalars] or found
        if len(lists) != 1:
            raise InputError(
                f"The answer has {len(lists)} lists, and a CSV file is one",
                next_step="ask for one list, or use --json",
            )
        write_csv(lists[0], sys.stdout)
    else:
        for rows in tables(data):
            print_rows(out, rows)


def _print_error(error: Exception) -> None:
    err.print("[red]error:[/] ", end="")
    err.print(str(error), markup=False, soft_wrap=True)


def main() -> None:
    """Run the command; an error the atlas knows is printed without a traceback."""
    try:
        app()
    except (AtlasError, EngineError) as error:
        _print_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("interrupted; run the same command again to go on")
        sys.exit(130)


if __name__ == "__main__":
    main()
