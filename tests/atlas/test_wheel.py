"""The wheel without extras installs in a fresh environment, and imports, serves and asks from anywhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.loading.load import present
from schema.shards.folder import packed
from schema.shards.store import Store
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.graph_files import circuit_tracer, encode
from tests.support.paths import HOME
from tests.support.servers import environment_of, free_port

LARGEST = 1_000_000_000
"""Bytes that an installation without extras may take on the disk."""


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `atlas` of an environment in which only the wheel was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    run(HOME, sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    (wheel,) = folder.glob("*.whl")
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv is not None
    run(folder, uv, "venv", "--python", sys.executable, str(folder / "env"))
    # The locked versions are in uv's cache, because this environment has them.
    (folder / "versions.txt").write_text(
        re.sub(r" \\\n( +--hash=\S+( \\)?\n)+", "\n", (HOME / "requirements.txt").read_text(encoding="utf-8"))
    )
    words = ["pip", "install", "--python", str(folder / "env"), "--constraint", "versions.txt", str(wheel)]
    run(folder, uv, *words)
    return folder / "env" / "bin" / "atlas"


def run(folder: Path, *words: str, environment: Mapping[str, str] | None = None) -> str:
    """What a command says. It must succeed."""
    done = called(folder, *words, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def called(
    folder: Path, *words: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_"))}
    return subprocess.run(
        words, cwd=folder, env={**clean, **(environment or {})}, capture_output=True, text=True
    )


def test_it_takes_less_than_a_gigabyte_and_brings_no_torch(atlas: Path):
    packages = next((atlas.parents[1] / "lib").glob("python*/site-packages"))
    assert not (packages / "torch").exists()
    assert not (packages / "transformers").exists()
    assert sum(file.lstat().st_size for file in packages.rglob("*")) < LARGEST


def test_it_says_its_version_and_completes_words(atlas: Path, tmp_path: Path):
    assert re.fullmatch(r"circuit-atlas \d+\.\d+\.\d+\n", run(tmp_path, str(atlas), "--version"))
    words = {"_ATLAS_COMPLETE": "complete_bash", "COMP_WORDS": "atlas bulk", "COMP_CWORD": "1"}
    assert run(tmp_path, str(atlas), environment=words).split() == ["bulk-import"]


@pytest.mark.parametrize(
    "words",
    [["ingest", "p.jsonl"], ["demo", "--once"], ["examples"], ["import", "graph.pt"]],
    ids=lambda words: words[0],
)
def test_what_runs_a_model_names_the_extra(atlas: Path, server: Address, tmp_path: Path, words: list[str]):
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "graph.pt").write_bytes(b"PK")
    done = called(tmp_path, str(atlas), *words, environment=environment_of(server))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "circuit-atlas[ingest]" in re.sub(r"\s+", "", done.stdout + done.stderr)
    assert "Traceback" not in done.stderr


def test_a_cluster_names_its_extra(atlas: Path, tmp_path: Path):
    done = called(tmp_path, str(atlas), "ingest", "--ray", "local", "--to", "shards")
    assert done.returncode == 1, done.stdout + done.stderr
    assert 'pip install "circuit-atlas[ray]"' in done.stderr


def test_its_doctor_finds_nothing_wrong(atlas: Path, server: Address, tmp_path: Path):
    said = run(tmp_path, str(atlas), "doctor", environment=environment_of(server))
    assert "torch is not installed" in said
    assert 'pip install "circuit-atlas[ingest]"' in said
    assert "BAD" not in said


def test_it_imports_in_bulk(atlas: Path, tmp_path: Path):
    (tmp_path / "graph.json").write_bytes(encode(circuit_tracer()))
    ports = ["--bolt-port", str(free_port()), "--http-port", str(free_port())]
    words = ["bulk-import", "graph.json", "--heap", "256", *ports]
    environment = {"ATLAS_HOME": str(tmp_path / "home"), "NEO4J_URI": ""}
    try:
        assert "1 circuit" in run(tmp_path, str(atlas), *words, environment=environment)
    finally:
        run(tmp_path, str(atlas), "db", "stop", environment=environment)


def test_it_loads_shards(atlas: Path, database: Database, server: Address, tmp_path: Path):
    circuits = synthetic_circuits(3)
    store = Store(str(tmp_path / "shards"))
    store.create()
    for name, data in packed(list(enumerate(circuits)), RUN):
        store.put(name, data)
    said = run(tmp_path, str(atlas), "load", "shards", environment=environment_of(server))
    assert said.startswith("3 circuits loaded")
    assert list(present(database, [each.id for each in circuits])) == [each.id for each in circuits]


def test_it_imports_exports_serves_asks_and_draws(
    atlas: Path, database: Database, server: Address, tmp_path: Path
):
    (tmp_path / "graph.json").write_bytes(encode(circuit_tracer()))
    (tmp_path / "question.graphql").write_text("{ circuits { totalCount } }")
    environment = environment_of(server) | {"ATLAS_HOME": str(tmp_path / "home")}
    run(tmp_path, str(atlas), "import", "graph.json", environment=environment)
    port = str(free_port())
    api = {"ATLAS_API": f"http://127.0.0.1:{port}/graphql"}
    words = [str(atlas), "serve", "--port", port]
    with subprocess.Popen(words, cwd=tmp_path, env=os.environ | environment) as serving:
        try:
            asked = called(tmp_path, str(atlas), "query", "question.graphql", "--json", environment=api)
            while asked.returncode != 0 and serving.poll() is None:
                asked = called(tmp_path, str(atlas), "query", "question.graphql", "--json", environment=api)
            assert json.loads(asked.stdout) == {"circuits": {"totalCount": 1}}
            run(tmp_path, str(atlas), "figure", "tokens", "--out", "tokens.svg", environment=api)
            assert (tmp_path / "tokens.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")
            run(tmp_path, str(atlas), "export", "--out", "exported.json", environment=environment)
            assert json.loads((tmp_path / "exported.json").read_text(encoding="utf-8"))["nodes"]
            run(tmp_path, str(atlas), "check", environment=environment)
        finally:
            serving.terminate()
