"""The demo's studies: three of the paper's, run now on held-out prompts that the model never saw."""

from collections.abc import Iterator

from atlas.study_tables import Measured, rates_table
from atlas.tables import Rows
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

SHOWN = ("multi-step", "refusals", "arithmetic")


def study_answers() -> Iterator[tuple[str, Rows]]:
    """Each study's question, and its success rates beside those of random features."""
    import torch

    from ingest.engine.model import ReplacementModel
    from ingest.studies.all import STUDIES
    from ingest.studies.prompts import bundled

    torch.set_num_threads(1)
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    for name in SHOWN:
        study = STUDIES[name]
        result = study.on(model, bundled())
        measured: Measured = {"rates": [rate.row() for rate in result.rates]}
        table = rates_table(measured["rates"])
        # How the setting was chosen is in the study's page.
        kept = table.columns.index("chosen setting")
        question = (
            f"{study.asks}\n"
            f"   Study {name}, run now on held-out prompts: features found by a rule are edited,\n"
            "   and as many random ones that write as much; success: the wanted word follows"
        )
        yield question, Rows("", table.columns[:kept], [row[:kept] for row in table.rows])
