"""Limits of features and edges: one that drops nothing leaves no trace, another one makes another circuit."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.circuits import run
from ingest.circuits.limits import MAX_FEATURE_NODES, parse_limit
from schema.database import Database
from tests.support.cli import Cli
from tests.support.engine import Tiny, save


class Prompt:
    """One prompt of a tiny model that is ingested again and again."""

    def __init__(self, cli: Cli, database: Database, folder: Path) -> None:
        self._cli, self._database = cli, database
        self.folders = save(Tiny(context=32), folder)
        self.file = folder / "prompts.jsonl"
        self.file.write_text(json.dumps({"prompt": "w3 w1 w4 w1 w5"}) + "\n", encoding="utf-8")

    def ingest(self, *options: str) -> str:
        """What `atlas ingest` says."""
        model, transcoders = self.folders
        done = self._cli("ingest", self.file, "--model", model, "--transcoders", transcoders, *options)
        assert done.exit_code == 0, done.text
        return done.text

    def circuits(self) -> list[dict[str, Any]]:
        return self._database.read(
            "MATCH (c:Circuit) RETURN c.id AS id, c.max_feature_nodes AS features, c.max_edges AS edges, "
            "c.n_selected_features AS n_features, c.n_edges AS n_edges ORDER BY features, edges"
        )


@pytest.fixture
def prompt(cli: Cli, database: Database, tmp_path: Path) -> Prompt:
    return Prompt(cli, database, tmp_path)


def test_only_a_limit_that_drops_something_makes_another_circuit(prompt: Prompt) -> None:
    prompt.ingest("--max-feature-nodes", "none")
    (whole,) = prompt.circuits()
    assert (whole["features"], whole["edges"]) == (None, None)
    assert whole["n_features"] < MAX_FEATURE_NODES
    for options in (
        [],
        ["--max-feature-nodes", str(whole["n_features"])],
        ["--max-edges", str(whole["n_edges"])],
    ):
        assert "0 circuits loaded" in prompt.ingest(*options)
        assert "1 was there already" in prompt.ingest(*options)
    few, half = whole["n_features"] // 2, whole["n_edges"] // 2
    assert "1 circuit loaded" in prompt.ingest("--max-feature-nodes", str(few))
    said = prompt.ingest("--max-edges", str(half))
    assert "1 circuit loaded" in said
    assert "1 graph lost edges to the limit" in " ".join(said.split())
    for options in (["--max-feature-nodes", str(few)], ["--max-edges", str(half)], []):
        assert "1 was there already" in prompt.ingest(*options)
    found = prompt.circuits()
    assert [(each["features"], each["edges"]) for each in found] == [(few, None), (None, half), (None, None)]
    assert found[0]["n_features"] == few
    assert 0 < found[1]["n_edges"] <= half
    assert len({each["id"] for each in found}) == 3


def test_a_graph_of_many_edges_is_announced(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MANY_EDGES", 3)
    said = prompt.ingest()
    (stored,) = prompt.circuits()
    assert f"line 1: the graph has {stored['n_edges']} edges; --max-edges" in said


def test_attribute_says_what_the_strongest_edges_hold(cli_without_database: Cli, tmp_path: Path) -> None:
    model, transcoders = save(Tiny(context=32), tmp_path)
    done = cli_without_database(
        *("attribute", "--prompt", "w3 w1 w4 w1", "--out", tmp_path / "graph.json"),
        *("--model", model, "--transcoders", transcoders, "--max-edges", "9"),
    )
    assert done.exit_code == 0, done.text
    graph = json.loads((tmp_path / "graph.json").read_text(encoding="utf-8"))
    assert 0 < len(graph["links"]) <= 9
    assert graph["metadata"]["pruning_settings"]["max_edges"] == 9
    assert f"the strongest {len(graph['links'])} edges are kept, with " in done.stderr


@pytest.mark.parametrize("text", ["0", "-3", "many", "1.5", ""])
def test_a_limit_that_is_no_number_is_refused(text: str, cli_without_database: Cli) -> None:
    done = cli_without_database("attribute", "--prompt", "a", "--out", "-", f"--max-edges={text}")
    assert done.exit_code == 2
    assert "neither a whole number from 1 up nor `none`" in " ".join(done.stderr.replace("│", "").split())


def test_none_is_no_limit() -> None:
    assert [parse_limit("none"), parse_limit(" None "), parse_limit("12"), parse_limit(7)] == [
        None,
        None,
        12,
        7,
    ]
