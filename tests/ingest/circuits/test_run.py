"""The ingest service: whole circuits only, resumable, and the same content whatever happened on the way."""

import hashlib
import json
import multiprocessing
import random
import signal
import time
from io import StringIO
from multiprocessing.process import BaseProcess
from pathlib import Path

import orjson
import pytest
from rich.console import Console

from ingest.circuits.run import IngestSettings, ingest
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.database import Database
from schema.errors import InputError
from schema.loading.runs import refusals, runs
from schema.upkeep.canonical_dump import dump
from tests.support.cli import atlas_into
from tests.support.servers import empty, environment_of

N_PROMPTS = 48
N_KILLS = 2


@pytest.fixture
def quiet() -> Console:
    return Console(file=StringIO())


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Some bundled prompts of every family."""
    lines = PROMPTS_PATH.read_text(encoding="utf-8").splitlines()
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(lines[:: max(1, len(lines) // N_PROMPTS)][:N_PROMPTS]) + "\n", encoding="utf-8")
    return path


def settings(prompts: Path) -> IngestSettings:
    return IngestSettings(prompts=prompts, model=MODEL_DIR, transcoders=TRANSCODERS_DIR)


def count(database: Database) -> int:
    return database.read("MATCH (c:Circuit) RETURN count(c) AS n")[0]["n"]


def test_bad_prompts_are_named_and_the_rest_is_loaded(database, tmp_path, quiet):
    good = json.loads(PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[0])["prompt"]
    path = tmp_path / "mixed.jsonl"
    lines = [
        json.dumps({"prompt": good}),
        "{broken",
        json.dumps({"prompt": "qwertyuiop " + good}),
        json.dumps({"prompt": " ".join([good] * 40)}),
        json.dumps({"prompt": good}),
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    summary = ingest(database, settings(path), console=quiet)
    assert (summary.loaded, summary.present, count(database)) == (1, 0, 1)
    found = [str(problem) for problem in summary.problems]
    assert len(found) == 4
    assert found[0].startswith("mixed.jsonl, line 2: not valid JSON")
    assert "line 3" in found[1]
    assert "'qwertyuiop'" in found[1]
    assert "line 4" in found[2]
    assert "tokens" in found[2]
    assert "line 5: the same prompt as on line 1" in found[3]
    assert all(isinstance(problem, InputError) and problem.next_step for problem in summary.problems)
    (run,) = runs(database)
    assert (run.n_circuits, run.n_refused) == (1, 4)
    assert None not in (run.started_at, run.ended_at)
    assert sorted(reason for _, reason in refusals(database, run.id)) == sorted(found)
    path.write_text("\n".join(lines[:2]), encoding="utf-8")
    ingest(database, settings(path), console=quiet)
    assert [reason for _, reason in refusals(database, run.id)] == found[:1]


def test_a_circuit_that_the_database_refuses_is_named_and_the_rest_is_loaded(database, tmp_path, quiet):
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        "\n".join(PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[:3]) + "\n", encoding="utf-8"
    )
    assert ingest(database, settings(path), console=quiet).loaded == 3
    (row,) = database.read(
        "MATCH (p:Prompt)<-[:OF_PROMPT]-(:Circuit)-[:HAS]->(n:LogitNode) WHERE p.text = $text "
        "RETURN n.id AS id ORDER BY id LIMIT 1",
        {"text": json.loads(path.read_text(encoding="utf-8").splitlines()[1])["prompt"]},
    )
    empty(database)
    database.write("CREATE (:Node {id: $id})", row)
    summary = ingest(database, settings(path), console=quiet)
    assert summary.loaded == 2
    (problem,) = summary.problems
    assert str(problem).startswith("line 2: Neo4j refused: ")
    (run,) = runs(database)
    assert refusals(database, run.id) == [("line 2", str(problem))]
    database.write("MATCH (n:Node {id: $id}) WHERE NOT (n)--() DELETE n", row)
    again = ingest(database, settings(path), console=quiet)
    assert (again.loaded, again.present, again.problems) == (1, 2, [])
    assert refusals(database, run.id) == []


def test_ingesting_twice_changes_nothing(database, prompts, quiet):
    first = ingest(database, settings(prompts), console=quiet)
    before = fingerprints(database)
    second = ingest(database, settings(prompts), console=quiet)
    assert (first.problems, second.problems) == ([], [])
    assert (first.loaded, first.present) == (N_PROMPTS, 0)
    assert (second.loaded, second.present) == (0, N_PROMPTS)
    assert fingerprints(database) == before


def test_killed_twice_it_ends_with_the_same_content(database, server, prompts, tmp_path):
    environment = environment_of(server)
    # Four processes of their own, forked from one that has done the slow imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["atlas.cli", "ingest.circuits.run"])
    said = tmp_path / "said.txt"

    def start() -> BaseProcess:
        process = context.Process(target=atlas_into, args=(said, ["ingest", str(prompts)], environment))
        process.start()
        return process

    def finish() -> str:
        process = start()
        process.join()
        assert process.exitcode == 0, said.read_text()
        return said.read_text()

    finish()
    clean = fingerprints(database)
    empty(database)

    rng = random.Random(1)
    # Moments spread over the first half of the load, each a little after another group has arrived. The
    # second half may arrive at once.
    for target in sorted(rng.sample(range(N_PROMPTS // 2), N_KILLS)):
        process = start()
        while count(database) < target and process.is_alive():
            time.sleep(0.02)
        time.sleep(rng.random() * 0.1)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
    killed = count(database)
    assert 0 < killed < N_PROMPTS
    assert f"{killed} were there already" in finish()
    assert fingerprints(database) == clean


def fingerprints(database: Database) -> dict[str, str]:
    """A hash of everything of each kind: unlike the content itself, quick to compare when it differs."""
    return {
        kind: hashlib.sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)).hexdigest()
        for kind, rows in dump(database).items()
    }
