"""`atlas diagnose`: ablate features of circuits, and set what the graphs claim against what that shows."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def diagnose(
    family: Annotated[
        list[str] | None,
        typer.Option(help="Only circuits of this family; may be repeated.", show_default="all"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many circuits of each family.")] = None,
    per_band: Annotated[
        int, typer.Option(min=1, help="Features drawn from each band of a circuit's influence.")
    ] = 2,
    draws: Annotated[int, typer.Option(min=1, help="Random features beside each.")] = 19,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    anew: Annotated[
        bool, typer.Option("--anew", help="Measure circuits again that were diagnosed already.")
    ] = False,
    model: Annotated[
        Path, typer.Option(help="Folder of the model, or hf://org/name.", show_default="bundled")
    ] = MODEL_DIR,
    transcoders: Annotated[
        Path, typer.Option(help="Folder, or hf://org/name[/folder].", show_default="bundled")
    ] = TRANSCODERS_DIR,
) -> None:
    """Ablate features that circuits hold for important, and some that they do not, and keep what follows.

    Stopped and called again it goes on where it was; `diagnostics` in GraphQL has the table.
    """
    from atlas.local.login import Login
    from ingest.evidence.diagnostics import DiagnoseSettings
    from ingest.evidence.diagnostics import diagnose as run

    settings = DiagnoseSettings(model, transcoders, family, limit, per_band, draws, seed, anew)
    with Login(Settings.load()).connect() as database:
        done = run(database, settings, console=err)
    for problem in done.problems:
        err.print(str(problem), markup=False, soft_wrap=True)
    out.print(done.sentence(), soft_wrap=True)
    if done.problems:
        raise typer.Exit(1)
