"""`atlas checkpoints`: load the checkpoints of a training run, for comparisons over GraphQL."""

from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import (
    Device,
    Dtype,
    err,
    out,
    print_error,
    use_cores,
)
from atlas.settings import Settings
from ingest.organism.weights import CHECKPOINTS_DIR
from schema.counted import counted

checkpoints = typer.Typer(no_args_is_help=True)


@checkpoints.callback()
def about() -> None:
    """Load the checkpoints of a training run, to see when features and circuits appear.

    For example: `atlas checkpoints load prompts.jsonl`, then `checkpoints` and `compareCheckpoints` in
    GraphQL.
    """


@checkpoints.command("load")
def load(
    prompts: Annotated[
        Path,
        typer.Argument(
            help="Prompts in a file as for `atlas ingest`. Each prompt is ingested at every checkpoint."
        ),
    ],
    folder: Annotated[
        Path,
        typer.Option(
            help="A folder of checkpoints such as step-00600. Each checkpoint has its transcoders in a "
            "folder clt.",
            show_default="the bundled model's",
        ),
    ] = CHECKPOINTS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Ingest prompts at every checkpoint and link each feature with itself at the next checkpoint.

    For example: `atlas checkpoints load prompts.jsonl --folder checkpoints/`. Then ask `checkpoints`,
    `compareCheckpoints` and the `history` of a feature in GraphQL.

    Features are linked by layer and index. This is meaningful only when the transcoders of each checkpoint
    were trained starting from those of the next one; the decoder cosine and the firing agreement, which are
    stored too, measure how well the links hold. The command takes as long as `atlas ingest` takes for the
    prompts, times the number of checkpoints. A command that was stopped continues when it is repeated.
    """
    from atlas.local.login import Login
    from ingest.annotations.checkpoints import TRANSCODERS, load_checkpoints
    from ingest.circuits.run import IngestSettings

    use_cores()
    with Login(Settings.load()).connect() as database:
        # load_checkpoints replaces model and transcoders by those of each checkpoint.
        settings = IngestSettings(prompts, folder, folder / TRANSCODERS, device, dtype)
        loaded = load_checkpoints(database, folder, settings, console=err)
    for problem in loaded.problems:
        print_error(problem)
    for checkpoint, start in zip(loaded.checkpoints, loaded.starts, strict=False):
        out.print(
            f"step {checkpoint.step}: decoder cosine with the next {start.cosine:.3f}, firing agreement "
            f"{start.agreement:.3f} (another feature: {start.null_agreement:.3f})"
        )
    out.print(
        f"{counted(len(loaded.checkpoints), 'checkpoint')}, {counted(loaded.n_circuits, 'new circuit')}, "
        f"{counted(loaded.n_same, 'link')} of a feature with itself at the next checkpoint that has it",
        soft_wrap=True,
    )
    if loaded.problems:
        raise typer.Exit(1)
