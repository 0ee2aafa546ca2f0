"""Checkpoints: what is kept of a training run, and every question about it, against plain loops."""

import random
import shutil
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import pytest
import torch
from safetensors.torch import load_file, save_file

from ingest.annotations.checkpoints import TRANSCODERS as FOLDER
from ingest.annotations.checkpoints import steps
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.annotations.checkpoints import Checkpoint, Same, Start, keep_checkpoints
from schema.circuit.records import NodeKind
from schema.errors import InputError
from schema.loading.load import load_circuit
from schema.upkeep.delete import delete_circuit
from tests.support.circuits import MODEL, RUN, TRANSCODERS, feature_id, synthetic_circuits, uses

STEPS = (100, 200, 400)


def at(step, circuit):
    """A circuit as it could have been at a step: with another model and set, and some of its nodes."""
    rng = random.Random(f"{step} {circuit.prompt.text}")
    kept = [
        n for n, node in enumerate(circuit.nodes) if node.kind is not NodeKind.FEATURE or rng.random() < 0.7
    ]
    place = {old: new for new, old in enumerate(kept)}
    model = replace(MODEL, name=f"step-{step}", training_step=step)
    return replace(
        circuit,
        model=model,
        transcoders=replace(TRANSCODERS, name=f"clt-{step}", model_id=model.id),
        nodes=tuple(circuit.nodes[n] for n in kept),
        edges=tuple(
            edge._replace(source=place[edge.source], target=place[edge.target])
            for edge in circuit.edges
            if edge.source in place and edge.target in place and rng.random() < 0.9
        ),
        labels=(),
        supernodes=(),
    )


@pytest.fixture(scope="module")
def history(connection):
    """The circuits of each of three checkpoints, which are all that the database holds."""
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
    made = {step: [at(step, circuit) for circuit in synthetic_circuits(9, seed=8)] for step in STEPS}
    del made[100][0]
    for circuits in made.values():
        for circuit in circuits:
            load_circuit(connection, circuit, RUN)
    checkpoints = [Checkpoint(step, circuits[0].transcoders.id) for step, circuits in made.items()]
    starts = [Start(a.id, b.id, 0.9, 0.8, 0.1, 0.0, 5) for a, b in pairwise(checkpoints)]
    keep_checkpoints(connection, "made-up", checkpoints, starts, links(made))
    keep_checkpoints(connection, "made-up", checkpoints, starts, links(made))
    yield made
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")


def ids(made):
    return {step: Checkpoint(step, circuits[0].transcoders.id).id for step, circuits in made.items()}


def numbers(circuits):
    """(layer, index) → its id, of the features of circuits."""
    return {
        (node.layer, node.index): feature_id(circuit, node)
        for circuit in circuits
        for node in circuit.nodes
        if node.kind is NodeKind.FEATURE
    }


def links(made):
    has = {step: numbers(circuits) for step, circuits in made.items()}
    found: list[Same] = []
    for number in sorted({number for each in has.values() for number in each}):
        there = [each[number] for each in has.values() if number in each]
        found += [Same(a, b, len(found) / 1000, None if number[0] == 0 else 0.5) for a, b in pairwise(there)]
    return found


async def test_checkpoints(api, history):
    query = """{ checkpoints(series: "made-up") { id series step
      nCircuits nJudged nCorrect accuracy errorShare
      same { checkpoint cosine agreement nullCosine nullAgreement nFeatures }
      transcoders { id model { trainingStep } } } none: checkpoints(series: "x") { id } }"""
    data = await api(query)
    expected, known = [], ids(history)
    for step, circuits in history.items():
        right = [circuit.correct for circuit in circuits if circuit.correct is not None]
        later = next((known[each] for each in STEPS if each > step), None)
        expected.append(
            {
                "id": known[step],
                "series": "made-up",
                "step": step,
                "nCircuits": len(circuits),
                "nJudged": len(right),
                "nCorrect": sum(right),
                "accuracy": sum(right) / len(right),
                "errorShare": pytest.approx(fmean(circuit.error_share for circuit in circuits)),
                "same": later
                and {
                    "checkpoint": later,
                    "cosine": 0.9,
                    "agreement": 0.8,
                    "nullCosine": 0.1,
                    "nullAgreement": 0.0,
                    "nFeatures": 5,
                },
                "transcoders": {"id": circuits[0].transcoders.id, "model": {"trainingStep": step}},
            }
        )
    assert data == {"checkpoints": expected, "none": []}


async def test_history_of_every_feature_of_a_checkpoint(api, history):
    query = """query ($id: ID!) { feature(id: $id) { history {
      step checkpoint feature nCircuits nConsidered influence nextStep cosine agreement } } }"""
    has = {step: numbers(circuits) for step, circuits in history.items()}
    known, same = ids(history), {each.earlier: each for each in links(history)}
    step_of = {feature: step for step, each in has.items() for feature in each.values()}
    used = {step: uses(circuits) for step, circuits in history.items()}
    for number, feature in list(has[200].items())[:25]:
        expected = []
        for step, circuits in history.items():
            there = has[step].get(number)
            found = [use.influence for (_, name), use in used[step].items() if name == there]
            measured = [influence for influence in found if influence is not None]
            link = same.get(there)
            expected.append(
                {
                    "step": step,
                    "checkpoint": known[step],
                    "feature": there,
                    "nCircuits": len(found),
                    "nConsidered": len(circuits),
                    "influence": pytest.approx(fmean(measured)) if measured else None,
                    "nextStep": step_of[link.later] if link else None,
                    "cosine": link.cosine if link else None,
                    "agreement": link.agreement if link else None,
                }
            )
        assert (await api(query, id=feature))["feature"]["history"] == expected


def keys(circuit, edges):
    """The features of a circuit at their positions, or its edges but those from errors."""
    names = [(node.kind, node.layer, node.position, node.index) for node in circuit.nodes]
    if not edges:
        return {name for name in names if name[0] is NodeKind.FEATURE}
    return {
        (names[e.source], names[e.target]) for e in circuit.edges if names[e.source][0] is not NodeKind.ERROR
    }


def pairs(history, a, b):
    earlier = {circuit.prompt.id: circuit for circuit in history[a]}
    return [(earlier[c.prompt.id], c) for c in history[b] if c.prompt.id in earlier]


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize(("a", "b"), [(100, 400), (200, 100)])
async def test_parts_at_two_checkpoints(api, history, a, b, edges):
    field = "edges" if edges else "families"
    query = f"""query ($a: ID!, $b: ID!) {{ compareCheckpoints(a: $a, b: $b) {{
      a {{ step }} b {{ step }} {field} {{
      family nPrompts nJudged correctA correctB nA nB nBoth share nullShare }} }} }}"""
    known = ids(history)
    by_family = defaultdict(list)
    for one, other in sorted(pairs(history, a, b), key=lambda pair: pair[0].prompt.id):
        by_family[one.prompt.family].append((one, other))
    expected = []
    for family, both in sorted(by_family.items()):
        parts = [(keys(one, edges), keys(other, edges)) for one, other in both]
        shared = [len(one & other) for one, other in parts]
        null = [
            len(parts[(n + 1) % len(parts)][0] & other) / len(other) for n, (_, other) in enumerate(parts)
        ]
        expected.append(
            {
                "family": family,
                "nPrompts": len(both),
                "nJudged": sum(other.correct is not None for _, other in both),
                "correctA": sum(one.correct is True for one, _ in both),
                "correctB": sum(other.correct is True for _, other in both),
                "nA": sum(len(one) for one, _ in parts),
                "nB": sum(len(other) for _, other in parts),
                "nBoth": sum(shared),
                "share": pytest.approx(
                    fmean(n / len(other) for n, (_, other) in zip(shared, parts, strict=True))
                ),
                "nullShare": pytest.approx(fmean(null)) if len(parts) > 1 else None,
            }
        )
    data = (await api(query, a=known[a], b=known[b]))["compareCheckpoints"]
    assert data == {"a": {"step": a}, "b": {"step": b}, field: expected}


@pytest.mark.parametrize("part", ["ANY", "A", "B", "BOTH"])
async def test_features_at_two_checkpoints(api, history, part):
    query = """query ($a: ID!, $b: ID!, $at: WhichCheckpoint!) { compareCheckpoints(a: $a, b: $b) {
      features(at: $at, first: 100) { totalCount nodes {
        layer index circuitsA circuitsB influenceA influenceB a { id } b { id } } } } }"""
    sides = []
    for circuits in zip(*pairs(history, 100, 400), strict=True):
        found = defaultdict(list)
        for (_, feature), use in uses(circuits).items():
            found[feature].append(use.influence)
        sides.append({number: found[name] for number, name in numbers(circuits).items()})
    one, other = sides
    names = numbers(history[100]), numbers(history[400])
    wanted = {
        "ANY": one.keys() | other.keys(),
        "A": one.keys() - other.keys(),
        "B": other.keys() - one.keys(),
        "BOTH": one.keys() & other.keys(),
    }[part]
    order = sorted(wanted, key=lambda at: (-abs(len(one.get(at, [])) - len(other.get(at, []))), at))

    def mean(values):
        known = [value for value in values if value is not None]
        return pytest.approx(fmean(known)) if known else None

    expected = [
        {
            "layer": at[0],
            "index": str(at[1]),
            "circuitsA": len(one.get(at, [])),
            "circuitsB": len(other.get(at, [])),
            "influenceA": mean(one.get(at, [])),
            "influenceB": mean(other.get(at, [])),
            "a": {"id": names[0][at]} if at in one else None,
            "b": {"id": names[1][at]} if at in other else None,
        }
        for at in order
    ]
    ask = {"a": ids(history)[100], "b": ids(history)[400], "at": part}
    data = (await api(query, **ask))["compareCheckpoints"]["features"]
    assert data == {"totalCount": len(expected), "nodes": expected[:100]}


async def test_an_unknown_checkpoint_is_named(api, history):
    query = 'query ($a: ID!) { compareCheckpoints(a: $a, b: "nobody") { a { id } } }'
    assert await api.error(query, a=ids(history)[100]) == (
        "NOT_FOUND",
        "There are no checkpoints 'nobody'",
        "ask `checkpoints { id series step }`; `atlas checkpoints load` writes them",
    )


def test_a_checkpoint_goes_with_its_set(connection, history):
    for circuit in history[100]:
        delete_circuit(connection, circuit.id)
    left = connection.read("MATCH (k:Checkpoint) RETURN k.step AS step ORDER BY step")
    assert left == [{"step": 200}, {"step": 400}]


def test_a_folder_without_checkpoints_says_so(tmp_path):
    with pytest.raises(InputError, match="does not contain two checkpoints"):
        steps(tmp_path)
    for name in ("step-1", "checkpoint_20"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"checkpoint_20, step-1 of .* have no transcoders"):
        steps(tmp_path)


def test_the_command(cli, connection, tmp_path):
    """Two checkpoints that differ in their decoders; the links against a loop over features and tokens."""
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
    prompts = ["the capital of the state containing north dallas is", "calc : 36 + 59 ="]
    (tmp_path / "prompts.txt").write_text("\n".join(prompts))
    models = {}
    for step in (5, 30):
        folder = tmp_path / "run" / f"step-{step}"
        shutil.copytree(MODEL_DIR, folder)
        shutil.copytree(TRANSCODERS_DIR, folder / FOLDER)
        if step == 5:
            torch.manual_seed(0)
            for path in (folder / FOLDER).glob("W_*.safetensors"):
                held = {
                    name: value + 0.02 * torch.randn_like(value) for name, value in load_file(path).items()
                }
                save_file(held, path)
        models[step] = ReplacementModel.load(folder, folder / FOLDER)
    arguments = ("checkpoints", "load", tmp_path / "prompts.txt", "--folder", tmp_path / "run")
    done = cli(*arguments)
    assert done.exit_code == 0, done.text
    rows = connection.read(
        """
        MATCH (k:Checkpoint)-[:READ_BY]->()<-[:IN]-(f:Feature)-[s:SAME_AS]->(g)
              -[:IN]->()<-[:READ_BY]-(l:Checkpoint)
        RETURN k.step AS step, l.step AS later, [f.layer, f.index] AS at, [g.layer, g.index] AS same,
               s.cosine AS cosine, s.agreement AS agreement
        """
    )
    kept = connection.read(
        """
        MATCH (k:Checkpoint)-[:READ_BY]->()<-[:IN]-(f:Feature)
        RETURN f.layer AS layer, f.index AS index, count(*) AS n
        """
    )
    assert {tuple(row["at"]) for row in rows} == {(r["layer"], r["index"]) for r in kept if r["n"] == 2}
    assert len(rows) > 50
    assert f"{len(rows)} features linked" in done.text
    active: dict[int, list[set[tuple[int, int, int]]]] = {}
    for step, model in models.items():
        active[step] = []
        for prompt in prompts:
            frozen = model.freeze(model.encode(prompt).ids)
            found = model.transcoders.encode(model.read(frozen), skip_first=False).where.tolist()
            active[step].append({(layer, index, place) for layer, place, index in found if place > 0})
    for row in rows[:40]:
        assert (row["step"], row["later"], row["at"]) == (5, 30, row["same"])
        layer, index = row["at"]
        one, other = (
            models[step].transcoders.layers[layer].decoder[index].float().flatten() for step in (5, 30)
        )
        assert row["cosine"] == pytest.approx(float(one @ other / one.norm() / other.norm()), abs=1e-5)
        on = [
            {(n, p) for n, each in enumerate(active[step]) for (la, i, p) in each if [la, i] == row["at"]}
            for step in (5, 30)
        ]
        assert row["agreement"] == pytest.approx(len(on[0] & on[1]) / len(on[0] | on[1]))
    again = cli(*arguments)
    assert (again.exit_code, "2 checkpoints, 0 new circuits" in again.text) == (0, True), again.text
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
