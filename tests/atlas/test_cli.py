"""The command as a person types it: help that teaches, exit codes, and errors with a next step."""

import importlib.metadata
import json
import re
import socket

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from atlas.cli import app
from atlas.local import doctor
from atlas.settings import Settings
from schema.upkeep.check import check
from tests.support.paths import HOME


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of every command, groups included."""
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, TyperGroup):
            found += commands(command, (*path, name))
    return found


def test_every_command_and_option_has_help(cli_without_database):
    found = commands(typer.main.get_group(app))
    assert ("db", "start") in found
    for path in found:
        command: object = typer.main.get_group(app)
        for word in path:
            assert isinstance(command, TyperGroup)
            command = command.commands[word]
        assert isinstance(command, TyperCommand | TyperGroup)
        assert command.help, path
        assert all(getattr(option, "help", None) for option in command.params), path
        code, out, _, _ = cli_without_database(*path, "--help")
        assert code == 0
        assert " ".join(path) in out


def test_a_wrong_command_line_exits_with_2(cli_without_database):
    assert cli_without_database("no-such-command").exit_code == 2
    assert cli_without_database("ingest", "--node-threshold", "1.5").exit_code == 2


def test_commands_that_need_the_database_say_how_to_start_it(cli_without_database):
    for words in (("serve",), ("ingest",)):
        code, out, err, _ = cli_without_database(*words)
        assert (code, out) == (1, "")
        assert "is not running" in err
        assert "atlas db start" in err
    assert cli_without_database("db", "stop") == (0, "Neo4j was not running.\n", "", None)
    code, out, _, _ = cli_without_database("db", "status")
    assert code == 1
    assert "atlas db start" in out


def test_doctor_looks_at_everything(cli_without_database):
    code, out, _, _ = cli_without_database("doctor")
    assert code == 0
    for words in ("Python 3", "torch", "own packages", "bundled model", "GB free", "not running"):
        assert words in out


def test_doctor_needs_no_extra(cli_without_database, monkeypatch, tmp_path):
    """And what it says to do works without a checkout."""
    version = importlib.metadata.version

    def light(name: str) -> str:
        if name in ("torch", "transformers"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", light)
    code, out, _, _ = cli_without_database("doctor")
    assert code == 0, out
    assert "torch is not installed; only commands that run a model need it" in out
    assert out.count('pip install "circuit-atlas[ingest]"') == 2
    monkeypatch.setattr(doctor, "MODEL_DIR", tmp_path)
    for home, said in (
        (HOME, f"git -C {HOME} checkout -- ingest/organism/weights"),
        (tmp_path, "pip install"),
    ):
        monkeypatch.setattr(doctor, "HOME", home)
        findings = {each.what: each for each in doctor.examine(Settings.load({}))}
        missing = findings[f"the bundled model is missing in {tmp_path}"]
        assert not missing.ok
        assert said in str(missing.next_step)


def test_no_text_of_the_package_names_a_command_of_the_checkout():
    for room in ("atlas", "ingest", "schema", "api", "figures"):
        for file in (HOME / room).rglob("*.*"):
            # `atlas.docs` makes the documentation, in a checkout.
            if file.suffix in (".py", ".html") or (file.suffix == ".js" and "vendor" not in file.parts):
                text = "" if file.parent.name == "docs" else file.read_text(encoding="utf-8")
                assert not re.search(r"make (demo|organism|clean)|\.venv/bin", text), file


def test_doctor_names_a_database_that_does_not_answer(cli_without_database):
    code, out, _, _ = cli_without_database("doctor", NEO4J_URI="bolt://127.0.0.1:1", NEO4J_PASSWORD="x")
    assert code == 1
    assert "BAD" in out
    assert "127.0.0.1:1" in out


def test_a_wrong_password_is_said(cli, database):
    code, _, err, _ = cli("ingest", NEO4J_PASSWORD="wrong")
    assert code == 1
    assert "error:" in err
    assert "password" in err
    assert "Traceback" not in err


def test_a_uri_without_a_password_is_said(cli_without_database):
    code, _, err, _ = cli_without_database("serve", NEO4J_URI="bolt://127.0.0.1:1")
    assert code == 1
    assert "NEO4J_PASSWORD" in err


def test_ingest_names_bad_lines_and_says_so_by_its_exit_code(cli, database, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "the capital of texas is"}\n{broken\n', encoding="utf-8")
    code, out, err, _ = cli("ingest", str(path))
    assert code == 1
    assert out.startswith("1 circuit loaded")
    assert "1 failed" in out
    assert "line 2" in err
    assert database.read("MATCH (c:Circuit) RETURN count(c) AS n") == [{"n": 1}]
    path.write_text('{"prompt": "the capital of texas is"}\n', encoding="utf-8")
    code, out, _, _ = cli("ingest", str(path))
    assert code == 0
    assert "0 circuits loaded" in out
    assert "1 was there already" in out


def test_ingest_again_adds_tags_and_says_which_families_stay(cli, database, tmp_path):
    path = tmp_path / "prompts.jsonl"
    texts = ("the capital of texas is", "the capital of maine is")
    lines = [{"prompt": texts[0], "family": "capitals", "tags": ["texas"]}, {"prompt": texts[1]}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    code, out, _, _ = cli("ingest", str(path))
    assert (code, "new tags" in out, "stay" in out) == (0, False, False)
    lines = [
        {"prompt": texts[0], "family": "facts", "tags": ["texas", "south"]},
        {"prompt": texts[1], "family": "facts"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    code, out, _, _ = cli("ingest", str(path))
    assert code == 0
    assert out.strip().endswith(
        "2 were there already. New tags for the prompts of 1 of them. "
        "Prompts keep their families: line 1 in 'capitals', not 'facts', line 2 in none, not 'facts'."
    )
    assert database.read(
        "MATCH (p:Prompt) RETURN p.text AS text, [(p)-[:IN_FAMILY]->(y) | y.name] AS families, "
        "COLLECT { MATCH (p)-[:TAGGED]->(g) RETURN g.name ORDER BY g.name } AS tags ORDER BY text DESC"
    ) == [
        {"text": texts[0], "families": ["capitals"], "tags": ["south", "texas"]},
        {"text": texts[1], "families": [], "tags": []},
    ]
    assert list(check(database)) == []


def test_ingest_of_no_file(cli, database):
    code, _, err, _ = cli("ingest", "nowhere.jsonl")
    assert code == 1
    assert "nowhere.jsonl" in err


def test_attribute_writes_the_graph_json(cli_without_database, tmp_path):
    code, out, err, _ = cli_without_database(
        "attribute", "--prompt", "the capital of texas is", "--out", "graph.json"
    )
    assert (code, out) == (0, "")
    assert "graph.json:" in err
    assert "; answer 'austin' (p = " in err
    graph = json.loads((tmp_path / "graph.json").read_text())
    code, out, _, _ = cli_without_database("attribute", "--prompt", "the capital of texas is", "--out", "-")
    assert code == 0
    assert json.loads(out)["nodes"] == graph["nodes"]
    words = ("--prompt", "the capital of texas is", "--target", '{"tokens": ["the", "is"]}')
    code, _, err, _ = cli_without_database("attribute", *words, "--out", "other.json")
    assert code == 0
    assert "; answer not among the targets; replacement score" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--prompt", "", "--out", "-"), "empty"),
        (("--prompt", "zzz", "--out", "-"), "'zzz'"),
        (("--prompt", "the " * 100, "--out", "-"), "tokens"),
        (("--prompt", "the capital", "--out", "no/such/folder/g.json"), "cannot be written"),
        (("--prompt", "the capital", "--out", "-", "--memory", "lots"), "'lots' is not a size"),
        (("--prompt", "the capital", "--out", "-", "--memory", "1KB"), "give at least"),
        (("--prompt", "the capital", "--out", "-", "--model", "nowhere"), "nowhere"),
        (("--prompt", "the capital", "--out", "-", "--transcoders", "nowhere"), "nowhere"),
    ],
)
def test_attribute_says_what_is_wrong(cli_without_database, words, said):
    code, out, err, _ = cli_without_database("attribute", *words)
    assert (code, out) == (1, "")
    assert err.startswith("error:")
    assert said in err
    assert "Traceback" not in err


def test_query_says_where_nothing_answers(cli_without_database, tmp_path):
    (tmp_path / "q.graphql").write_text("{ families { name } }")
    code, _, err, _ = cli_without_database("query", "q.graphql", "--api", "http://127.0.0.1:1/graphql")
    assert code == 1
    assert "No atlas answers at http://127.0.0.1:1/graphql" in err
    assert "atlas serve" in err
    code, _, err, _ = cli_without_database("query", "no.graphql")
    assert code == 1
    assert "no.graphql" in err
    code, _, err, _ = cli_without_database("query", "q.graphql", "--var", "first")
    assert code == 1
    assert "NAME=VALUE" in err


def test_a_taken_port_is_named_with_another(cli, database):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err, _ = cli("serve", "--port", str(port))
    assert code == 1
    assert f"127.0.0.1:{port}" in err
    assert f"--port {port + 1}" in err
