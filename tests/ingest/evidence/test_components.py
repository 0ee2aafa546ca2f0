"""Ablated heads, attention and MLPs, measured again by models whose weights are 0, one prompt at a time."""

import json
import math
from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from figures.all import CHARTS
from figures.chart import styled
from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.intervention.ablate import Attention, Component, Head, Mlp
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.components import ablate
from ingest.evidence.walk import WalkSettings
from schema.circuit.records import Circuit, NodeKind
from schema.database import AsyncDatabase, Database
from schema.errors import InputError
from schema.loading.read import read_circuit
from schema.upkeep.delete import delete_circuit
from tests.support.api import Api
from tests.support.engine import Tiny, save
from tests.support.slow_ranks import slow_agreement

QUIET = Console(quiet=True)
LINES = [
    {"prompt": "w3 w1 w4 w1", "family": "pi"},
    {"prompt": "w2 w7 w1 w8 w2", "family": "e"},
    {"prompt": "w1 w6 w1 w8", "family": "pi"},
    {"prompt": "w5 w5 w9"},
]
N_LAYERS, N_HEADS = 3, 4
ASKED = """query ($families: [String!]) {
  components(families: $families) {
    family model nConsidered nMeasured nHeads correlation null95 p attentionShare attentionEffect mlpEffect
    layers { layer attentionShare attentionEffect mlpEffect } }
  headsByFamily(families: $families) {
    family model layer head nConsidered nMeasured gross effect effectSize } }"""


# -- the slow way: no hooks, no batches


def emptied(model: Any, component: Component) -> Any:
    """A Llama of its own whose component has weights of 0."""
    found = deepcopy(model)
    layer = found.model.layers[component.layer]
    with torch.no_grad():
        if isinstance(component, Mlp):
            layer.mlp.down_proj.weight.zero_()
        elif isinstance(component, Attention):
            layer.self_attn.o_proj.weight.zero_()
        else:
            size = layer.self_attn.o_proj.weight.shape[1] // N_HEADS
            layer.self_attn.o_proj.weight[:, component.number * size :][:, :size] = 0
    return found


def centred(model: Any, circuit: Circuit) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([circuit.prompt.token_ids])).logits
    last = logits[0, circuit.target_position].double()
    token = answer_of(circuit).index
    assert token is not None
    return float(last[token] - last.mean())


def answer_of(circuit: Circuit) -> Any:
    logits = [node for node in circuit.nodes if node.kind is NodeKind.LOGIT]
    return max(logits, key=lambda node: node.probability or 0)


def crossing(circuit: Circuit, layer: int) -> float:
    """Influence of the edges that cross the attention of a layer, one after the other."""
    found = []
    for edge in circuit.edges:
        source, target = circuit.nodes[edge.source], circuit.nodes[edge.target]
        if source.layer < layer <= target.layer:
            assert edge.share is not None
            assert target.influence is not None
            found.append(edge.share * target.influence)
    return math.fsum(found)


class Slow:
    """All of one circuit."""

    def __init__(self, model: Any, circuit: Circuit) -> None:
        layers = range(N_LAYERS)
        plain = centred(model, circuit)

        def effect(component: Component) -> float:
            return centred(emptied(model, component), circuit) - plain

        self.circuit = circuit
        self.heads = {(layer, n): effect(Head(layer, n)) for layer in layers for n in range(N_HEADS)}
        self.attention = [effect(Attention(layer)) for layer in layers]
        self.mlp = [effect(Mlp(layer)) for layer in layers]
        totals = circuit.head_totals
        self.through = [math.fsum(total.net for total in totals if total.layer == n) for n in layers]
        self.crossing = [crossing(circuit, layer) for layer in layers]
        self.gross = {total[:2]: total.gross for total in totals}


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def share(circuits: list[Slow], layers: range) -> float:
    through = math.fsum(each.through[layer] for each in circuits for layer in layers)
    return through / math.fsum(each.crossing[layer] for each in circuits for layer in layers)


def family_rows(
    family: str, every: list[Slow], done: set[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One of `components`, and of `headsByFamily` all heads."""
    mine = [each for each in every if each.circuit.id in done]
    named = {"family": family, "model": every[0].circuit.model.id}
    by_head: list[dict[str, Any]] = [
        named
        | {
            "layer": at[0],
            "head": at[1],
            "nConsidered": len(every),
            "nMeasured": len(mine),
            "gross": mean([each.gross[at] for each in every]),
            "effect": mean([each.heads[at] for each in mine]) if mine else None,
            "effectSize": mean([abs(each.heads[at]) for each in mine]) if mine else None,
        }
        for at in every[0].heads
    ]
    by_head.sort(key=lambda row: (-row["gross"], row["layer"], row["head"]))
    layers = [
        {
            "layer": layer,
            "attentionShare": share(mine, range(layer, layer + 1)),
            "attentionEffect": mean([abs(each.attention[layer]) for each in mine]),
            "mlpEffect": mean([abs(each.mlp[layer]) for each in mine]),
        }
        for layer in range(N_LAYERS if mine else 0)
    ]
    agreed: list[float | None] = [None] * 3
    if mine:
        claimed = [mean([each.gross[at] for each in mine]) for at in every[0].heads]
        agreed = [
            *slow_agreement(claimed, [mean([abs(each.heads[at]) for each in mine]) for at in every[0].heads])
        ]
    row = {
        "nConsidered": len(every),
        "nMeasured": len(mine),
        "nHeads": N_LAYERS * N_HEADS if mine else 0,
        **dict(zip(("correlation", "null95", "p"), agreed, strict=True)),
        "attentionShare": share(mine, range(N_LAYERS)) if mine else None,
        "attentionEffect": mean([each["attentionEffect"] for each in layers]) if mine else None,
        "mlpEffect": mean([each["mlpEffect"] for each in layers]) if mine else None,
        "layers": layers,
    }
    return named | row, by_head


# -- against it


async def test_what_is_stored_and_answered_is_what_one_by_one_gives(
    database: Database, async_database: AsyncDatabase, tmp_path: Path
) -> None:
    folders = save(Tiny(context=32), tmp_path)
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
    with pytest.raises(InputError, match=r"made with .* and loaded with heads") as refused:
        ablate(database, WalkSettings(*folders), console=QUIET)
    assert "`atlas ingest --heads`" in str(refused.value.next_step)
    ingest(database, IngestSettings(file, *folders, heads=True), console=QUIET)
    first = ablate(database, WalkSettings(*folders, families=["pi"], limit=1), console=QUIET)
    assert (first.circuits, first.present, first.parts) == (1, 0, N_LAYERS * N_HEADS + 2 * N_LAYERS)
    model = ReplacementModel.load(*folders).model
    ids = [row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id")]
    slow = {key: Slow(model, read_circuit(database, key)) for key in ids}
    done = stored(database, slow)
    assert len(done) == 1
    await compare(async_database, slow, done)
    # Called again, it goes on with what is missing.
    second = ablate(database, WalkSettings(*folders), console=QUIET)
    assert (second.circuits, second.present, second.problems) == (3, 1, [])
    assert stored(database, slow) == set(ids)
    draw(await compare(async_database, slow, set(ids)))
    database.write("MATCH (:Circuit)-[u:RUNS_THROUGH]->() SET u.effect = 0.0")
    ablate(database, WalkSettings(*folders, anew=True), console=QUIET)
    assert stored(database, slow) == set(ids)
    # An answer that is no token is named, and the others go on.
    assert delete_circuit(database, ids[0])
    assert len(database.read("MATCH (a:ComponentEffects) RETURN a.id AS id")) == 3
    database.write("MATCH (:Circuit {id: $id})-[:HAS]->(l:LogitNode) REMOVE l.index", {"id": ids[1]})
    third = ablate(database, WalkSettings(*folders, anew=True), console=QUIET)
    assert (third.circuits, len(third.problems)) == (2, 1)
    assert "no answer that is one token" in str(third.problems[0])


def kept(database: Database) -> list[dict[str, Any]]:
    return database.read(
        """
        MATCH (c:Circuit)-[:ABLATED]->(a), (c)-[u:RUNS_THROUGH]->(h)
        WITH c, a, u, h ORDER BY c.id, h.layer, h.number
        RETURN c.id AS circuit, a {.*} AS a, collect([h.layer, h.number, u.effect]) AS heads
        """
    )


def stored(database: Database, slow: dict[str, Slow]) -> set[str]:
    """Compares what the database holds; the circuits that were measured."""
    rows = kept(database)
    for row in rows:
        mine = slow[row["circuit"]]
        assert row["a"] == {
            "id": f"{row['circuit']}/components",
            "token": answer_of(mine.circuit).token,
            "attention": pytest.approx(mine.attention, abs=1e-5),
            "mlp": pytest.approx(mine.mlp, abs=1e-5),
            "through_heads": pytest.approx(mine.through, abs=1e-9),
            "crossing": pytest.approx(mine.crossing, abs=1e-9),
        }
        found = {(layer, head): effect for layer, head, effect in row["heads"]}
        assert found == pytest.approx(mine.heads, abs=1e-5)
    return {row["circuit"] for row in rows}


async def compare(async_database: AsyncDatabase, slow: dict[str, Slow], done: set[str]) -> dict[str, Any]:
    """The GraphQL answers, whole; the one of all families."""
    families: dict[str, list[Slow]] = defaultdict(list)
    for each in slow.values():
        if each.circuit.prompt.family:
            families[each.circuit.prompt.family].append(each)
    async with Api(async_database) as api:
        for only in (["e"], None):
            answer = await api(ASKED, families=only)
            rows = [family_rows(name, families[name], done) for name in only or sorted(families)]
            expected = {
                "components": [row for row, _ in rows],
                "headsByFamily": [row for _, by_head in rows for row in by_head],
            }
            assert answer == near(expected)
    return answer


def near(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: near(each) for key, each in value.items()}
    if isinstance(value, list):
        return [near(each) for each in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


def draw(answer: dict[str, Any]) -> None:
    """The figure holds the answer's numbers."""
    chart = CHARTS["components"]
    with styled():
        claimed, measured, compared = chart.draw(answer).axes[:3]
    names = [row["family"] for row in answer["components"]]
    places = [(layer, head) for layer in range(N_LAYERS) for head in range(N_HEADS)]
    for axes, field in ((claimed, "gross"), (measured, "effectSize")):
        wanted = {(row["family"], row["layer"], row["head"]): row[field] for row in answer["headsByFamily"]}
        array: Any = axes.images[0].get_array()
        assert array.tolist() == [[wanted[name, *place] for place in places] for name in names]
    widths = [patch.get_width() for patch in compared.patches]  # type: ignore[attr-defined]
    assert widths == [
        row[field] for field in ("attentionEffect", "mlpEffect") for row in answer["components"]
    ]
    assert chart.svg(answer) == chart.svg(answer)
