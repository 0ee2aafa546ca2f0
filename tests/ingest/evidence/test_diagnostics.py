"""What graphs claim against what ablations show: measured and predicted again one feature at a time."""

import json
import math
from collections import Counter, defaultdict
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.diagnostics import DiagnoseSettings, diagnose
from schema.circuit.records import Circuit, NodeKind
from schema.database import AsyncDatabase, Database
from schema.errors import InputError
from schema.evidence.interventions import BANDS
from schema.loading.read import read_circuit
from tests.support.api import Api
from tests.support.effects import slow_effect, slow_null, slow_prediction
from tests.support.engine import Tiny, save

QUIET = Console(quiet=True)
DRAWS = 4
LINES = [
    {"prompt": "w3 w1 w4 w1", "family": "pi"},
    {"prompt": "w2 w7 w1 w8 w2", "family": "e"},
    {"prompt": "w1 w6 w1 w8", "family": "pi"},
    {"prompt": "w5 w5 w9"},
]
ASKED = """query ($families: [String!], $share: Float!) {
  diagnostics(families: $families, minShare: $share, level: 0.4) {
    all { nCircuits nTested truePositives falsePositives falseNegatives trueNegatives precision recall
          bands { ...band } weightBands { ...band } }
    families { family nCircuits nTested weightBands { ...band } } } }
fragment band on DiagnosticsBand {
  leastShare nFeatures nTested nEffective truePositives falsePositives falseNegatives trueNegatives meanSize }
"""


async def test_a_diagnosis_is_what_one_by_one_gives(
    database: Database, async_database: AsyncDatabase, tmp_path: Path
) -> None:
    folders = save(Tiny(context=32), tmp_path)
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    ingest(database, IngestSettings(file, *folders), console=QUIET)
    settings = DiagnoseSettings(*folders, families=["pi"], limit=1, draws=DRAWS)
    first = diagnose(database, settings, console=QUIET)
    assert (first.circuits, first.present, first.problems) == (1, 0, [])
    # Called again, it goes on with what is missing.
    second = diagnose(database, DiagnoseSettings(*folders, draws=DRAWS), console=QUIET)
    assert (second.circuits, second.present) == (3, 1)
    rows = stored(database)
    assert len(rows) == first.parts + second.parts
    edited = database.read("MATCH (i:Intervention)-[:EDITS]->(f) RETURN f.id AS f ORDER BY i.id")
    known = {row["id"] for row in database.read("MATCH (f:Feature) RETURN f.id AS id")}
    (set_id,) = {id_.rsplit("/", 2)[0] for id_ in known}
    tested = [f"{set_id}/{layer}/{index}" for layer, index in map(feature, rows)]
    assert [row["f"] for row in edited] == [each for each in tested if each in known]
    assert edited
    model = ReplacementModel.load(*folders)
    circuits = {key: read_circuit(database, key) for key in sorted({row["circuit"] for row in rows})}
    for row in rows:
        check(model, circuits[row["circuit"]], row)
    diagnose(database, DiagnoseSettings(*folders, draws=DRAWS, anew=True), console=QUIET)
    assert stored(database) == rows
    await compare(database, async_database, circuits, rows)
    with pytest.raises(InputError, match="no circuit of the families 'phi'"):
        diagnose(database, DiagnoseSettings(*folders, families=["phi"]), console=QUIET)
    # Shares of a total that is not known are not made up.
    database.write(
        "MATCH (:Family {name: 'e'})<-[:IN_FAMILY]-()<-[:OF_PROMPT]-()-[u:USES]->() "
        "WITH u LIMIT 1 REMOVE u.influence"
    )
    last = diagnose(database, DiagnoseSettings(*folders, families=["e"], anew=True), console=QUIET)
    (problem,) = last.problems
    assert "has 1 feature of unknown influence" in str(problem)
    # A graph may have errors and tokens only.
    for change in ("SET u.influence = 0.0", "DELETE u"):
        database.write(
            f"MATCH (:Family {{name: 'e'}})<-[:IN_FAMILY]-()<-[:OF_PROMPT]-()-[u:USES]->() {change}"
        )
        last = diagnose(database, DiagnoseSettings(*folders, families=["e"], anew=True), console=QUIET)
        (problem,) = last.problems
        assert "has no feature with influence" in str(problem)
        assert "with a higher --node-threshold" in str(problem)


def stored(database: Database) -> list[dict[str, Any]]:
    return database.read(
        "MATCH (c:Circuit)-[:DIAGNOSED_BY]->(i) RETURN c.id AS circuit, i {.*} AS i ORDER BY i.id"
    )


def feature(row: dict[str, Any]) -> tuple[int, int]:
    _, layer, index = row["i"]["id"].rsplit("/", 2)
    return int(layer), int(index)


def check(model: ReplacementModel, circuit: Circuit, row: dict[str, Any]) -> None:
    kept = row["i"]
    layer, index = feature(row)
    assert circuit.prompt.token_ids is not None
    logit = max(
        (place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.LOGIT),
        key=lambda place: circuit.nodes[place].probability or 0,
    )
    token = circuit.nodes[logit].index
    assert token is not None
    read = intervene(model, circuit.prompt.token_ids, []).read
    dense = [part.activate(read[number]) for number, part in enumerate(model.transcoders.layers)]
    first = int(bool(circuit.special_first_token))
    edits = [
        Edit(layer, position, index)
        for position in range(first, len(circuit.prompt.tokens))
        if dense[layer][position, index] > 1e-6
    ]
    assert kept["n_edited"] == len(edits)
    assert kept["edits"] == [f"ablate {layer}/{index}@all"]
    effect = slow_effect(model, circuit, edits, token)
    null = slow_null(DRAWS, model, circuit, edits, dense, token, Random(f"0 {circuit.id} {layer} {index}"))
    assert kept["effect"] == pytest.approx(effect, abs=1e-5)
    assert kept["null_mean"] == pytest.approx(math.fsum(null) / DRAWS, abs=1e-5)
    at_least = sum(abs(each) >= abs(effect) - 1e-6 for each in null)
    assert kept["p"] == pytest.approx((1 + at_least) / (1 + DRAWS))
    values = {
        (node.layer, node.position, index): 0.0
        for node in circuit.nodes
        if (node.kind, node.layer, node.index) == (NodeKind.FEATURE, layer, index)
    }
    predicted = slow_prediction(circuit, values, logit) if values else None
    assert kept.get("predicted") == (None if predicted is None else pytest.approx(predicted, abs=1e-9))


def edge_shares(circuit: Circuit) -> dict[tuple[int, int], float | None]:
    """Share of the |weights| of all effects of features; None for those that were pruned away."""
    sums: dict[tuple[int, int], float] = {}
    for place, node in enumerate(circuit.nodes):
        if node.kind is NodeKind.FEATURE and node.index is not None:
            mine = math.fsum(abs(edge.weight) for edge in circuit.edges if edge.source == place)
            sums[node.layer, node.index] = sums.get((node.layer, node.index), 0.0) + mine
    total = math.fsum(sums.values())
    return {key: value / total for key, value in sums.items()} | dict.fromkeys(circuit.pruned_features or ())


def in_bands(
    rows: list[dict[str, Any]], bands: list[int], cells: list[tuple[bool, bool]], weights: list[float]
) -> list[dict[str, Any]]:
    """What GraphQL should say of tests that fall into these bands and cells, each standing for so many."""
    found = []
    for number in sorted(set(bands)):
        mine = [place for place, each in enumerate(bands) if each == number]
        count = Counter(cells[place] for place in mine)
        found.append(
            {
                "leastShare": [*BANDS, 0.0, None][number],
                "nFeatures": pytest.approx(math.fsum(weights[place] for place in mine)),
                "nTested": len(mine),
                "nEffective": count[True, True] + count[False, True],
                "truePositives": count[True, True],
                "falsePositives": count[True, False],
                "falseNegatives": count[False, True],
                "trueNegatives": count[False, False],
                "meanSize": pytest.approx(math.fsum(abs(rows[p]["i"]["effect"]) for p in mine) / len(mine)),
            }
        )
    return found


def band(share: float | None) -> int:
    return len(BANDS) + 1 if share is None else sum(share < least for least in BANDS)


def shares(circuit: Circuit) -> dict[tuple[int, int], float | None]:
    """Share of the feature influence of each feature; None for those that were pruned away."""
    sums: dict[tuple[int, int], float] = defaultdict(float)
    for node in circuit.nodes:
        if node.kind is NodeKind.FEATURE and node.index is not None:
            sums[node.layer, node.index] += node.influence or 0.0
    total = math.fsum(sums.values())
    return {key: value / total for key, value in sums.items()} | dict.fromkeys(circuit.pruned_features or ())


async def compare(
    database: Database,
    async_database: AsyncDatabase,
    circuits: dict[str, Circuit],
    rows: list[dict[str, Any]],
) -> None:
    """The GraphQL table, counted again from the circuits and what is stored."""
    every = {key: shares(circuit) for key, circuit in circuits.items()}
    in_band = Counter((key, band(share)) for key, mine in every.items() for share in mine.values())
    drawn = Counter((row["circuit"], band(every[row["circuit"]][feature(row)])) for row in rows)
    assert drawn == {key: min(2, n) for key, n in in_band.items()}
    share_of = [every[row["circuit"]][feature(row)] for row in rows]
    least = sorted(share for share in share_of if share is not None)[len(rows) // 2]
    cell_of = [
        (share is not None and share >= least - 1e-12, row["i"]["p"] <= 0.4)
        for row, share in zip(rows, share_of, strict=True)
    ]
    stands_for = [
        in_band[row["circuit"], band(share)] / drawn[row["circuit"], band(share)]
        for row, share in zip(rows, share_of, strict=True)
    ]
    cells = Counter(cell_of)
    weights: dict[tuple[bool, bool], float] = defaultdict(float)
    for cell, weight in zip(cell_of, stands_for, strict=True):
        weights[cell] += weight
    edges = {key: edge_shares(circuit) for key, circuit in circuits.items()}
    edge_share = [edges[row["circuit"]][feature(row)] for row in rows]
    assert [row["i"].get("weight_share") for row in rows] == pytest.approx(edge_share)
    assert len({band(share) for share in edge_share}) > 2
    async with Api(async_database) as api:
        answer = (await api(ASKED, share=least - 1e-12))["diagnostics"]
        only = (await api(ASKED, share=least - 1e-12, families=["e"]))["diagnostics"]
    table = answer["all"]
    assert (table["nCircuits"], table["nTested"]) == (4, len(rows))
    names = ("truePositives", "falsePositives", "falseNegatives", "trueNegatives")
    order = ((True, True), (True, False), (False, True), (False, False))
    assert [table[name] for name in names] == [cells[cell] for cell in order]
    both = weights[True, True]
    assert table["precision"] == pytest.approx(both / (both + weights[True, False]))
    assert table["recall"] == pytest.approx(both / (both + weights[False, True]))
    by_influence = in_bands(rows, [band(share) for share in share_of], cell_of, stands_for)
    assert table["bands"] == by_influence
    for each in by_influence:
        exact = sum(
            n for (_, number), n in in_band.items() if [*BANDS, 0.0, None][number] == each["leastShare"]
        )
        assert each["nFeatures"] == exact
    weight_bands = [band(share) for share in edge_share]
    assert table["weightBands"] == in_bands(rows, weight_bands, cell_of, stands_for)
    for family in answer["families"]:
        mine = [p for p, row in enumerate(rows) if circuits[row["circuit"]].prompt.family == family["family"]]
        pick = lambda values, mine=mine: [values[place] for place in mine]  # noqa: E731
        assert family["weightBands"] == in_bands(*map(pick, (rows, weight_bands, cell_of, stands_for)))
    counts = Counter(circuits[row["circuit"]].prompt.family for row in rows)
    assert {each["family"]: (each["nCircuits"], each["nTested"]) for each in answer["families"]} == {
        "pi": (2, counts["pi"]),
        "e": (1, counts["e"]),
        None: (1, counts[None]),
    }
    assert [each["family"] for each in only["families"]] == ["e"]
