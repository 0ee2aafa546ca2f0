"""`atlas examples` and `atlas label` make examples and tested labels; `atlas labels import` reads labels."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.commands.options import (
    AsJson,
    CorpusName,
    CpusPerWorker,
    Device,
    Dtype,
    FirstToken,
    GpusPerWorker,
    ModelPath,
    Ray,
    TranscodersPath,
    Workers,
    err,
    out,
    print_error,
    ray_cluster,
    use_cores,
)
from atlas.settings import Settings
from atlas.token_file import read_token
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.counted import counted
from schema.errors import InputError

MAX_PROBLEMS = 20
"""Errors and notes that are printed at most."""

if TYPE_CHECKING:
    from ingest.annotations.labels import CorpusPass, CorpusSettings
    from ingest.cluster.connection import ClusterSettings
    from schema.database import Database
    from schema.errors import EndpointError


def examples(
    corpus: CorpusName = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    first_token: FirstToken = "left-out",
    ray: Ray = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0.0,
) -> None:
    """Find the contexts in a corpus in which each feature of the atlas fires most, and store them.

    For example: `atlas examples --corpus texts.jsonl --model MODEL --transcoders TRANSCODERS`. Then `feature`
    in GraphQL shows the examples.

    The command also stores each feature's density in the corpus, the tokens that the feature promotes and
    suppresses, and what it writes, which `nearestFeatures` compares.
    """
    cluster = ray_cluster(ray, workers, cpus_per_worker, gpus_per_worker)
    from atlas.local.login import Login
    from ingest.annotations.labels import CorpusSettings, write_examples, write_vectors

    with Login(Settings.load()).connect() as database:
        settings = CorpusSettings(
            model, transcoders, corpus, device=device, dtype=dtype, first_token=first_token
        )
        done = corpus_pass(database, settings, cluster)
        n_stored = write_examples(database, done, console=err)
        write_vectors(database, done)
    out.print(
        f"Examples of {n_stored} of the atlas's {counted(len(done.features), 'feature')} are stored; the "
        "others do not fire in the corpus.",
        soft_wrap=True,
    )


def label(
    corpus: CorpusName = None,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    first_token: FirstToken = "left-out",
    llm: Annotated[
        str | None,
        typer.Option(
            help="Ask the language model behind this OpenAI-compatible endpoint, such as "
            "http://localhost:11434/v1."
        ),
    ] = None,
    llm_model: Annotated[
        str, typer.Option(help="With --llm: name of the language model at the endpoint.")
    ] = "default",
    llm_key_file: Annotated[
        Path | None, typer.Option(help="With --llm: file with the key of the endpoint.")
    ] = None,
    first: Annotated[
        int,
        typer.Option(min=1, help="With --llm: label this many features, the most influential ones first."),
    ] = 20,
    ray: Ray = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0.0,
) -> None:
    """Label each feature of the atlas by the tokens around its firings, and score the labels.

    For example: `atlas label`, or `atlas label --llm http://localhost:11434/v1 --first 50`. Then `search` and
    `feature` in GraphQL show the labels.

    A score is the balanced accuracy of predicting from the label alone where the feature fires in held-out
    texts. The null score is the score of labels of other features of the same layer. The command also stores
    vectors of the labels and of what features write, which `similarLabels` and `nearestFeatures` compare.
    """
    cluster = ray_cluster(ray, workers, cpus_per_worker, gpus_per_worker)
    from atlas.local.login import Login
    from ingest.annotations.labels import CorpusSettings, write_labels, write_model_labels, write_vectors
    from ingest.labels.endpoint import ModelEndpoint

    endpoint = None
    problems: list[EndpointError] = []
    if llm is not None:
        endpoint = ModelEndpoint(llm, llm_model, None if llm_key_file is None else read_token(llm_key_file))

    with Login(Settings.load()).connect() as database:
        settings = CorpusSettings(
            model, transcoders, corpus, device=device, dtype=dtype, first_token=first_token
        )
        done = corpus_pass(database, settings, cluster)
        if endpoint is None:
            sentence = write_labels(database, done, console=err).sentence()
        else:
            n_stored, problems = write_model_labels(database, done, endpoint, first, console=err)
            for problem in problems:
                err.print(f"refused: {problem}", markup=False, soft_wrap=True)
            sentence = (
                f"{counted(n_stored, 'label')} of {endpoint.model} stored, "
                f"{counted(len(problems), 'feature')} without a usable answer."
            )
        write_vectors(database, done)
        database.wait_for_full_text()
    out.print(sentence, soft_wrap=True)
    if problems:
        raise typer.Exit(1)


def corpus_pass(
    database: "Database", settings: "CorpusSettings", cluster: "ClusterSettings | None"
) -> "CorpusPass":
    """Run the model over a corpus, and print which texts it cannot take. cluster: None is this process."""
    from ingest.annotations.labels import run_pass

    use_cores()
    if cluster is None:
        done = run_pass(database, settings, console=err)
    else:
        from ingest.cluster.firings import computing_on_cluster

        with computing_on_cluster(settings, cluster, console=err) as compute:
            done = run_pass(database, settings, console=err, compute=compute)
    for problem in done.problems:
        err.print(f"left out: {problem}", markup=False, soft_wrap=True)
    return done


labels = typer.Typer(no_args_is_help=True)


@labels.callback()
def about() -> None:
    """Labels that other people and programs made.

    For example: `atlas labels import gemma-2-2b/`, then `search` in GraphQL finds the labels.
    """


@labels.command("import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="Files (.jsonl, .json, .csv, .tsv, .parquet; also .gz), or folders with such files.",
            metavar="FILE",
        ),
    ],
    transcoders: Annotated[
        str | None,
        typer.Option(
            help="Name or id of the transcoder set whose features the files describe, as `atlas stats` lists "
            "it. It replaces the name in the files.",
            show_default="from the files",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a column or key, as WHAT=NAME. WHAT is layer, index, text, author, method, score "
            "or transcoders. Repeat the option for several.",
            show_default="the usual names",
        ),
    ] = None,
    author: Annotated[
        str | None, typer.Option(help="Author of the labels whose author the files do not name.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Method of the labels whose method the files do not name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Load labels and examples of many features: exports of Neuronpedia and delphi, and tables.

    For example: `atlas labels import gemma-2-2b/20-gemmascope-transcoder-16k/explanations/`, or
    `atlas labels import labels.csv --transcoders SET --column text=my_label`.

    Only features that a circuit of the database has are stored, so the rows of other features are counted and
    left out. Repeat the command after you imported more circuits. Labels that are there already stay as they
    are, and a command that was stopped continues when it is repeated. A row that cannot be read is reported
    with its file and line, and the exit code is 1; all other rows are loaded.
    """
    from atlas.local.login import Login
    from ingest.imports.labels import LabelSettings, import_labels
    from schema.formats.labels import COLUMNS, TableColumns

    names = {}
    for each in column or ():
        what, equals, name = each.partition("=")
        if not equals or not name or what not in COLUMNS:
            raise InputError(
                f"--column {each!r} is not WHAT=NAME",
                next_step=f"WHAT is one of {', '.join(COLUMNS)}; for example --column text=my_label",
            )
        names[what] = name
    settings = LabelSettings(tuple(paths), transcoders, TableColumns(names, author, method))
    with Login(Settings.load()).connect() as database:
        summary = import_labels(database, settings, console=err)
    for problem in summary.problems[:MAX_PROBLEMS]:
        print_error(problem)
    if (more := summary.refused - MAX_PROBLEMS) > 0:
        err.print(f"and {more} more")
    for name, n in summary.elsewhere.most_common(MAX_PROBLEMS):
        err.print(
            f"note: {counted(n, 'row is', 'rows are')} about {name}, with which no circuit here was "
            "made. If it is a set of the database under another name, name that set with --transcoders.",
            markup=False,
            soft_wrap=True,
        )
    if as_json:
        print(json.dumps(summary.as_json(), ensure_ascii=False, indent=2).encode(errors="replace").decode())
    else:
        out.print(summary.sentence(), soft_wrap=True, markup=False)
    if summary.refused:
        raise typer.Exit(1)
