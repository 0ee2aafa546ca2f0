"""The demo's studies: three of the paper's, run on held-out prompts that the model never saw."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console

from atlas.local.login import Login
from atlas.settings import Settings
from atlas.studies.tables import Measured, rates_table
from atlas.tables import Rows
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.tools.prompts import Prompts
    from ingest.studies.tools.supernodes import SupernodeTensors

NAMES = ("multi-step", "refusals", "arithmetic")


class StudyInputs(NamedTuple):
    """What the studies run on."""

    model: "ReplacementModel"
    """The bundled model with its transcoders."""
    prompts: "Prompts"
    """The bundled prompts, with the supernodes of the atlas."""


def study_inputs(settings: Settings, console: Console) -> StudyInputs:
    """Load the bundled model, and group the features of the whole atlas unless they are grouped already.

    The groups let the studies edit whole supernodes besides single features.
    """
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.studies.tools.prompts import bundled

    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    return StudyInputs(model, replace(bundled(), supernodes=_supernodes(settings, model, console)))


def study_answers(inputs: StudyInputs) -> Iterator[tuple[str, Rows]]:
    """Run the studies. Yields each study's question and its success rates beside those of random features."""
    from ingest.studies.all import STUDIES

    for name in NAMES:
        study = STUDIES[name]
        result = study.on(inputs.model, inputs.prompts)
        measured: Measured = {"rates": [rate.row() for rate in result.rates]}
        table = rates_table(measured["rates"])
        # The study's page says how the setting was chosen.
        n_columns = table.columns.index("chosen setting")
        question = (
            f"{study.asks}\n"
            f"   Study {name}, run now on held-out prompts. Each row edits features that a rule finds, or\n"
            "   whole supernodes of the atlas. Random features that write as much are edited for\n"
            "   comparison. Success: the wanted word follows."
        )
        yield question, Rows("", table.columns[:n_columns], [row[:n_columns] for row in table.rows])


def _supernodes(settings: Settings, model: "ReplacementModel", console: Console) -> "SupernodeTensors | None":
    from ingest.annotations.labels import CorpusSettings, run_pass
    from ingest.annotations.supernodes import supernodes_of, write_supernodes

    with Login(settings).connect() as database:
        found = supernodes_of(database, model)
        if found is None:
            done = run_pass(database, CorpusSettings(MODEL_DIR, TRANSCODERS_DIR), console=console)
            write_supernodes(database, done, console=console)
            found = supernodes_of(database, model)
    return found
