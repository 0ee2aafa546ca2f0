"""`atlas diagnose`: ablate features of circuits, and set what the graphs claim against what that shows."""

from typing import Annotated

import typer

from atlas.commands.options import (
    Families,
    LimitPerFamily,
    MeasureAgain,
    ModelPath,
    Seed,
    TranscodersPath,
    err,
    out,
    use_cores,
)
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR


def diagnose(
    family: Families = None,
    limit: LimitPerFamily = None,
    per_band: Annotated[
        int, typer.Option(min=1, help="Features drawn from each band of a circuit's influence.")
    ] = 2,
    draws: Annotated[int, typer.Option(min=1, help="Random features beside each.")] = 19,
    seed: Seed = 0,
    anew: MeasureAgain = False,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
) -> None:
    """Ablate features that circuits hold for important, and some that they do not, and keep what follows.

    Stopped and called again it goes on where it was; `diagnostics` in GraphQL has the table.
    """
    from atlas.local.login import Login
    from ingest.evidence.diagnostics import DiagnoseSettings
    from ingest.evidence.diagnostics import diagnose as run

    settings = DiagnoseSettings(model, transcoders, family, limit, per_band, draws, seed, anew)
    use_cores()
    with Login(Settings.load()).connect() as database:
        done = run(database, settings, console=err)
    for problem in done.problems:
        err.print(str(problem), markup=False, soft_wrap=True)
    out.print(done.sentence(), soft_wrap=True)
    if done.problems:
        raise typer.Exit(1)
