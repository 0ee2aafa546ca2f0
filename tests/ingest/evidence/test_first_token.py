"""What is put first in a prompt: interventions keep that of the circuit, and hypotheses that of their own."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.claims import measure
from ingest.evidence.components import ablate
from ingest.evidence.diagnostics import DiagnoseSettings, diagnose
from ingest.evidence.hypotheses import measured_hypothesis
from ingest.evidence.walk import WalkSettings
from schema.database import Database
from schema.evidence.claims import ClaimStatement
from schema.evidence.hypotheses import HypothesisStatement
from tests.support.engine import Tiny, save

QUIET = Console(quiet=True)
PROMPT = "w3 w1 w4 w1 w5"
TESTS = (
    "MATCH (:Circuit)-[:DIAGNOSED_BY]->(i) RETURN i.edits[0] AS edit, i.effect AS effect, i.token AS token"
)


def effect(model: ReplacementModel, edit: str, token: str) -> float:
    """The effect of ablating a feature at all positions of the text, as the model puts something first."""
    layer, feature = map(int, edit.removeprefix("ablate ").removesuffix("@all").split("/"))
    outcome = intervene(model, PROMPT, [Edit(layer, slice(None), feature)])
    change = (outcome.logits - outcome.plain_logits)[-1].double()
    return float(change[model.token_id(token)] - change.mean())


@pytest.mark.parametrize("first", ["left-out", "counted", "none", "w5"])
def test_interventions_keep_the_first_token_of_their_circuit(
    first: str, database: Database, tmp_path: Path
) -> None:
    folders = save(Tiny(context=32), tmp_path)
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps({"prompt": PROMPT}) + "\n", encoding="utf-8")
    ingest(database, IngestSettings(file, *folders, first_token=first, heads=True), console=QUIET)
    model = ReplacementModel.load(*folders)
    as_ingested = model.putting_first(first)

    for done in (
        diagnose(database, DiagnoseSettings(*folders, draws=2), console=QUIET),
        ablate(database, WalkSettings(*folders), console=QUIET),
    ):
        assert (done.circuits, done.problems) == (1, [])
    tests = database.read(TESTS)
    assert tests
    for each in tests:
        right = effect(as_ingested, each["edit"], each["token"])
        assert each["effect"] == pytest.approx(right, abs=1e-5)

    (row,) = database.read("MATCH (c:Circuit) RETURN c.id AS id")
    largest = max(tests, key=lambda each: abs(each["effect"]))
    claim = ClaimStatement(
        edits=(largest["edit"],),
        transcoders="set",
        model_path="",
        transcoders_path="",
        circuits=(row["id"],),
        family=None,
        freeze="nothing",
        constrained=None,
        writes=None,
        draws=2,
        seed=0,
    )
    _, (measured,) = measure(database, model, claim, claim.edits)
    assert measured.record.effect == pytest.approx(largest["effect"], abs=1e-5)


def test_a_hypothesis_is_tested_with_its_own_first_token(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(context=32), tmp_path))
    found = {}
    for first in (None, "counted", "none", "w5"):
        named = model.putting_first(first or "left-out")
        layer, _, feature = (
            named.transcoders.encode(named.read(named.freeze(named.encode(PROMPT).ids)), n_left_out=1)
            .where[0]
            .tolist()
        )
        edit = f"ablate {layer}/{feature}@all"
        made = HypothesisStatement(
            "why?", (edit,), "lowers", (PROMPT,), ("w7",), (), "model", "transcoders", first_token=first
        )
        outcome, _ = measured_hypothesis(model, made, draws=1)
        assert outcome.mean_effect == pytest.approx(effect(named, edit, "w7"), abs=1e-5)
        found[made.id] = first
    assert len(found) == 4
