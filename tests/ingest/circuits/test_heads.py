"""Attention heads in circuits and their files: from `atlas attribute --heads --qk` to graph JSON."""

import json
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from ingest.circuits.heads import lines
from ingest.circuits.run import attribute_one
from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.errors import SettingError
from ingest.engine.heads.loadings import head_loadings, head_totals
from ingest.engine.heads.qk import qk_attribution
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.canonical import canonical
from schema.circuit.records import Circuit
from schema.exports.graph_json import to_json
from schema.formats.graph import read_graph
from tests.support.cli import Cli
from tests.support.engine import PROMPT, Folders, Tiny, save


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return save(Tiny(), tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def circuit(folders: Folders) -> Circuit:
    return attribute_one(
        PROMPT, model=folders.model, transcoders=folders.transcoders, heads=True, qk=["2/1@6"]
    )


def test_a_circuit_has_the_strongest_heads_of_its_edges(folders: Folders, circuit: Circuit) -> None:
    model = ReplacementModel.load(*folders)
    graph = attribute(model, PROMPT)
    pruned = prune(graph)
    loadings = head_loadings(model, graph, pruned)
    of_edge: dict[int, list[tuple[float, int, int]]] = {}
    keys = [node.key for node in circuit.nodes]
    places = {(keys[edge.source], keys[edge.target]): place for place, edge in enumerate(circuit.edges)}
    for part in circuit.head_parts:
        of_edge.setdefault(places[part[:2]], []).append((part.weight, part.layer, part.head))
    carried = 0
    for number, edge in enumerate(circuit.edges):
        assert float(loadings.weight[number]) == edge.weight
        every = [
            (float(loadings.heads[layer, number, head]), layer, head)
            for layer in range(3)
            for head in range(4)
        ]
        best = sorted((one for one in every if one[0]), key=lambda one: -abs(one[0]))[:3]
        assert [one[1:] for one in of_edge.get(number, [])] == [one[1:] for one in best]
        assert [one[0] for one in of_edge.get(number, [])] == pytest.approx([one[0] for one in best])
        carried += bool(best)
    assert carried > 20
    totals = head_totals(loadings, graph, pruned)
    assert [total[:2] for total in circuit.head_totals] == [(n, h) for n in range(3) for h in range(4)]
    assert [total.gross for total in circuit.head_totals] == pytest.approx(totals.gross.flatten().tolist())


def test_a_circuit_has_the_scores_of_the_keys_looked_at_most(folders: Folders, circuit: Circuit) -> None:
    qk = qk_attribution(ReplacementModel.load(*folders), PROMPT, layer=2, head=1, position=6)
    keys = qk.pattern.topk(5).indices.tolist()
    assert [score[:4] for score in circuit.qk_scores] == [(2, 1, 6, key) for key in keys]
    for score, key in zip(circuit.qk_scores, keys, strict=True):
        assert score.score == pytest.approx(float(qk.scores[key]), rel=1e-5)
        assert [pair.score for pair in score.pairs] == pytest.approx([p.score for p in qk.top(key)], rel=1e-4)
    names = {name for score in circuit.qk_scores for pair in score.pairs for name in (pair.query, pair.key)}
    ids = {f"{layer}_{index}_{position}" for layer, position, index in _active(folders)}
    assert {name for name in names if name != "rest" and "_-1_" not in name and name[0] != "E"} <= ids


def _active(folders: Folders) -> list[list[int]]:
    found: list[list[int]] = attribute(ReplacementModel.load(*folders), PROMPT).active.tolist()
    return found


def test_a_file_holds_them_only_when_asked_for(folders: Folders, circuit: Circuit) -> None:
    found = to_json(circuit)
    plain = to_json(attribute_one(PROMPT, model=folders.model, transcoders=folders.transcoders))
    totals, scores = found["metadata"]["atlas"].pop("heads"), found["metadata"]["atlas"].pop("qk")
    parts = [link.pop("heads", []) for link in found["links"]]
    assert found == plain
    assert totals[5] == {
        "layer": 1,
        "head": 1,
        "net": circuit.head_totals[5].net,
        "gross": circuit.head_totals[5].gross,
    }
    assert scores[0]["pairs"][0] == circuit.qk_scores[0].pairs[0]._asdict()
    assert [tuple(part.values()) for each in parts for part in each] == [p[2:] for p in circuit.head_parts]
    # Readers look past it, and order the parts anew.
    again = to_json(replace(canonical(circuit), supernodes=circuit.supernodes))
    both = [
        {(x["source"], x["target"]): x.get("heads") for x in one["links"]}
        for one in (to_json(circuit), again)
    ]
    assert both[0] == both[1]
    assert read_graph(orjson.dumps(to_json(circuit)), "graph").circuit.id == circuit.id


def test_the_command_writes_and_tells(cli_without_database: Cli, folders: Folders, tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    done = cli_without_database(
        *("attribute", "--prompt", PROMPT, "--out", path, "--heads", "--qk", "2/1@6"),
        *("--model", folders.model, "--transcoders", folders.transcoders),
    )
    assert done.exit_code == 0
    told = done.stderr
    assert "of influence through it" in told
    assert "head 2/1 at position 6 looks at" in told
    atlas = json.loads(path.read_text())["metadata"]["atlas"]
    assert len(atlas["heads"]) == 12
    assert len(atlas["qk"]) == 5


def test_lines_say_the_strongest_first(circuit: Circuit) -> None:
    found = list(lines(circuit, 2))
    strongest = max(circuit.head_totals, key=lambda total: total.gross)
    assert found[0].startswith(f"head {strongest.layer}/{strongest.head}: {strongest.gross:.3f} of influence")
    assert len([line for line in found if line.startswith("head")]) == 2 + 5


def test_text_that_is_no_query(folders: Folders) -> None:
    with pytest.raises(SettingError) as caught:
        attribute_one(PROMPT, model=folders.model, transcoders=folders.transcoders, qk=["2/1"])
    assert str(caught.value) == "--qk '2/1' cannot be read\n  → write layer, head and position like 3/1@5"
