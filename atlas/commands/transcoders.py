"""`atlas transcoders`: train transcoders for a model, and measure how well they replace its MLPs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlas.commands.options import (
    AsJson,
    CpusPerWorker,
    Device,
    Dtype,
    GpusPerWorker,
    ModelPath,
    Ray,
    Seed,
    TranscodersPath,
    Workers,
    err,
    out,
    ray_cluster,
    use_cores,
)
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from ingest.progress import progress
from schema.counted import counted
from schema.errors import AtlasError, InputError

if TYPE_CHECKING:
    from schema.annotations.measured import MeasuredSet
    from schema.circuit.records import Model, TranscoderSet

PROSE = {".txt", ".text", ".md", ".rst", ""}
"""Endings of files that are one text each."""
LINES = {".jsonl", ".ndjson", ".json", ".csv", ".tsv"}
"""Endings of files with one text on each line."""

Texts = Annotated[
    list[Path],
    typer.Option(
        "--texts",
        help="File or folder of texts. .txt, .md and .rst are one text each; .jsonl, .json, .csv and .tsv "
        "have one text in the field `prompt` of each line. Repeat the option for several.",
    ),
]
Context = Annotated[int, typer.Option(min=5, help="Tokens of the pieces into which texts are cut.")]
Tokens = Annotated[
    int | None,
    typer.Option("--tokens", min=1, help="Use about this many tokens.", show_default="all"),
]

transcoders = typer.Typer(no_args_is_help=True)


@transcoders.callback()
def about() -> None:
    """Train transcoders for a model, and measure how well they replace its MLPs.

    For example: `atlas transcoders train --model MODEL --texts texts/ --skip --out plt/`, then `atlas
    transcoders measure --model MODEL --transcoders plt/ --texts held-out/`.
    """


@transcoders.command("train")
def train(
    texts: Texts,
    out_path: Annotated[Path, typer.Option("--out", help="The folder to write, in circuit-tracer's layout.")],
    model: ModelPath = MODEL_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    kind: Annotated[
        Literal["plt", "clt"],
        typer.Option(
            help="`plt`: the features of a layer write to the output of their own MLP. `clt`: they also "
            "write to those of all later layers, which needs memory for layers × layers / 2 decoders."
        ),
    ] = "plt",
    features: Annotated[int, typer.Option(min=1, help="Features of a layer.")] = 2048,
    l0: Annotated[
        float, typer.Option("--l0", min=0.0, help="Mean number of active features of a token in a layer.")
    ] = 32.0,
    skip: Annotated[
        bool,
        typer.Option(
            "--skip",
            help="Add a linear path from the input to the output of each MLP. It is no feature of a graph.",
        ),
    ] = False,
    tokens: Tokens = None,
    context: Context = 128,
    epochs: Annotated[int, typer.Option(min=1, help="Times that each token is seen.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Tokens of one step.")] = 1024,
    buffer: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="Disk space for activations, such as 8GB. More texts are trained on in parts.",
        ),
    ] = "8GB",
    seed: Seed = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of PyTorch.", show_default="all cores")
    ] = None,
) -> None:
    """Train transcoders for any supported model, on a CPU or a GPU.

    For example: `atlas transcoders train --model MODEL --texts texts/ --skip --out plt/`. Then `atlas
    transcoders measure` says how good they are.

    The same command continues work that was stopped, from the folder OUT.training, and gives the same
    weights. Activations are kept on disk, so the memory that is needed does not depend on the texts. Outputs
    of extreme size, which language models have at a few tokens, count less, so that they do not spoil the fit
    of the others. The special first token is left out.
    """
    import os

    from ingest.engine.attribution.budget import parse_memory
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.training.run import TrainingSettings
    from ingest.training.run import train as run
    from ingest.training.texts import contexts

    use_cores(threads or os.cpu_count())
    with err.status(f"Loading the model {model.name} …"):
        loaded = ReplacementModel.load(model, None, device=device, dtype=dtype)
    pieces = contexts(loaded, read_texts(texts), context, most=tokens, seed=seed)
    settings = TrainingSettings(
        kind=kind,
        features=features,
        l0=l0,
        skip=skip,
        epochs=epochs,
        batch=batch,
        buffer=parse_memory(buffer),
        seed=seed,
    )
    done = run(loaded, pieces, settings, out_path, console=err)
    worst = max(done.losses)
    out.print(
        f"{done.folder}: {counted(features, 'feature')} a layer, trained on "
        f"{counted(done.n_tokens, 'token')} in {counted(done.steps, 'step')} a layer; "
        f"mean loss at the end {sum(done.losses) / len(done.losses):.3f}, worst {worst:.3f}",
        markup=False,
        soft_wrap=True,
    )
    err.print(
        f"→ atlas transcoders measure --model {model} --transcoders {out_path} --texts HELD-OUT",
        markup=False,
        soft_wrap=True,
    )


@transcoders.command("measure")
def measure(
    texts: Texts,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
    tokens: Tokens = 20_000,
    agreement_tokens: Annotated[
        int,
        typer.Option(
            min=1, help="Compare the predictions of the replacement model on about this many tokens."
        ),
    ] = 2_000,
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="Layers that are replaced together, such as 0-9 or 3,5,7. Repeat the option for several.",
            show_default="all layers, each third, each layer",
        ),
    ] = None,
    context: Context = 128,
    seed: Seed = 0,
    ray: Ray = None,
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = 0.0,
    as_json: AsJson = False,
) -> None:
    """Measure transcoders on texts: FVU, L0, dead features and density by layer, and agreement.

    For example: `atlas transcoders measure --model MODEL --transcoders plt/ --texts held-out/`.

    FVU is the share of the variance of an MLP's outputs that the transcoders miss. Agreement is the share of
    tokens at which the model whose MLPs are replaced predicts the same next token as the model. It is the
    test of whether the transcoders can stand for the model. The replacement score of a graph is another
    thing: errors carry the model's own activations there, so that a score of 0.9 is possible with transcoders
    that agree on 15 % of tokens.

    Use texts that the transcoders were not trained on. The figures are stored with the transcoder set when a
    database can be reached; `atlas stats` and `measured` in GraphQL show them.
    """
    cluster = ray_cluster(ray, workers, cpus_per_worker, gpus_per_worker)
    from ingest.circuits.convert import model_record, transcoders_record
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.training.measure import layer_groups
    from ingest.training.measure import measure as run
    from ingest.training.texts import contexts

    use_cores()
    with err.status(f"Loading the model {model.name} …"):
        loaded = ReplacementModel.load(model, transcoders, device=device, dtype=dtype)
    groups: dict[str, Sequence[int]] = {**layer_groups(loaded.n_layers)}
    if group:
        groups = {"all": groups["all"], **{name: _layers(name, loaded.n_layers) for name in group}}
    pieces = contexts(loaded, read_texts(texts), context, most=tokens, seed=seed)
    with progress(err, resumes=False) as work, ExitStack() as stack:
        passes = None
        if cluster is not None:
            from ingest.annotations.labels import CorpusSettings
            from ingest.cluster.measuring import measuring_on_cluster

            settings = CorpusSettings(model, transcoders, device=device, dtype=dtype)
            passes = stack.enter_context(measuring_on_cluster(loaded, settings, cluster, console=err))
        found = run(
            loaded,
            pieces,
            agreement_tokens=agreement_tokens,
            groups=groups,
            begin=lambda n_passes: work.add("forward passes", n_passes).advance,
            passes=passes,
        )
    if as_json:
        out.print_json(found.to_text())
    else:
        show(found)
    of_model = model_record(loaded)
    _keep(transcoders_record(loaded, of_model.id), of_model, found)


def _keep(record: "TranscoderSet", of_model: "Model", found: "MeasuredSet") -> None:
    """Store the figures when a database can be reached; say so either way."""
    from atlas.local.login import Login
    from schema.annotations.measured import keep_measured

    try:
        with Login(Settings.load()).connect() as database:
            keep_measured(database, record, of_model, found)
    except AtlasError as error:
        err.print(f"The figures were not stored: {error}", markup=False, soft_wrap=True)
    else:
        err.print(f"Stored with the transcoder set {record.id}.", markup=False, soft_wrap=True)


def show(found: "MeasuredSet") -> None:
    """Print the tables for people."""
    print_rows(
        out,
        Rows(
            f"Layers, on {counted(found.tokens, 'token')}",
            ["layer", "FVU", "FVU of ordinary", "outliers", "L0", "dead", "density", "dense"],
            [
                [
                    *(each.layer, _short(each.fvu), _short(each.fvu_ordinary), each.outliers),
                    *(f"{each.l0:.1f}", f"{each.dead} of {each.features}"),
                    *(_short(each.density), each.dense),
                ]
                for each in found.layers
            ],
        ),
    )
    print_rows(
        out,
        Rows(
            f"Replaced layers, on {counted(found.agreement_tokens, 'token')}",
            ["replaced", "agreement", "KL, nats", "loss", "loss of model", "recovered"],
            [
                [
                    *(each.name, _short(each.agreement), _short(each.kl), _short(each.loss)),
                    *(_short(each.model_loss), _short(each.loss_recovered)),
                ]
                for each in found.replacements
            ],
        ),
    )
    out.print(
        f"Median FVU {_short(found.fvu)}; all layers replaced, the model's most probable next token in "
        f"{_percent(found.agreement)} of places.",
        soft_wrap=True,
    )


def _short(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "an unknown share" if value is None else f"{100 * value:.1f} %"


def _layers(text: str, n_layers: int) -> list[int]:
    """The layers that a --group names. Raises InputError."""
    found: set[int] = set()
    try:
        for part in text.split(","):
            first, dash, last = part.partition("-")
            found |= set(range(int(first), int(last if dash else first) + 1))
    except ValueError:
        found = set()
    if not found or min(found) < 0 or max(found) >= n_layers:
        raise InputError(
            f"--group {text!r} does not name layers of this model",
            next_step=f"give layers from 0 to {n_layers - 1}, such as 0-2 or 1,3",
        )
    return sorted(found)


def read_texts(paths: list[Path]) -> Iterator[str]:
    """The texts of files and folders. Raises InputError for a path that holds none."""
    from ingest.circuits.prompts import read_prompts, read_text

    for path in paths:
        files = [path]
        if path.is_dir():
            files = [each for each in sorted(path.rglob("*")) if each.suffix.lower() in PROSE | LINES]
            files = [each for each in files if each.is_file() and not each.name.startswith(".")]
            if not files:
                raise InputError(f"{path} holds no texts", next_step="put .txt, .md or .jsonl files into it")
        for file in files:
            if file.suffix.lower() in LINES:
                prompts = read_prompts(file)
                for problem in prompts.problems:
                    err.print(f"left out: {problem}", markup=False, soft_wrap=True)
                yield from (line.prompt for line in prompts.prompts)
            elif file.suffix.lower() in PROSE:
                yield read_text(file)
            else:
                raise InputError(
                    f"{file} is no text: its ending is {file.suffix}",
                    next_step="give .txt, .md, .rst or .jsonl",
                )
