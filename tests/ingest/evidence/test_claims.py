"""The ledger: what a claim keeps, measured and predicted again one circuit and one draw at a time."""

import asyncio
import json
import math
import re
import threading
from pathlib import Path
from random import Random
from typing import Any

import httpx2
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from api.app import create_app
from atlas.cli import app
from figures.claims import CLAIMS as CHART
from ingest.circuits.run import IngestSettings, ingest
from ingest.engine.errors import EngineError
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.named_edits import plain_edits
from ingest.jobs import watch
from schema.annotations.supernodes import NodeGroup, group
from schema.circuit.records import Circuit, NodeKind
from schema.database import AsyncDatabase, Database
from schema.errors import AtlasError, InputError, NotFoundError
from schema.evidence.hypotheses import HYPOTHESES
from schema.jobs import RequestedPrompt, request, take
from schema.loading.read import read_circuit
from schema.questions.jobs import JOBS_BY_ID
from schema.questions.question import ask as ask_database
from tests.support.effects import slow_effect, slow_null, slow_prediction
from tests.support.engine import Tiny, save

DRAWS = 4
LINES = [
    {"prompt": "w3 w1 w4 w1", "family": "pi"},
    {"prompt": "w2 w7 w1 w8 w2", "family": "e"},
    {"prompt": "w1 w6 w1 w8", "family": "pi"},
]
ASKED = """query ($families: [String!], $survived: Boolean) {
  claims(families: $families, survived: $survived) { totalCount nodes {
    id edits family nCircuits predicted effect nullMean p q nMeasured survived
    interventions { circuit { id } predicted effect nullMean p nEdited
                    changes { node predicted measured } } } } }
"""


WRONG = {
    "edits": ["ablate {nobody}@all"],
    "circuits": ["none"],
    "family": None,
    "freeze": "nothing",
    "constrained": None,
    "writes": None,
    "draws": DRAWS,
    "seed": 0,
}
"""A claim of a job, about a supernode that there is not."""


class Atlas:
    """Two families of a tiny model in the database, and the command."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.folders = save(Tiny(context=32), folder)
        file = folder / "prompts.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in LINES), encoding="utf-8")
        ingest(database, IngestSettings(file, *self.folders), console=Console(quiet=True))
        self.model = ReplacementModel.load(*self.folders)
        ids = [row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id")]
        self.circuits = {key: read_circuit(database, key) for key in ids}
        self.set_id = database.read("MATCH (s:TranscoderSet) RETURN s.id AS id")[0]["id"]

    def run(self, *words: str) -> Any:
        options = ["--model", str(self.folders.model), "--transcoders", str(self.folders.transcoders)]
        done = CliRunner().invoke(app, [*words, *(options if words[0] == "intervene" else ())])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return json.loads(done.stdout) if "--json" in words else done.stdout

    def family(self, name: str) -> dict[str, Circuit]:
        return {key: each for key, each in self.circuits.items() if each.prompt.family == name}

    def common_feature(self, name: str) -> tuple[int, int]:
        """A feature of the first layer that all circuits of a family kept."""
        kept = [
            {(n.layer, n.index) for n in each.nodes if n.kind is NodeKind.FEATURE}
            for each in self.family(name).values()
        ]
        layer, index = min(set.intersection(*kept))
        assert index is not None
        return layer, index


@pytest.fixture
def atlas(database: Database, server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Atlas:
    for name, value in (("URI", server.bolt_uri), ("USERNAME", server.user), ("PASSWORD", server.password)):
        monkeypatch.setenv(f"NEO4J_{name}", value)
    return Atlas(database, tmp_path)


def answer_of(circuit: Circuit) -> tuple[int, int]:
    """Place and vocabulary id of the most probable logit."""
    place = max(
        (place for place, node in enumerate(circuit.nodes) if node.kind is NodeKind.LOGIT),
        key=lambda place: circuit.nodes[place].probability or 0,
    )
    token = circuit.nodes[place].index
    assert token is not None
    return place, token


def check(atlas: Atlas, claim: dict[str, Any], feature: tuple[int, int], value: float) -> None:
    """claim: as GraphQL gives it, of a feature set to a value at all positions where that changes it."""
    layer, index = feature
    effects, nulls, predictions = [], [], []
    for row in claim["interventions"]:
        circuit = atlas.circuits[row["circuit"]["id"]]
        logit, token = answer_of(circuit)
        assert circuit.prompt.token_ids is not None
        plain = intervene(atlas.model, circuit.prompt.token_ids, [])
        dense = [part.activate(plain.read[n]) for n, part in enumerate(atlas.model.transcoders.layers)]
        places = [
            position
            for position in range(int(bool(circuit.special_first_token)), len(circuit.prompt.tokens))
            if abs(dense[layer][position, index] - value) > 1e-6
        ]
        edits = [Edit(layer, position, index, value) for position in places]
        assert row["nEdited"] == len(edits)
        random = Random(f"0 {circuit.id}")
        null = slow_null(DRAWS, atlas.model, circuit, edits, dense, token, random)
        effects.append(slow_effect(atlas.model, circuit, edits, token))
        nulls.append(null)
        assert row["effect"] == pytest.approx(effects[-1], abs=1e-5)
        assert row["nullMean"] == pytest.approx(math.fsum(null) / DRAWS, abs=1e-5)
        values = {(layer, place, index): value for place in places}
        nodes = {f"{circuit.id}/{node.key}": place for place, node in enumerate(circuit.nodes)}
        known = any((n.layer, n.position, n.index) in values for n in circuit.nodes if n.activation)
        if known:
            predictions.append(slow_prediction(circuit, values, logit))
            assert row["predicted"] == pytest.approx(predictions[-1], abs=1e-6)
        after = intervene(atlas.model, circuit.prompt.token_ids, edits)
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
                rows = atlas.model.transcoders.encoder_rows(node.layer, torch.tensor([node.index]))
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
    atlas: Atlas, database: Database, async_database: AsyncDatabase
) -> None:
    layer, index = atlas.common_feature("pi")
    keep = ["intervene", "--keep", "--draws", str(DRAWS), "--json"]
    printed = atlas.run(*keep, "--family", "pi", "--ablate", f"{layer}/{index}@all")
    one = next(iter(atlas.family("e")))
    other = next(n for n in atlas.circuits[one].nodes if n.kind is NodeKind.FEATURE)
    second = atlas.run(*keep, "--circuit", one[:12], "--set", f"{other.layer}/{other.index}@all=7.5")
    api = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_app(async_database)), base_url="http://atlas"
    )
    async with api:
        answer = (await api.post("/graphql", json={"query": ASKED})).json()["data"]["claims"]
        only = await api.post("/graphql", json={"query": ASKED, "variables": {"families": ["pi"]}})
        survivors = await api.post("/graphql", json={"query": ASKED, "variables": {"survived": True}})
        drawn = (await api.post("/graphql", json={"query": CHART.query})).json()["data"]
    assert answer["totalCount"] == 2
    claims = {each["id"]: each for each in answer["nodes"]}
    assert claims.keys() == {printed["id"], second["id"]}
    check(atlas, claims[printed["id"]], (layer, index), 0.0)
    assert other.index is not None
    check(atlas, claims[second["id"]], (other.layer, other.index), 7.5)
    by_p = sorted(claims.values(), key=lambda each: (each["p"], each["id"]))
    assert answer["nodes"] == by_p
    assert [each["q"] for each in by_p] == pytest.approx([min(2 * by_p[0]["p"], by_p[1]["p"]), by_p[1]["p"]])
    for each in by_p:
        assert each["survived"] == (each["predicted"] * each["effect"] > 0 and each["q"] <= 0.05)
    assert [each["id"] for each in only.json()["data"]["claims"]["nodes"]] == [printed["id"]]
    assert survivors.json()["data"]["claims"]["nodes"] == [each for each in by_p if each["survived"]]
    assert "<svg" in CHART.svg(drawn)
    # Asked again it changes nothing; measured again it is the same; deleted circuits leave what was measured.
    before = database.read("MATCH (k:Claim) RETURN k {.*} AS k ORDER BY k.id")
    assert atlas.run(*keep, "--family", "pi", "--ablate", f"{layer}/{index}@all") == printed
    assert database.read("MATCH (k:Claim) RETURN k {.*} AS k ORDER BY k.id") == before
    assert "As kept, in all 2 circuits." in atlas.run("claim", "again", printed["id"])
    listed = atlas.run("claim", "list", "--json", "--failed")
    assert [each["id"] for each in listed] == [each["id"] for each in by_p if not each["survived"]]
    database.write("MATCH (i:Intervention) WHERE i.effect > -1e9 SET i.effect = i.effect + 1")
    with pytest.raises(AtlasError, match="2 of 2 circuits differ"):
        atlas.run("claim", "again", printed["id"])
    database.write("MATCH (c:Circuit {id: $id}) DETACH DELETE c", {"id": one})
    with pytest.raises(NotFoundError, match=one):
        atlas.run("claim", "again", second["id"])


def test_supernodes_are_edited_by_name_and_features_planted(atlas: Atlas, database: Database) -> None:
    (first, circuit), (second, elsewhere) = list(atlas.family("pi").items())
    nodes = [n for n in circuit.nodes if n.kind is NodeKind.FEATURE][:2]
    others = [n for n in elsewhere.nodes if n.kind is NodeKind.FEATURE][-1:]
    group(database, first, NodeGroup("mine", tuple(f"{first}/{n.key}" for n in nodes)), "me")
    group(database, second, NodeGroup("yours", tuple(f"{second}/{n.key}" for n in others)), "me")
    mine = list(
        dict.fromkeys(f"{n.layer}/{n.index}" for n in sorted(nodes, key=lambda n: (n.layer, n.index)))
    )
    (yours,) = (f"{n.layer}/{n.index}" for n in others)
    mean = others[0].activation
    assert mean is not None

    def plain(*edits: str) -> list[str]:
        return plain_edits(database, atlas.set_id, edits)

    assert plain("ablate 1/2@3", "ablate {mine}@all") == ["ablate 1/2@3", *(f"ablate {n}@all" for n in mine)]
    assert plain("scale {mine}@2-=3") == [f"scale {n}@2-=3" for n in mine]
    planted = plain("plant {yours}@last=2")
    assert [each.partition("=")[0] for each in planted] == [f"set {yours}@last"]
    assert float(planted[0].partition("=")[2]) == pytest.approx(2 * mean)
    swapped = plain("swap {mine}:{yours}@all")
    assert swapped == [
        *(f"ablate {n}@all" for n in mine if n != yours),
        plain("plant {yours}@all")[0],
    ]
    active = [
        n.activation
        for each in atlas.circuits.values()
        for n in each.nodes
        if n.kind is NodeKind.FEATURE and f"{n.layer}/{n.index}" == mine[0] and n.activation is not None
    ]
    (alone,) = plain(f"plant {mine[0]}@1")
    assert float(alone.partition("=")[2]) == pytest.approx(math.fsum(active) / len(active))
    for edit, message in (
        ("ablate {theirs}@all", "has the supernode {theirs}"),
        ("plant 0/63@1", "has the feature 0/63"),
        ("swap {mine}:3/4@1", "swaps a supernode and a feature"),
        ("ablate {mine}:{yours}@1", "cannot be read"),
        ("plant {mine}@1=x", "'x' is no number"),
        ("ablate {mine}", "cannot be read"),
    ):
        with pytest.raises(AtlasError, match=re.escape(message)) as refused:
            plain(edit)
        assert refused.value.next_step
    kept = atlas.run(
        *("intervene", "--keep", "--draws", "2", "--json", "--prompt", circuit.prompt.text),
        *("--ablate", "{mine}@all", "--constrained", "0-1", "--freeze", "attention"),
    )
    assert [each["edits"] for each in kept["interventions"]] == [[f"ablate {n}@all" for n in mine]]
    stored = database.read(
        "MATCH (k:Claim)-[:MEASURED_BY]->(i)-[:EDITS]->(f) RETURN k.edits AS edits, f.id AS f ORDER BY f"
    )
    assert [row["f"] for row in stored] == sorted(f"{atlas.set_id}/{n}" for n in mine)
    assert stored[0]["edits"] == ["ablate {mine|person}@all"]
    again = atlas.run(
        *("intervene", "--keep", "--draws", "2", "--json", "--prompt", circuit.prompt.text),
        *("--ablate", "{mine|person}@all", "--constrained", "0-1", "--freeze", "attention"),
    )
    assert again["id"] == kept["id"]
    printed = atlas.run("intervene", "--prompt", circuit.prompt.text, "--ablate", "{mine}@all")
    assert "features changed" in printed


def test_a_hypothesis_about_a_supernode_keeps_the_features_of_its_registration(
    atlas: Atlas, database: Database, tmp_path: Path
) -> None:
    circuit, records = next(iter(atlas.family("pi").items()))
    first, second = [n for n in records.nodes if n.kind is NodeKind.FEATURE][:2]
    group(database, circuit, NodeGroup("mine", (f"{circuit}/{first.key}",)), "me")
    file = tmp_path / "tests.jsonl"
    line = {"prompt": records.prompt.text, "expected": "w5", "split": "held-out"}
    file.write_text(json.dumps(line), encoding="utf-8")
    folders = ["--model", str(atlas.folders.model), "--transcoders", str(atlas.folders.transcoders)]

    def add(edit: str, *, prompts: Path = file) -> str:
        words = ["hypothesis", "add", "does it?", "--edit", edit, "--prompts", str(prompts)]
        return str(atlas.run(*words, *folders)).strip()

    named = add("ablate {mine}@all")
    assert named == add(f"ablate {first.layer}/{first.index}@all")
    group(database, circuit, NodeGroup("mine", (f"{circuit}/{second.key}",)), "me")
    assert "n = 1 held-out prompts" in atlas.run("hypothesis", "test", named)
    (row,) = ask_database(database, HYPOTHESES, timeout_s=60, level=0.05)
    assert (row.id, row.edits) == (named, [f"ablate {first.layer}/{first.index}@all"])
    with pytest.raises(NotFoundError, match=r"has the supernode \{theirs\}"):
        add("ablate {theirs}@all")
    formed = tmp_path / "formed.jsonl"
    formed.write_text(json.dumps(line | {"split": "train"}), encoding="utf-8")
    with pytest.raises(InputError, match="has no held-out prompts"):
        add("ablate {mine}@all", prompts=formed)
    assert len(ask_database(database, HYPOTHESES, timeout_s=60, level=0.05)) == 1


def test_a_claim_that_cannot_be_measured_is_not_kept(atlas: Atlas, database: Database) -> None:
    (key, circuit) = next(iter(atlas.family("e").items()))
    silent = next(
        (layer, index)
        for layer, part in enumerate(atlas.model.transcoders.layers)
        for index in range(part.n_features)
        if not any(
            part.activate(intervene(atlas.model, circuit.prompt.token_ids or (), []).read[layer])[:, index]
            > 0
        )
    )
    ablate = ["--ablate", f"{silent[0]}/{silent[1]}@all"]
    for words, message in (
        ([*ablate, "--circuit", key], "change nothing in 1 circuits: the features are silent"),
        ([*ablate], "Which circuits?"),
        (["--circuit", key], "nothing to do"),
        ([*ablate, "--circuit", "nowhere"], "no circuit nowhere"),
        ([*ablate, "--family", "phi"], "no such circuit"),
        (["--ablate", "0/1@77", "--circuit", key], f"Circuit {key}: "),
        ([*ablate, "--circuit", key, "--constrained", "x"], "--constrained 'x' cannot be read"),
        ([*ablate, "--circuit", key, "--token", "w1"], "--keep takes no --generate"),
    ):
        with pytest.raises((AtlasError, EngineError), match=re.escape(message)) as refused:
            atlas.run("intervene", "--keep", "--draws", "2", *words)
        assert "→" in str(refused.value)
    with pytest.raises(InputError, match="--family is for --keep"):
        atlas.run("intervene", "--prompt", "w1", *ablate, "--family", "pi")
    with pytest.raises(NotFoundError, match="no claim 'nowhere'"):
        atlas.run("claim", "again", "nowhere")
    assert database.read("MATCH (n) WHERE n:Claim OR n:Intervention RETURN count(n) AS n") == [{"n": 0}]


REQUEST = """mutation ($edits: [String!]!, $circuits: [ID!], $family: String, $draws: Int!, $set: ID) {
  requestClaim(edits: $edits, author: "ada", circuits: $circuits, family: $family, draws: $draws,
               freeze: ATTENTION, transcoders: $set) {
    id state nPrompts prompts transcoders measured } }"""


async def test_a_claim_is_asked_for_over_the_api_and_measured_by_a_worker(
    atlas: Atlas, database: Database, async_database: AsyncDatabase
) -> None:
    layer, index = atlas.common_feature("pi")
    edit = f"ablate {layer}/{index}@all"
    http = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=create_app(async_database, token="t", writer=database)),
        base_url="http://atlas",
        headers={"authorization": "Bearer t"},
    )

    async def ask(query: str, **variables: object) -> Any:
        return (await http.post("/graphql", json={"query": query, "variables": variables})).json()

    settings = IngestSettings(Path(), *atlas.folders)
    quiet = Console(quiet=True)

    async def work() -> int:
        return await asyncio.to_thread(watch, database, settings, threading.Event(), console=quiet, once=True)

    async with http:
        job = (await ask(REQUEST, edits=[edit], family="pi", draws=DRAWS))["data"]["requestClaim"]
        assert job == {
            "id": job["id"],
            "state": "QUEUED",
            "nPrompts": 2,
            "prompts": [each.prompt.text for each in atlas.family("pi").values()],
            "transcoders": atlas.set_id,
            "measured": None,
        }
        for wrong, code in (
            ({"edits": []}, "BAD_INPUT"),
            ({"edits": [edit, f"swap {layer}/{index}@all"]}, "BAD_INPUT"),
            ({"edits": [f"ablate {layer}/{index}@9-2"]}, "BAD_INPUT"),
            ({"family": None}, "BAD_INPUT"),
            ({"family": "phi"}, "NOT_FOUND"),
            ({"family": None, "circuits": ["nowhere"]}, "NOT_FOUND"),
            ({"set": "another"}, "NOT_FOUND"),
            ({"draws": 1000}, "OVER_LIMIT"),
        ):
            asked = {"edits": [edit], "family": "pi", "draws": DRAWS, **wrong}
            (error,) = (await ask(REQUEST, **asked))["errors"]
            assert error["extensions"]["code"] == code, wrong
        # A worker with other transcoders leaves it.
        assert take(database, "w", transcoders="another") is None
        assert await work() == 1
        (row,) = ask_database(database, JOBS_BY_ID, timeout_s=20, keys=[job["id"]])
        assert (row.state, row.n_done, row.error) == ("done", 2, None)
        found = (await ask(ASKED))["data"]["claims"]["nodes"]
    assert [each["id"] for each in found] == [row.measured]
    by_command = atlas.run(
        *("intervene", "--keep", "--draws", str(DRAWS), "--json", "--family", "pi"),
        *("--ablate", f"{layer}/{index}@all", "--freeze", "attention"),
    )
    assert by_command["id"] == row.measured
    assert by_command["effect"] == pytest.approx(found[0]["effect"], abs=1e-6)
    bad = request(database, [RequestedPrompt("w1")], "ada", claim=json.dumps(WRONG))
    assert await work() == 0
    (row,) = ask_database(database, JOBS_BY_ID, timeout_s=20, keys=[bad])
    # Once is enough: what was asked for is wrong, and stays so.
    assert (row.state, row.attempts, str(row.error).split("\n")[0]) == (
        *("failed", 1, f"No circuit made with {atlas.set_id} has the supernode {{nobody}}"),
    )
