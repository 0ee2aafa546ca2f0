"""Every example script runs against a real API and leaves a picture."""

import os
import re
import runpy
import subprocess
import sys

import pytest

from tests.support.paths import HOME
from tests.support.servers import free_port

OPTIONS = {
    "shared_features": ["--family", "capitals", "--min-circuits", "3", "--table", "shared.csv"],
    "minimal_pair": ["--first", "10"],
    "hub_features": ["--named", "2"],
    "contrast": ["--positive", "two-hop", "--negative", "easy", "--first", "6"],
    "emergence": [],
    "network": ["--edges", "30"],
}


def test_every_example_is_tried_and_listed():
    scripts = {file.stem for file in (HOME / "examples").glob("*.py")} - {"drawing"}
    page = (HOME / "docs" / "examples.md").read_text(encoding="utf-8")
    assert scripts == set(OPTIONS) == set(re.findall(r"`examples/(\w+)\.py`", page))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_example_leaves_a_picture(name, address, tmp_path, monkeypatch):
    # In this process, because each new one would load matplotlib again.
    script = str(HOME / "examples" / f"{name}.py")
    monkeypatch.syspath_prepend(str(HOME / "examples"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script, "--out", "picture.png", "--api", address, *OPTIONS[name]])
    runpy.run_path(script, run_name="__main__")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "picture.png").stat().st_size > 5000
    assert (tmp_path / "shared.csv").exists() == (name == "shared_features")


def test_without_an_api_an_example_says_what_to_do(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            str(HOME / "examples" / "network.py"),
            "--api",
            f"http://127.0.0.1:{free_port()}/graphql",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HOME)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "start it with `atlas serve`" in done.stderr
