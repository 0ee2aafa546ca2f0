"""`atlas ingest`: compute attribution graphs and load them into the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.commands.options import (
    Chat,
    CpusPerWorker,
    Device,
    Dtype,
    EdgeThreshold,
    FirstToken,
    GpusPerWorker,
    MaxEdges,
    MaxFeatureNodes,
    Memory,
    ModelPath,
    NodeThreshold,
    Ray,
    TargetText,
    TranscodersPath,
    Workers,
    err,
    out,
    print_error,
    ray_cluster,
    use_cores,
)
from atlas.settings import Settings
from ingest.circuits.limits import MAX_FEATURE_NODES
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR

if TYPE_CHECKING:
    from ingest.circuits.run import IngestSettings, IngestSummary
    from ingest.cluster.connection import ClusterSettings


def ingest(
    prompts: Annotated[
        Path,
        typer.Argument(
            help="Prompts: .jsonl or .csv with the columns `prompt`, `family`, `expected` and `tags` (only "
            "`prompt` is required), or .txt with one prompt per line.",
            show_default="the bundled prompts",
        ),
    ] = PROMPTS_PATH,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    max_feature_nodes: MaxFeatureNodes = MAX_FEATURE_NODES,
    max_edges: MaxEdges = None,
    target: TargetText = None,
    first_token: FirstToken = "left-out",
    chat: Chat = False,
    memory: Memory = None,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads", help="Also store how much of each edge, and of the whole graph, each head carries."
        ),
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Write circuits as shards to this folder and use no database. DIR is a local path or an "
            "address such as s3://bucket/folder. `atlas load DIR` loads the shards.",
        ),
    ] = None,
    ray: Ray = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0.0,
    writers: Annotated[
        int,
        typer.Option(
            min=1,
            help="With --ray: processes that write. With more than one, the last digits of sums in the "
            "database depend on which was faster.",
        ),
    ] = 1,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Do not read a file. Wait for the jobs that are requested over the API instead."
        ),
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="With --watch: stop when no job is waiting.")] = False,
) -> None:
    """Compute the attribution graph of each prompt and load it into Neo4j.

    For example: `atlas ingest prompts.jsonl --model MODEL --transcoders TRANSCODERS`. Then run `atlas serve`
    and ask questions with `atlas query`.

    A circuit is stored whole or not at all. A command that was stopped continues when it is repeated:
    circuits that are stored are not computed again. Prompts that fail are listed at the end and the exit
    code is 1; all other prompts are loaded.
    """
    cluster = ray_cluster(ray, workers, cpus_per_worker, gpus_per_worker, writers)
    from atlas.local.login import Login
    from atlas.serving.worker import watch_jobs
    from ingest.circuits.run import IngestSettings
    from ingest.circuits.run import ingest as ingest_prompts
    from ingest.circuits.shards import ingest_to
    from ingest.engine.attribution.budget import parse_memory
    from ingest.engine.attribution.targets import DEFAULT, parse
    from schema.shards.store import Store

    if watch and (to is not None or cluster is not None):
        raise typer.BadParameter("--to and --ray are for the prompts of a file, and --watch reads no file")
    settings = IngestSettings(
        prompts=prompts,
        model=model,
        transcoders=transcoders,
        device=device,
        dtype=dtype,
        node_threshold=node_threshold,
        edge_threshold=edge_threshold,
        max_feature_nodes=max_feature_nodes,
        max_edges=max_edges,
        target=DEFAULT if target is None else parse(target),
        first_token=first_token,
        chat=chat,
        memory=None if memory is None else parse_memory(memory),
        heads=heads,
    )
    use_cores()
    if cluster is not None:
        _report(_on_cluster(settings, cluster, to), "loaded" if to is None else f"written to {to}")
        return
    if to is not None:
        _report(ingest_to(Store(to), settings, console=err), f"written to {to}")
        return
    with Login(Settings.load()).connect() as database:
        if watch:
            watch_jobs(database, settings, once=once, console=err)
            return
        summary = ingest_prompts(database, settings, console=err)
    _report(summary, "loaded")


def _on_cluster(settings: "IngestSettings", cluster: "ClusterSettings", to: str | None) -> "IngestSummary":
    """Ingest on a Ray cluster. to: the store; None for the database."""
    from atlas.local.login import Login
    from ingest.cluster.run import IntoDatabase, IntoStore, ingest_on_cluster
    from ingest.cluster.writers import DatabaseAddress
    from schema.shards.store import Store

    if to is not None:
        return ingest_on_cluster(IntoStore(Store(to), settings), settings, cluster, console=err)
    login = Login(Settings.load())
    with login.connect() as database:
        address = DatabaseAddress(login.uri, login.user, login.password)
        return ingest_on_cluster(IntoDatabase(database, address, settings), settings, cluster, console=err)


def _report(summary: "IngestSummary", done: str) -> None:
    """Print what an ingest did. done: what was done with new circuits. Raises Exit when prompts failed."""
    for problem in summary.problems:
        print_error(problem)
    for note in summary.notes:
        err.print(note, markup=False, soft_wrap=True)
    out.print(summary.sentence(done), soft_wrap=True, markup=False)
    if summary.problems:
        raise typer.Exit(1)
