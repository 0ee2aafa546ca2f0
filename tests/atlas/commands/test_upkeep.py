"""`atlas runs`, `delete`, `check` and `stats` as a person and a script see them, and the screen as a file."""

import errno
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.errors import AtlasError, InputError
from schema.exports.files import _save
from schema.exports.graph_json import cantor
from schema.loading.load import load_circuit
from schema.upkeep.check import check
from tests.support.circuits import RUN
from tests.support.cli import Cli
from tests.support.graph_files import circuit_tracer, encode, feature, neuronpedia
from tests.support.little_graph import circuit_of
from tests.support.loading import count


@pytest.fixture
def imported(cli: Cli, database: Database, tmp_path: Path) -> dict[str, object]:
    """Two graphs and one file that is none; what the import said."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.json").write_bytes(encode(circuit_tracer()))
    (folder / "b.json").write_bytes(encode(neuronpedia()))
    (folder / "c.json").write_text("{}")
    result = cli("import", "in", "--family", "greetings", "--json")
    assert result.exit_code == 1
    return dict(json.loads(result.stdout))


def test_an_import_tells_scripts_what_became_of_each_file(imported: dict[str, object]) -> None:
    assert imported == {
        "loaded": 2,
        "present": 0,
        "added": {"supernodes": 0, "labels": 0, "traces": 0, "tagged": 0},
        "features": 0,
        "features_of_no_circuit": 0,
        "megabytes": imported["megabytes"],
        "seconds": imported["seconds"],
        "refused": [
            {
                "file": "in/c.json",
                "key": "the file",
                "reason": "Object missing required field `metadata`",
                "next_step": "correct the value, or leave the file out",
            }
        ],
        "notes": [
            {
                "file": "in/b.json",
                "notes": ["1 member of supernode 'words' left out: not in the graph"],
            }
        ],
    }


def test_a_run_says_what_it_was_asked_and_what_it_refused(cli: Cli, imported: dict[str, object]) -> None:
    (run,) = json.loads(cli("runs", "--json").stdout)
    counts = {key: value for key, value in run.items() if key.startswith("n_")}
    assert counts == {"n_circuits": 2, "n_loaded": 2, "n_present": 0, "n_refused": 1}
    one = json.loads(cli("runs", run["id"][:8], "--json").stdout)
    reason = "in/c.json: the file: Object missing required field `metadata`\n"
    reason += "  → correct the value, or leave the file out"
    assert one == run | {"refused": [{"input": "in/c.json", "reason": reason}]}
    assert one["settings"] == {
        "import": ["in"],
        "family": "greetings",
        "tags": [],
        "model": None,
        "transcoders": None,
        "node_threshold": 0.8,
        "edge_threshold": 0.98,
    }
    listed = cli("runs").stdout
    assert run["id"] in listed  # whole, for `atlas delete --run`
    assert max(map(len, listed.splitlines())) <= 80
    shown = cli("runs", run["id"][:8]).stdout
    assert max(map(len, shown.splitlines())) <= 80
    for name, value in (("family", "greetings"), ("import", "in"), ("node threshold", "0.8")):
        assert re.search(rf"asked: {name} +│ {value} ", shown)
    for text in ("in/c.json", "`metadata`"):
        assert text in shown
    assert "model" not in shown  # what was not said is left out


def test_a_run_that_is_none_or_several(cli: Cli, imported: dict[str, object]) -> None:
    cli("import", "in/a.json")
    for name, said in (("no", "There is no run no"), ("", "There is no run ")):
        assert str(cli("runs", name).error) == f"{said}\n  → `atlas runs` lists them"
    ids = [run["id"] for run in json.loads(cli("runs", "--json").stdout)]
    assert len(ids) == 2
    same = [length for length in range(20) if ids[0][:length] == ids[1][:length]]
    if same[-1] > 0:
        assert isinstance(cli("runs", ids[0][: same[-1]]).error, AtlasError)


def test_deleting_says_how_many(cli: Cli, database: Database, imported: dict[str, object]) -> None:
    (run,) = json.loads(cli("runs", "--json").stdout)
    dry = cli("delete", "--run", run["id"], "--dry-run")
    assert (dry.stdout, count(database)) == ("2 circuits would be deleted.\n", 2)
    result = cli("delete", "--run", run["id"])
    assert result.stderr.startswith("2 circuits to delete\n")
    assert result.stdout == "2 circuits deleted, with 1 prompt and 4 features of no other circuit.\n"
    assert database.read("MATCH (c:Circuit) RETURN c.id") == []
    assert str(cli("delete", "--circuit", "abcde").error) == (
        "There is no circuit abcde\n  → `circuits` in GraphQL (`atlas query`) lists them"
    )


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (("--family", "greetings"), []),
        (("--tag", "b"), []),
        (("--source", "neuronpedia"), ["circuit-tracer"]),
        (("--source", "slug=hi"), []),
        (("--source", "set=gemmascope-transcoder-16k"), ["circuit-tracer"]),
    ],
)
def test_deleting_by_tag_family_and_source(
    cli: Cli, database: Database, imported: dict[str, object], words: tuple[str, str], left: list[str]
) -> None:
    database.write("MATCH (p:Prompt) CREATE (p)-[:TAGGED]->(:Tag {name: 'b'})")
    assert cli("delete", *words).exit_code == 0
    rows = database.read("MATCH (c:Circuit) RETURN c.tool AS tool")
    assert [row["tool"] for row in rows] == left
    assert list(check(database)) == []


def test_exactly_one_option_chooses(cli: Cli, imported: dict[str, object]) -> None:
    for command, words in itertools.product(("delete", "family"), ((), ("--tag", "a", "--family", "b"))):
        assert str(cli(command, *words).error) == (
            f"`atlas {command}` needs exactly one of --run, --circuit, --model, --tag, --family and "
            "--source\n  → give one of them"
        )


def test_prompts_are_put_into_a_family(cli: Cli, database: Database, imported: dict[str, object]) -> None:
    def families() -> list[dict[str, object]]:
        return list(json.loads(cli("stats", "--json").stdout)["families"])

    # Both graphs are of one prompt.
    words = ("family", "salutations", "--source", "neuronpedia")
    assert cli(*words, "--dry-run").stdout == "1 prompt would be in the family 'salutations'.\n"
    assert families() == [{"family": "greetings", "prompts": 1, "circuits": 2}]
    for n_prompts, n_circuits, n_there in (
        ("1 prompt", "2 circuits", "0 prompts were"),
        ("0 prompts", "0 circuits", "1 prompt was"),
    ):
        assert cli(*words).stdout == (
            f"{n_prompts} with {n_circuits} moved, {n_there} there already: now all are in the family "
            "'salutations'.\n"
        )
    assert families() == [{"family": "salutations", "prompts": 1, "circuits": 2}]
    assert list(check(database)) == []
    again = cli("family", "x", "--family", "greetings")
    assert str(again.error) == "There is no family 'greetings'\n  → `atlas stats` lists them"
    assert cli("family", "--none", "--family", "salutations").stdout == (
        "1 prompt with 2 circuits moved, 0 prompts were there already: now all are in no family.\n"
    )
    assert families() == []
    assert list(check(database)) == []
    for wrong in (("--tag", "a"), ("x", "--none", "--tag", "a")):
        assert str(cli("family", *wrong).error).startswith("`atlas family` needs either NAME or --none\n")


def test_deleting_by_the_beginning_of_an_id(
    cli: Cli, database: Database, imported: dict[str, object]
) -> None:
    (run,) = json.loads(cli("runs", "--json").stdout)
    first, second = (row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id"))
    database.write(
        "MATCH (c:Circuit {id: $id}) CREATE (:Circuit {id: $twin})", {"id": first, "twin": first + "0"}
    )
    refused = cli("delete", "--circuit", first[:8])
    assert str(refused.error).startswith(f"2 circuits begin with {first[:8]}:\n  {first}  ")
    database.write("MATCH (c:Circuit {id: $twin}) DELETE c", {"twin": first + "0"})
    said = "1 circuit deleted, with {} and 2 features of no other circuit.\n"
    assert cli("delete", "--circuit", first[:8]).stdout == said.format("0 prompts")
    assert database.read("MATCH (c:Circuit) RETURN c.id AS id") == [{"id": second}]
    assert str(cli("delete", "--run", "nothing").error).startswith("There is no run nothing\n")
    assert cli("delete", "--run", run["id"][:8]).stdout == said.format("1 prompt")
    assert json.loads(cli("runs", "--json").stdout) == []


def test_a_check_tells_scripts_each_finding(
    cli: Cli, database: Database, imported: dict[str, object]
) -> None:
    assert cli("check").stdout == "The database is consistent.\n"
    assert cli("check", "--json").stdout == ""
    rows = database.write(
        "MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 SET f.n_circuits = 7 RETURN f.id AS id"
    )
    finding = {
        "kind": "Feature.n_circuits, n_measured, influence",
        "where": rows[0]["id"],
        "what": "n_circuits is 7, the nodes and edges give 1",
        "fix": "atlas check --repair",
        "mended": False,
    }
    result = cli("check", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, finding)
    result = cli("check", "--json", "--repair")
    assert (result.exit_code, json.loads(result.stdout)) == (0, finding | {"mended": True})
    assert cli("check", "--json").exit_code == 0


def test_statistics_fit_into_80_columns_with_their_headings_whole(
    cli: Cli, imported: dict[str, object]
) -> None:
    shown = cli("stats").stdout
    assert max(map(len, shown.splitlines())) <= 80
    for heading in ("node", "share", "features", "circuits", "relationships"[:13]):
        assert heading in shown.lower()


def test_statistics_count_the_circuits_whose_influence_is_derived(
    cli: Cli, database: Database, imported: dict[str, object]
) -> None:
    graph = neuronpedia()
    for node in graph["nodes"]:
        node["influence"] = None
    load_circuit(database, circuit_of(graph), RUN)
    sets = json.loads(cli("stats", "--json").stdout)["sets"]
    assert [(each["set"], each["circuits"], each["derived"]) for each in sets] == [
        ("gemma-2-2b/gemmascope-transcoder-16k", 2, 1),
        ("org/clt@0123456789ab", 1, 1),
    ]


def test_features_of_no_circuit_are_said(cli: Cli, database: Database, tmp_path: Path) -> None:
    (tmp_path / f"{cantor(0, 99)}.json").write_bytes(encode(feature(99)))
    said = cli("import", f"{cantor(0, 99)}.json").stdout
    assert said.startswith(
        "0 circuits imported, 0 were there already; 1 feature file left out: no circuit here has their "
        "features; import graphs first ("
    )


ROWS = "MATCH (c:Circuit)-[:OF_PROMPT]->(p:Prompt) WHERE p.text = $text RETURN c.slug AS slug, 1 AS one"


def test_the_screen_takes_one_graph_or_the_rows_of_a_query(
    cli: Cli, imported: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "q.cypher").write_text(f":param text => 'Hi'\n{ROWS}")
    rows = ("export", "--query", "q.cypher", "--out", "-")
    assert cli(*rows, "--format", "csv").stdout == "slug,one\r\nhi,1\r\nhi,1\r\n"
    assert cli(*rows, "--format", "csv", "--param", "text=none").stdout == "slug,one\r\n"
    refused = {
        (*rows, "--format", "parquet"): "Parquet cannot be written to the standard output\n"
        "  → name a file with --out, or use --format csv",
        ("export", "--out", "-"): "These are 2 circuits, but the standard output takes one file\n"
        "  → name a folder with --out",
        (
            "export",
            "--out",
            "-",
            "--format",
            "csv",
        ): "Tables are several files, but the standard output takes one file\n  → name a folder with --out",
    }
    for words, said in refused.items():
        assert str(cli(*words).error) == said
    assert not (tmp_path / "-").exists()


def test_a_place_that_cannot_be_written_and_a_query_that_is_none_are_named(
    cli: Cli, imported: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "q.cypher").write_text("RETURN $x AS x")
    for words, reason in {
        ("export",): "Not a directory",
        ("export", "--query", "q.cypher", "--param", "x=1"): "File exists",
    }.items():
        error = cli(*words, "--format", "parquet", "--out", "file/out").error
        assert str(error) == f"file/out cannot be written: {reason}\n  → name another file or folder"
    assert str(cli("export", "--query", "q.cypher", "--out", "x").error) == (
        "q.cypher: Neo4j refused: Expected parameter(s): x (Neo.ClientError.Statement.ParameterMissing)\n"
        "  → correct the query; `atlas db status` prints the address of a console to try it in"
    )


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_is_of_the_local_database_only(cli: Cli, server: Address, command: str) -> None:
    assert str(cli(command, "x.dump").error) == (
        f"`atlas {command}` is for the local database, but NEO4J_URI names {server.bolt_uri}\n"
        "  → unset NEO4J_URI, or use `neo4j-admin database` where that Neo4j runs"
    )


def test_an_export_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"new"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "graph.json"
    path.write_text("old")
    with pytest.raises(InputError, match=r"graph.json cannot be written: No space left on device"):
        _save(pieces(), path)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("graph.json", "old")]
