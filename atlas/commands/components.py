"""`atlas ablate`: what heads, and each layer's attention and MLP, do to the answers of circuits."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def ablate(
    family: Annotated[
        list[str] | None,
        typer.Option(help="Only circuits of this family; may be repeated.", show_default="all"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many circuits of each family.")] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Measure circuits again that were ablated already.")
    ] = False,
    model: Annotated[
        Path, typer.Option(help="Folder of the model, or hf://org/name.", show_default="bundled")
    ] = MODEL_DIR,
    transcoders: Annotated[
        Path, typer.Option(help="Folder, or hf://org/name[/folder].", show_default="bundled")
    ] = TRANSCODERS_DIR,
) -> None:
    """Ablate each head, and each layer's attention and MLP, in circuits loaded with heads; keep what follows.

    Stopped and called again it goes on where it was; `components` in GraphQL sets them against the graphs.
    """
    from atlas.local.login import Login
    from ingest.evidence.components import AblateSettings
    from ingest.evidence.components import ablate as run

    settings = AblateSettings(model, transcoders, family, limit, anew)
    with Login(Settings.load()).connect() as database:
        done = run(database, settings, console=err)
    for problem in done.problems:
        err.print(str(problem), markup=False, soft_wrap=True)
    out.print(done.sentence(), soft_wrap=True)
    if done.problems:
        raise typer.Exit(1)
