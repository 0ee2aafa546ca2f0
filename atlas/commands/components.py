"""`atlas ablate`: what heads, and each layer's attention and MLP, do to the answers of circuits."""

import typer

from atlas.commands.options import (
    Families,
    LimitPerFamily,
    MeasureAgain,
    ModelPath,
    TranscodersPath,
    err,
    out,
    use_cores,
)
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR


def ablate(
    family: Families = None,
    limit: LimitPerFamily = None,
    anew: MeasureAgain = False,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
) -> None:
    """Ablate each head, and each layer's attention and MLP, in circuits loaded with heads; keep what follows.

    Stopped and called again it goes on where it was; `components` in GraphQL sets them against the graphs.
    """
    from atlas.local.login import Login
    from ingest.evidence.components import AblateSettings
    from ingest.evidence.components import ablate as run

    settings = AblateSettings(model, transcoders, family, limit, anew)
    use_cores()
    with Login(Settings.load()).connect() as database:
        done = run(database, settings, console=err)
    for problem in done.problems:
        err.print(str(problem), markup=False, soft_wrap=True)
    out.print(done.sentence(), soft_wrap=True)
    if done.problems:
        raise typer.Exit(1)
