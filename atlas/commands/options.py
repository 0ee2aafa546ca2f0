"""What the commands share: options, the two consoles, how errors are printed, and the number of cores.

An option that several commands have is declared here once, so that it has one name, one range and one help
text.
"""

import inspect
import json
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from atlas.settings import no_usage_reports, ray_address, ray_uses_tls
from atlas.terminal import PlainConsole
from ingest.circuits.limits import parse_limit
from ingest.progress import Terminated
from schema.errors import InputError

if TYPE_CHECKING:
    from ingest.cluster.connection import ClusterSettings

out = PlainConsole(highlight=False)
"""The standard output: answers."""
err = PlainConsole(stderr=True, highlight=False)
"""The standard error output: progress, notes and errors."""


def _limit(text: str | int) -> int | None:
    """A number from 1 up, or `none`."""
    try:
        return parse_limit(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a whole number from 1 up nor `none`") from None


# -- the model

ModelPath = Annotated[
    Path,
    typer.Option(
        "--model",
        help="Folder of the model as transformers saves it, a GGUF file, or hf://org/name[@revision].",
        show_default="bundled",
    ),
]
TranscodersPath = Annotated[
    Path,
    typer.Option(
        "--transcoders",
        help="Folder of the model's transcoders, or hf://org/name[/folder][@revision]. "
        "docs/transcoders.md lists the formats.",
        show_default="bundled",
    ),
]

Device = Annotated[
    str,
    typer.Option(
        "--device",
        help="Where the model runs: cpu, cuda, cuda:1 or mps. `auto` is the first GPU, or else the CPU.",
    ),
]
Dtype = Annotated[
    Literal["float32", "bfloat16", "float16"],
    typer.Option(
        "--dtype",
        help="Number format of the weights. 16 bits take half of the memory; sums stay in 32 bits. Two "
        "formats give two circuits.",
    ),
]

CorpusName = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        help="Texts to run the model on: .jsonl, .csv or .txt as for `atlas ingest`, or `bundled`.",
        show_default="bundled, for the bundled model",
    ),
]

# -- attribution and pruning

NodeThreshold = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Pruning keeps the nodes that together hold this share of the influence."
    ),
]
EdgeThreshold = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Pruning keeps the edges that together hold this share of the influence."
    ),
]
MaxFeatureNodes = Annotated[
    int | None,
    typer.Option(
        parser=_limit,
        metavar="N|none",
        help="Attribute at most this many features, the most influential ones first. `none` lifts the limit.",
    ),
]
MaxEdges = Annotated[
    int | None,
    typer.Option(
        parser=_limit,
        metavar="N|none",
        help="Keep at most this many edges of a graph, the strongest ones, and print what share of influence "
        "they hold.",
        show_default="none",
    ),
]
TargetText = Annotated[
    str | None,
    typer.Option(
        "--target",
        help='What to attribute: a token, JSON such as {"difference": ["a", "b"], "position": -1}, or a list '
        "of these.",
        show_default="the most probable next tokens",
    ),
]
FirstToken = Annotated[
    str,
    typer.Option(
        metavar="left-out|counted|none|TOKEN",
        help="How to treat the special first token, which can change answers. `left-out`: the tokenizer's "
        "token is added and its features are left out of the graph. `counted`: the token is added and its "
        "features count. `none`: no token is added. Any other text is a token to add in its place, with its "
        "features left out.",
    ),
]
Chat = Annotated[
    bool,
    typer.Option(
        "--chat",
        help="Take each prompt as a message to a chat model, and apply the tokenizer's chat template to it.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="The most memory that attribution may use besides the model, such as 8GB. Graphs that need more "
        "are computed in parts.",
        show_default="no limit",
    ),
]

# -- the machines

Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Compute on the machines of a Ray cluster: HOST:PORT of its head, `auto` on a machine of "
        "the cluster, or `local` to start a cluster on this machine. Needs the extra `ray`; see "
        "docs/scale.md.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        help="With --ray: processes that hold the model each.",
        show_default="as many as the cluster has room for",
    ),
]
CpusPerWorker = Annotated[
    int,
    typer.Option("--cpus-per-worker", min=1, help="With --ray: cores of a worker, and threads of its model."),
]
GpusPerWorker = Annotated[
    float,
    typer.Option(
        "--gpus-per-worker", min=0.0, help="With --ray: GPUs of a worker. Below 1, workers share a GPU."
    ),
]

# -- which circuits

Families = Annotated[
    list[str] | None,
    typer.Option(
        "--family",
        help="Use only the circuits of this prompt family. Repeat the option for several families.",
        show_default="all families",
    ),
]
LimitPerFamily = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="Use at most this many circuits of each family.", show_default="no limit"
    ),
]
MeasureAgain = Annotated[
    bool, typer.Option("--anew", help="Also measure circuits that were measured before.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")]

# -- the API and the local database

ApiAddress = Annotated[
    str | None, typer.Option("--api", help="Address of the GraphQL API.", show_default="ATLAS_API")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token that the API requires. `atlas serve --token-file` names the same file."
    ),
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--var",
        help="A variable as NAME=VALUE, where VALUE is JSON or else text. Repeat the option for several.",
    ),
]
ApiPort = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of the GraphQL API.")]
BoltPort = Annotated[int, typer.Option("--bolt-port", min=1, max=65535, help="Port of the database (Bolt).")]
HttpPort = Annotated[
    int, typer.Option("--http-port", min=1, max=65535, help="Port of the Neo4j console (HTTP).")
]

# -- what is printed

JsonOrTable = Annotated[
    bool, typer.Option("--json/--table", help="Print JSON for scripts, or tables for people.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print no progress and no notes, only results and errors.")
]


def name_and_value(text: str, option: str, example: str) -> tuple[str, object]:
    """Split NAME=VALUE of a repeated option. A VALUE that is not JSON is text. Raises InputError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"{option} {text!r} is not NAME=VALUE", next_step=f"for example {option} {example}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def ray_cluster(
    address: str | None, workers: int | None, cpus_per_worker: int, gpus_per_worker: float, writers: int = 1
) -> "ClusterSettings | None":
    """The cluster that --ray and its options name; None without --ray, and then nothing of Ray is imported.

    Call it before long work: it raises InputError when Ray is not installed.
    """
    if address is None:
        return None
    from ingest.cluster.connection import ClusterSettings, require_ray

    no_usage_reports()
    require_ray()
    return ClusterSettings(
        address,
        workers,
        cpus_per_worker,
        gpus_per_worker,
        writers,
        auto_address=ray_address(),
        tls=ray_uses_tls(),
    )


def print_error(error: Exception) -> None:
    """Print an error to the standard error output, with --quiet too. Undecodable bytes become `?`."""
    loud = PlainConsole(stderr=True, highlight=False)
    loud.print("[red]error:[/] ", end="")
    loud.print(str(error).encode(errors="replace").decode(), markup=False, soft_wrap=True)


def quietable(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the option --quiet, and with the exit codes of interrupted commands."""

    @wraps(command)
    def run(*given: Any, quiet: bool = False, **named: Any) -> None:
        err.quiet = quiet
        try:
            command(*given, **named)
        except KeyboardInterrupt as stop:
            raise typer.Exit(143 if isinstance(stop, Terminated) else 130) from stop
        finally:
            err.quiet = False

    signature = inspect.signature(command)
    parameter = inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), parameter])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "quiet": Quiet}
    return run


def use_cores(threads: int | None = None) -> None:
    """Set how many threads PyTorch may use; a command calls this once, before it loads the model.

    threads: None means every core but one. That core is left to the database and to the thread that writes
    to it.
    """
    import torch

    torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - 1))
