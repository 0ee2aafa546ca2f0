"""Claims: what is kept of a claim, measured and predicted again one circuit and one draw at a time."""

import math
import re
from random import Random
from typing import Any

import pytest
import torch

from figures.claims import CLAIMS as CHART
from ingest.engine.errors import EngineError
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.intervene import intervene
from schema.circuit.records import Circuit, NodeKind
from schema.database import AsyncDatabase, Database
from schema.errors import AtlasError, InputError, NotFoundError
from tests.support.api import Api
from tests.support.effects import slow_effect, slow_null, slow_prediction
from tests.support.tiny_atlas import TinyAtlas

DRAWS = 4
ASKED = """query ($families: [String!], $survived: Boolean, $features: [ID!]) {
  claims(families: $families, survived: $survived, features: $features) { totalCount nodes {
    id edits family nCircuits predicted effect nullMean p q nMeasured survived
    interventions { circuit { id } predicted effect nullMean p nEdited
                    changes { node predicted measured } } } } }
"""


def answer_of(circuit: Circuit) -> tuple[int, int]:
    """Place and vocabulary id of the most probable logit."""
    place = max(
        (place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.LOGIT),
        key=lambda place: circuit.nodes[place].probability or 0,
    )
    token = circuit.nodes[place].index
    assert token is not None
    return place, token


def check(tiny_atlas: TinyAtlas, claim: dict[str, Any], feature: tuple[int, int], value: float) -> None:
    """claim: as GraphQL gives it, of a feature set to a value at all positions where that changes it."""
    layer, index = feature
    effects, nulls, predictions = [], [], []
    for row in claim["interventions"]:
        circuit = tiny_atlas.circuits[row["circuit"]["id"]]
        logit, token = answer_of(circuit)
        assert circuit.prompt.token_ids is not None
        plain = intervene(tiny_atlas.model, circuit.prompt.token_ids, [])
        dense = [part.activate(plain.read[n]) for n, part in enumerate(tiny_atlas.model.transcoders.layers)]
        places = [
            position
            for position in range(int(bool(circuit.special_first_token)), len(circuit.prompt.tokens))
            if abs(dense[layer][position, index] - value) > 1e-6
        ]
        edits = [Edit(layer, position, index, value) for position in places]
        assert row["nEdited"] == len(edits)
        random = Random(f"0 {circuit.id}")
        null = slow_null(DRAWS, tiny_atlas.model, circuit, edits, dense, token, random)
        effects.append(slow_effect(tiny_atlas.model, circuit, edits, token))
        nulls.append(null)
        assert row["effect"] == pytest.approx(effects[-1], abs=1e-5)
        assert row["nullMean"] == pytest.approx(math.fsum(null) / DRAWS, abs=1e-5)
        values = {(layer, place, index): value for place in places}
        nodes = {f"{circuit.id}/{node.key}": place for place, node in enumerate(circuit.nodes)}
        known = any((n.layer, n.position, n.index) in values for n in circuit.nodes if n.activation)
        if known:
            predictions.append(slow_prediction(circuit, values, logit))
            assert row["predicted"] == pytest.approx(predictions[-1], abs=1e-6)
        after = intervene(tiny_atlas.model, circuit.prompt.token_ids, edits)
        change = (after.logits - after.plain_logits)[circuit.target_position].double()
        seen = [each["node"] for each in row["changes"]]
        assert len(seen) == len(set(seen))
        for each in row["changes"]:
            place = nodes[each["node"]]
            node = circuit.nodes[place]
            assert (node.layer, node.position, node.index) not in values
            if known:
                assert each["predicted"] == pytest.approx(slow_prediction(circuit, values, place), abs=1e-6)
            if node.kind is NodeKind.LOGIT:
                expected = change[node.index] - change.mean()
            else:
                rows = tiny_atlas.model.transcoders.encoder_rows(node.layer, torch.tensor([node.index]))
                expected = (rows[0] * (after.read - after.plain_read)[node.layer, node.position]).sum()
            assert each["measured"] == pytest.approx(float(expected), abs=1e-5)
        logits = {name for name, place in nodes.items() if circuit.nodes[place].kind is NodeKind.LOGIT}
        assert logits <= set(seen)
    n = len(effects)
    effect = math.fsum(effects) / n
    drawn = [math.fsum(each) / n for each in zip(*nulls, strict=True)]
    predicted = math.fsum(predictions) / len(predictions)
    assert claim["effect"] == pytest.approx(effect, abs=1e-5)
    assert claim["nullMean"] == pytest.approx(math.fsum(drawn) / DRAWS, abs=1e-5)
    assert claim["predicted"] == pytest.approx(predicted, abs=1e-6)
    sign = math.copysign(1, predicted)
    as_far = sum(sign * each >= sign * effect - 1e-7 for each in drawn)
    assert claim["p"] == pytest.approx((1 + as_far) / (1 + DRAWS))


async def test_a_claim_is_what_one_by_one_gives(
    tiny_atlas: TinyAtlas, database: Database, async_database: AsyncDatabase
) -> None:
    layer, index = tiny_atlas.common_feature("pi")
    keep = ["intervene", "--keep", "--draws", str(DRAWS), "--json"]
    printed = tiny_atlas.run(*keep, "--family", "pi", "--ablate", f"{layer}/{index}@all")
    one = next(iter(tiny_atlas.family("e")))
    other = next(n for n in tiny_atlas.circuits[one].nodes if n.kind is NodeKind.FEATURE)
    second = tiny_atlas.run(*keep, "--circuit", one[:12], "--set", f"{other.layer}/{other.index}@all=7.5")
    async with Api(async_database) as api:
        answer = (await api(ASKED))["claims"]
        only = (await api(ASKED, families=["pi"]))["claims"]
        survivors = (await api(ASKED, survived=True))["claims"]
        of_second = await api(
            ASKED, features=[f"{tiny_atlas.set_id}/{other.layer}/{other.index}", "unknown/0/0"]
        )
        of_neither = await api(ASKED, features=[f"{tiny_atlas.set_id}/{layer}/999999"])
        drawn = await api(CHART.query)
    assert answer["totalCount"] == 2
    named = {(layer, index): printed["id"], (other.layer, other.index): second["id"]}
    assert [each["id"] for each in of_second["claims"]["nodes"]] == [named[other.layer, other.index]]
    assert of_neither["claims"]["totalCount"] == 0
    claims = {each["id"]: each for each in answer["nodes"]}
    assert claims.keys() == {printed["id"], second["id"]}
    check(tiny_atlas, claims[printed["id"]], (layer, index), 0.0)
    assert other.index is not None
    check(tiny_atlas, claims[second["id"]], (other.layer, other.index), 7.5)
    by_p = sorted(claims.values(), key=lambda each: (each["p"], each["id"]))
    assert answer["nodes"] == by_p
    assert [each["q"] for each in by_p] == pytest.approx([min(2 * by_p[0]["p"], by_p[1]["p"]), by_p[1]["p"]])
    for each in by_p:
        assert each["survived"] == (each["predicted"] * each["effect"] > 0 and each["q"] <= 0.05)
    assert [each["id"] for each in only["nodes"]] == [printed["id"]]
    assert survivors["nodes"] == [each for each in by_p if each["survived"]]
    assert "<svg" in CHART.svg(drawn)
    # Asked again it changes nothing; measured again it is the same; deleted circuits leave what was measured.
    before = database.read("MATCH (k:Claim) RETURN k {.*} AS k ORDER BY k.id")
    assert tiny_atlas.run(*keep, "--family", "pi", "--ablate", f"{layer}/{index}@all") == printed
    assert database.read("MATCH (k:Claim) RETURN k {.*} AS k ORDER BY k.id") == before
    assert "As kept, in 2 circuits." in tiny_atlas.run("claim", "again", printed["id"])
    listed = tiny_atlas.run("claim", "list", "--json", "--failed")
    assert [each["id"] for each in listed] == [each["id"] for each in by_p if not each["survived"]]
    database.write("MATCH (i:Intervention) WHERE i.effect > -1e9 SET i.effect = i.effect + 1")
    with pytest.raises(AtlasError, match="differs in 2 of 2 circuits"):
        tiny_atlas.run("claim", "again", printed["id"])
    database.write("MATCH (c:Circuit {id: $id}) DETACH DELETE c", {"id": one})
    with pytest.raises(NotFoundError, match=one):
        tiny_atlas.run("claim", "again", second["id"])


def test_a_claim_that_cannot_be_measured_is_not_kept(tiny_atlas: TinyAtlas, database: Database) -> None:
    (key, circuit) = next(iter(tiny_atlas.family("e").items()))
    read = intervene(tiny_atlas.model, circuit.prompt.token_ids or (), []).read
    silent = next(
        (layer, index)
        for layer, part in enumerate(tiny_atlas.model.transcoders.layers)
        for index in range(part.n_features)
        if not any(part.activate(read[layer])[:, index] > 0)
    )
    ablate = ["--ablate", f"{silent[0]}/{silent[1]}@all"]
    for words, message in (
        ([*ablate, "--circuit", key], "change nothing in 1 circuit: the features are silent"),
        ([*ablate], "Which circuits?"),
        (["--circuit", key], "nothing to do"),
        ([*ablate, "--circuit", "nowhere"], "no circuit nowhere"),
        ([*ablate, "--family", "phi"], "no such circuit"),
        (["--ablate", "0/1@77", "--circuit", key], f"Circuit {key}: "),
        ([*ablate, "--circuit", key, "--constrained", "x"], "--constrained 'x' cannot be read"),
        ([*ablate, "--circuit", key, "--token", "w1"], "--keep takes no --generate"),
    ):
        with pytest.raises((AtlasError, EngineError), match=re.escape(message)) as refused:
            tiny_atlas.run("intervene", "--keep", "--draws", "2", *words)
        assert "→" in str(refused.value)
    with pytest.raises(InputError, match="--family is for --keep"):
        tiny_atlas.run("intervene", "--prompt", "w1", *ablate, "--family", "pi")
    with pytest.raises(NotFoundError, match="no claim 'nowhere'"):
        tiny_atlas.run("claim", "again", "nowhere")
    assert database.read("MATCH (n) WHERE n:Claim OR n:Intervention RETURN count(n) AS n") == [{"n": 0}]
