"""`atlas diagnose`: what circuits claim of their features, against what ablating the features shows."""

from typing import Annotated

import typer

from atlas.commands.options import (
    Device,
    Dtype,
    Families,
    LimitPerFamily,
    MeasureAgain,
    ModelPath,
    Seed,
    TranscodersPath,
    err,
    use_cores,
)
from atlas.commands.walks import print_summary
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.counted import counted


def diagnose(
    family: Families = None,
    limit: LimitPerFamily = None,
    per_band: Annotated[
        int, typer.Option(min=1, help="Features drawn from each band of a circuit's feature influence.")
    ] = 2,
    draws: Annotated[int, typer.Option(min=1, help="Draws of random features beside each feature.")] = 19,
    seed: Seed = 0,
    anew: MeasureAgain = False,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Ablate features of circuits beside random features, to test what the circuits claim.

    Features are drawn from important and unimportant ones. Each circuit keeps the first token that it was
    made with. Results are kept: `diagnostics` in GraphQL gives the table. Repeating the command resumes where
    it stopped.
    """
    from atlas.local.login import Login
    from ingest.evidence.diagnostics import DiagnoseSettings
    from ingest.evidence.diagnostics import diagnose as run

    settings = DiagnoseSettings(
        model, transcoders, family, limit, anew, device, dtype, per_band=per_band, draws=draws, seed=seed
    )
    use_cores()
    with Login(Settings.load()).connect() as database:
        summary = run(database, settings, console=err)
    print_summary(
        summary,
        f"{counted(summary.parts, 'feature')} of {counted(summary.circuits, 'circuit')} ablated beside "
        "random features.",
    )
