"""`atlas ingest --to` and `atlas load` together store what `atlas ingest` stores."""

import json
import re
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ingest.circuits.prompts import PromptLine
from ingest.circuits.run import Attributor, IngestSettings, ingest
from ingest.circuits.shards import ingest_to, storable
from ingest.imports.shards import load_shards
from ingest.labels.namer import Namer
from schema.database import Database
from schema.errors import FileError, InputError
from schema.shards.folder import find_shards
from schema.shards.store import Store
from schema.upkeep.canonical_dump import Dump, dump
from schema.upkeep.check import check
from tests.support.cli import Cli
from tests.support.prompts import BAD
from tests.support.servers import empty
from tests.support.tiny_shards import N_GOOD, write_other_tags

QUIET = Console(file=StringIO())


def words(tiny_ingest: IngestSettings) -> list[str | Path]:
    return [
        tiny_ingest.prompts,
        *("--model", tiny_ingest.model, "--transcoders", tiny_ingest.transcoders),
    ]


def test_loaded_shards_are_a_direct_ingest(
    database: Database, tiny_content: Dump, cli: Cli, tiny_ingest: IngestSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "shards"
    done = cli("ingest", *words(tiny_ingest), "--to", folder, NEO4J_URI="bolt://127.0.0.1:1")
    assert done.exit_code == 1
    assert f"{N_GOOD} circuits written to {folder}" in done.stdout.replace("\n", " ")
    assert len(find_shards([str(folder)])) == 2
    assert not any(dump(database).values())

    loaded = cli("load", folder)
    assert (loaded.exit_code, loaded.error) == (0, None)
    assert loaded.stdout.startswith(f"{N_GOOD} circuits loaded, 0 were there already")
    assert dump(database) == tiny_content
    assert list(check(database)) == []

    again = cli("load", folder)
    assert again.stdout.startswith(f"0 circuits loaded, {N_GOOD} were there already")
    assert dump(database) == tiny_content


def test_shards_get_the_tags_that_a_direct_ingest_of_known_prompts_adds(
    database: Database, cli: Cli, tiny_ingest: IngestSettings, tiny_shards: Path, tmp_path: Path
) -> None:
    other = write_other_tags(tiny_ingest, tmp_path)
    load_shards(database, [str(tiny_shards)], console=QUIET)
    direct = ingest(database, other, console=QUIET)
    assert direct.loaded == 0
    assert direct.known.n_tagged
    assert direct.known.other_family
    content = dump(database)

    folder = tmp_path / "shards"
    shutil.copytree(tiny_shards, folder)
    done = cli("ingest", *words(other), "--to", folder)
    assert (done.exit_code, done.error) == (0, None)
    said = done.stdout.replace("\n", " ")
    assert f"0 circuits written to {folder}" in said
    assert said.strip().endswith(f"{direct.present} were there already.{direct.known.sentence()}")
    assert len(list(folder.glob("*.parquet"))) == len(list(tiny_shards.glob("*.parquet")))
    empty(database)
    assert load_shards(database, [str(folder)], console=QUIET).loaded == N_GOOD
    assert dump(database) == content
    assert list(check(database)) == []

    # A command that was stopped before it deleted the old shards left both.
    for each in tiny_shards.glob("*.parquet"):
        shutil.copy(each, folder)
    names = sorted(each.name for each in folder.iterdir())
    again = ingest_to(Store(str(folder)), other, console=QUIET)
    assert (again.loaded, again.known.n_tagged) == (0, 0)
    assert sorted(each.name for each in folder.iterdir()) == names
    empty(database)
    assert load_shards(database, [str(folder)], console=QUIET).loaded == N_GOOD
    assert dump(database) == content


def test_failures_are_kept_by_name(tiny_shards: Path) -> None:
    (file,) = tiny_shards.glob("failures-*.jsonl")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(int(re.findall(r"line (\d+)", row["what"])[0]) for row in rows) == sorted(BAD)
    assert all(row["next_step"] for row in rows)


@pytest.mark.parametrize("line", ["not JSON", '{"what": 5}', "[" * 100_000])
def test_damaged_failures_are_named_and_the_shards_are_loaded(
    database: Database, tiny_shards: Path, tmp_path: Path, line: str
) -> None:
    folder = shutil.copytree(tiny_shards, tmp_path / "shards")
    (file,) = folder.glob("failures-*.jsonl")
    file.write_text(file.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    summary = load_shards(database, [str(folder)], console=QUIET)
    (problem,) = summary.problems
    assert str(problem).startswith(f"{file}: line {len(BAD) + 1}: ")
    assert summary.loaded == N_GOOD


def test_a_stopped_run_goes_on_and_gives_the_same_shards(
    tiny_ingest: IngestSettings, tiny_shards: Path, tmp_path: Path
) -> None:
    names = sorted(each.name for each in tiny_shards.glob("*.parquet"))
    for lost in names:  # as when it was stopped before this shard was written
        folder = tmp_path / lost
        folder.mkdir()
        for name in names:
            if name != lost:
                (folder / name).write_bytes((tiny_shards / name).read_bytes())
        (folder / f"{lost}.part").write_bytes(b"what a killed process leaves")
        summary = ingest_to(Store(str(folder)), tiny_ingest, console=QUIET)
        assert (summary.loaded > 0, summary.loaded + summary.present) == (True, N_GOOD)
        assert sorted(each.name for each in folder.glob("*.parquet")) == names
    summary = ingest_to(Store(str(folder)), tiny_ingest, console=QUIET)
    assert (summary.loaded, summary.present) == (0, N_GOOD)


def test_a_circuit_that_the_database_would_refuse_is_a_problem_of_its_line(
    tiny_ingest: IngestSettings,
) -> None:
    attributor = Attributor(tiny_ingest.load_model(), tiny_ingest)
    planned = attributor.plan([PromptLine(7, "w1 w2 w3")], [])
    (each,) = attributor.attributed(planned, {planned[0].key}, Namer(attributor.model, []))
    assert each.circuit is not None
    assert storable(each) == each
    edge = each.circuit.edges[0]._replace(source=10_000)
    refused = storable(each._replace(circuit=replace(each.circuit, edges=(edge,))))
    assert refused.circuit is None
    assert str(refused.problem).startswith("line 7: Circuit ")
    assert "an edge goes from node 10000" in str(refused.problem)


def test_a_store_in_memory_holds_the_same_shards(tiny_ingest: IngestSettings, tiny_shards: Path) -> None:
    store = Store("memory://ingest/shards")
    ingest_to(store, tiny_ingest, console=QUIET)
    assert store.names() == sorted(each.name for each in tiny_shards.iterdir())
    assert all(store.read(name) == (tiny_shards / name).read_bytes() for name in store.names())


def test_bad_shards_are_refused_and_the_others_loaded(
    database: Database, tiny_content: Dump, cli: Cli, tiny_shards: Path, tmp_path: Path
) -> None:
    first, second = sorted(tiny_shards.glob("*.parquet"))
    (tmp_path / second.name).write_bytes(second.read_bytes())
    (tmp_path / first.name).write_bytes(first.read_bytes()[:-1])
    (tmp_path / "table.parquet").write_bytes(first.read_bytes())
    done = cli("load", tmp_path)
    assert done.exit_code == 1
    assert f"{tmp_path}/{first.name}: the bytes: were changed or cut off" in done.stderr
    assert f"{tmp_path}/table.parquet: the name: is not that of a shard" in done.stderr
    assert done.stderr.count("→ ") == 2
    assert "2 shards refused" in done.stdout
    n = len(find_shards([str(second)])[0].read().ids)
    assert database.read("MATCH (c:Circuit) RETURN count(c) AS n") == [{"n": n}]
    assert list(check(database)) == []
    # The missing shard completes the database; only the order of the sums is another one.
    assert cli("load", first).exit_code == 0
    held = dump(database)
    assert [row[1]["id"] for row in held["Circuit"]] == [row[1]["id"] for row in tiny_content["Circuit"]]
    assert held["ATTRIBUTES"] == tiny_content["ATTRIBUTES"]


def test_known_circuits_get_the_tags_that_they_lack(
    database: Database, tiny_ingest: IngestSettings, tiny_shards: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.jsonl"
    lines = tiny_ingest.prompts.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for number, line in enumerate(lines, 1) if number not in BAD]
    plain.write_text("".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows))
    ingest(database, IngestSettings(plain, tiny_ingest.model, tiny_ingest.transcoders), console=QUIET)
    summary = load_shards(database, [str(tiny_shards)], console=QUIET)
    assert (summary.loaded, summary.present) == (0, len(rows))
    assert summary.tagged == sum(bool(row["tags"]) for row in rows)
    assert summary.other_family == sum(row["family"] is not None for row in rows)
    tags = database.read(
        "MATCH (p:Prompt) RETURN p.text AS text, [(p)-[:TAGGED]->(t) | t.name] AS tags ORDER BY text"
    )
    assert tags == [
        {"text": row["prompt"], "tags": row["tags"]} for row in sorted(rows, key=lambda row: row["prompt"])
    ]


def test_what_cannot_work_is_said_before_the_model_is_loaded(
    cli: Cli, tiny_ingest: IngestSettings, tiny_shards: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    name = next(tiny_shards.glob("*.parquet")).name
    (tmp_path / name).write_bytes((tiny_shards / name).read_bytes()[:1000])
    for words_, kind, said in (
        (("ingest", *words(tiny_ingest), "--to", tmp_path / "file" / "x"), InputError, "file/x"),
        (("ingest", *words(tiny_ingest), "--to", "what://x"), InputError, "Protocol not known"),
        (("ingest", *words(tiny_ingest), "--to", tmp_path), FileError, f"{name}: the shard: cannot be read"),
        (("load", tmp_path / "absent"), InputError, "absent does not exist"),
        (("load", tmp_path / "file"), InputError, "file"),
    ):
        done = cli(*words_)
        assert isinstance(done.error, kind), done.text
        assert said in str(done.error)
        assert done.error.next_step
        assert done.stdout == ""
    assert cli("ingest", "--to", tmp_path, "--watch").exit_code == 2


def test_a_bulk_import_names_the_command_that_loads_the_same_into_the_database_of_neo4j_uri(
    cli: Cli, tiny_shards: Path, tmp_path: Path
) -> None:
    load, import_ = "`atlas load` for shards", "`atlas import` for graph files"
    for paths, ways in (
        ([tiny_shards], load),
        ([tmp_path], import_),
        ([tmp_path, tiny_shards], f"{load} and {import_}"),
    ):
        done = cli("bulk-import", *paths, NEO4J_URI="bolt://127.0.0.1:1")
        assert isinstance(done.error, InputError), done.text
        assert done.error.next_step == f"unset NEO4J_URI, or use {ways}"
