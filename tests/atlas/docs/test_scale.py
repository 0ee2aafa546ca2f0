"""What docs/scale.md lets people type are commands with these options, in its blocks and in the manifest."""

import re

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from atlas.cli import app
from tests.support.paths import HOME

PAGE = HOME / "docs" / "scale.md"
MANIFEST = HOME / "docs" / "scale" / "rayjob.yaml"


def calls() -> list[str]:
    """Each call of `atlas`, on one line and without what follows the command."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    job = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["spec"]["entrypoint"]
    return [
        line.partition(" #")[0].strip() for line in [*text.splitlines(), job] if line.startswith("atlas ")
    ]


@pytest.mark.parametrize("call", calls())
def test_calls_are_commands_with_these_options(call: str) -> None:
    _, name, *rest = call.split()
    command = typer.main.get_group(app).commands[name]
    if isinstance(command, TyperGroup):
        command = command.commands[rest[0]]
    known = {option for each in command.params for option in each.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_every_option_of_a_cluster_is_explained() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("--ray", "--workers", "--gpus-per-worker", "--cpus-per-worker", "--writers"):
        assert f"`{name}" in text


def test_the_manifest_is_consistent() -> None:
    spec = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["spec"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    words = spec["entrypoint"].split()
    assert int(words[words.index("--workers") + 1]) == group["replicas"] * int(limits["nvidia.com/gpu"])
