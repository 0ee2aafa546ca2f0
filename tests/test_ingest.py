"""The ingest service: whole circuits only, resumable, and the same content whatever happened on the way."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import orjson
import pytest
from conftest import empty
from rich.console import Console

from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from ingest.run import IngestSettings, ingest
from schema.content import content
from schema.database import Database
from schema.errors import InputError

N_PROMPTS = 48
N_KILLS = 10


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


def test_ingesting_twice_changes_nothing(database, prompts, quiet):
    first = ingest(database, settings(prompts), console=quiet)
    before = fingerprints(database)
    second = ingest(database, settings(prompts), console=quiet)
    assert (first.problems, second.problems) == ([], [])
    assert (first.loaded, first.present) == (N_PROMPTS, 0)
    assert (second.loaded, second.present) == (0, N_PROMPTS)
    assert fingerprints(database) == before


def test_killed_ten_times_it_ends_with_the_same_content(database, server, prompts):
    command = [sys.executable, "-m", "atlas", "ingest", str(prompts)]
    environment = {
        **os.environ,
        "NEO4J_URI": server.bolt_uri,
        "NEO4J_USERNAME": server.user,
        "NEO4J_PASSWORD": server.password,
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    clean = fingerprints(database)
    empty(database)

    rng = random.Random(1)
    # Ten moments spread over the whole load, each a little after another circuit has arrived.
    for target in sorted(rng.sample(range(N_PROMPTS - 2), N_KILLS)):
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while count(database) < target and process.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() in (0, -signal.SIGKILL)
    killed = count(database)
    assert 0 < killed < N_PROMPTS
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{killed} were there already" in done.stdout
    assert fingerprints(database) == clean


def fingerprints(database: Database) -> dict[str, str]:
    """A hash of everything of each kind: unlike the content itself, quick to compare when it differs."""
    return {
        kind: hashlib.sha256(orjson.dumps(rows, option=orjson.OPT_SORT_KEYS)).hexdigest()
        for kind, rows in content(database).items()
    }
