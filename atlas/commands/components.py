"""`atlas ablate`: what heads, and the attention and MLP of each layer, do to the answers of circuits."""

from atlas.commands.options import (
    Device,
    Dtype,
    Families,
    LimitPerFamily,
    MeasureAgain,
    ModelPath,
    TranscodersPath,
    err,
    use_cores,
)
from atlas.commands.walks import print_summary
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.counted import counted


def ablate(
    family: Families = None,
    limit: LimitPerFamily = None,
    anew: MeasureAgain = False,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Ablate each head, and the attention and MLP of each layer, in circuits that were loaded with heads.

    Each circuit keeps the first token that it was made with. Results are kept: `components` in GraphQL
    compares them with the graphs. Repeating the command resumes where it stopped.
    """
    from atlas.local.login import Login
    from ingest.evidence.components import ablate as run
    from ingest.evidence.walk import WalkSettings

    settings = WalkSettings(model, transcoders, family, limit, anew, device, dtype)
    use_cores()
    with Login(Settings.load()).connect() as database:
        summary = run(database, settings, console=err)
    print_summary(
        summary, f"{counted(summary.parts, 'component')} of {counted(summary.circuits, 'circuit')} ablated."
    )
