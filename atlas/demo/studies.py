"""The demo's studies: three of the paper's, run now on held-out prompts that the model never saw."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from atlas.local.login import Login
from atlas.settings import Settings
from atlas.studies.tables import Measured, rates_table
from atlas.tables import Rows
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.tools.supernodes import Supernodes

SHOWN = ("multi-step", "refusals", "arithmetic")


def study_answers(settings: Settings, console: Console) -> Iterator[tuple[str, Rows]]:
    """Each study's question, and its success rates beside those of random features.

    Features of the whole atlas are grouped first, unless they are, so that whole supernodes are edited too.
    """
    import torch

    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.all import STUDIES
    from ingest.studies.tools.prompts import bundled

    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    prompts = replace(bundled(), supernodes=_supernodes(settings, model, console))
    torch.set_num_threads(1)
    for name in SHOWN:
        study = STUDIES[name]
        result = study.on(model, prompts)
        measured: Measured = {"rates": [rate.row() for rate in result.rates]}
        table = rates_table(measured["rates"])
        # How the setting was chosen is in the study's page.
        kept = table.columns.index("chosen setting")
        question = (
            f"{study.asks}\n"
            f"   Study {name}, run now on held-out prompts: features found by a rule are edited, or whole\n"
            "   supernodes of the atlas, and as many random features that write as much; success: the\n"
            "   wanted word follows"
        )
        yield question, Rows("", table.columns[:kept], [row[:kept] for row in table.rows])


def _supernodes(settings: Settings, model: "ReplacementModel", console: Console) -> "Supernodes | None":
    from ingest.annotations.labels import CorpusSettings, run_pass
    from ingest.annotations.supernodes import supernodes_of, write_supernodes

    with Login(settings).connect() as database:
        found = supernodes_of(database, model)
        if found is None:
            done = run_pass(database, CorpusSettings(MODEL_DIR, TRANSCODERS_DIR), console=console)
            write_supernodes(database, done, console=console)
            found = supernodes_of(database, model)
    return found
