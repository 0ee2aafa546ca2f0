"""`atlas checkpoints`: a training run's checkpoints in the atlas, to be compared over GraphQL."""

from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import err, out, use_cores
from atlas.settings import Settings
from ingest.organism.weights import CHECKPOINTS_DIR

checkpoints = typer.Typer(
    no_args_is_help=True, help="States of a training run, and what changed between them."
)


@checkpoints.callback()
def about() -> None:
    """States of a training run, and what changed between them."""


@checkpoints.command("load")
def load(
    prompts: Annotated[
        Path, typer.Argument(help="Prompts, as `atlas ingest` takes them; each at every checkpoint.")
    ],
    folder: Annotated[
        Path,
        typer.Option(
            help="A folder of checkpoints such as step-00600, each with its transcoders in a folder clt.",
            show_default="the bundled model's",
        ),
    ] = CHECKPOINTS_DIR,
) -> None:
    """Ingest prompts at every checkpoint, and link the features of neighbours.

    Features are compared by layer and index, which means something when the transcoders of each checkpoint
    were started from those of the next: decoder cosine and firing agreement, kept beside, say how much. Then
    `checkpoints`, `compareCheckpoints` and `history` of a feature answer in GraphQL. It takes as long as
    `atlas ingest` of the prompts times the checkpoints; stopped, it goes on where it was.
    """
    from atlas.local.login import Login
    from ingest.annotations.checkpoints import TRANSCODERS, load_checkpoints
    from ingest.circuits.run import IngestSettings

    use_cores()
    with Login(Settings.load()).connect() as database:
        # Model and transcoders of the settings stand for those of each checkpoint.
        settings = IngestSettings(prompts, folder, folder / TRANSCODERS)
        loaded = load_checkpoints(database, folder, settings, console=err)
    for problem in loaded.problems:
        err.print(str(problem), markup=False, soft_wrap=True)
    for checkpoint, start in zip(loaded.checkpoints, loaded.starts, strict=False):
        out.print(
            f"step {checkpoint.step}: decoder cosine with the next {start.cosine:.3f}, firing agreement "
            f"{start.agreement:.3f} (another feature: {start.null_agreement:.3f})"
        )
    out.print(
        f"{len(loaded.checkpoints)} checkpoints, {loaded.n_circuits} new circuits, {loaded.n_same} features "
        "linked with themselves at the next checkpoint that has them",
        soft_wrap=True,
    )
    if loaded.problems:
        raise typer.Exit(1)
