"""Rules of the house that the import contracts cannot say."""

import ast
import re
import tokenize
from itertools import pairwise

import pytest
import typer.main
import yaml

from atlas.cli import app
from atlas.settings import Settings
from schema.errors import InputError
from tests.support.paths import HOME

FOLDERS = {
    "schema": (
        *("", "annotations", "circuit", "evidence", "exports", "formats", "loading", "model", "questions"),
        *("shards", "upkeep"),
    ),
    "ingest": (
        *(
            "",
            "annotations",
            "circuits",
            "cluster",
            "evidence",
            "imports",
            "labels",
            "organism",
            "organism/families",
        ),
        *("studies", "studies/tools", "training"),
        *("engine", "engine/adapters", "engine/attribution", "engine/heads"),
        *("engine/intervention", "engine/loading", "engine/replacement"),
        *("engine/transcoders", "engine/transcoders/formats"),
    ),
    "api": ("", "downloads", "explorer", "mutations", "questions", "request", "serving", "types"),
    "atlas": ("", "commands", "demo", "docs", "local", "report", "serving", "studies"),
    "figures": ("",),
}
"""Package → its rooms. A new room is a decision: add it here and to the import contracts."""

GRAPHQL = {
    *("Checkpoint", "Circuit", "Edge", "FeatureExample", "HeadPart", "Label", "Model"),
    *("Prompt", "Run", "Supernode", "TranscoderSet"),
}
"""Records that GraphQL has a type of the same name for: that name is public. Edge is GraphQL's by the
Relay convention."""

LAYOUT = (tokenize.NL, tokenize.COMMENT)

ROOMS = [
    path for room in ("atlas", "ingest", "schema", "api", "figures") for path in (HOME / room).rglob("*.py")
]


def test_only_settings_reads_the_environment():
    readers = [
        path.relative_to(HOME).as_posix()
        for path in ROOMS
        if re.search(r"os\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    ]
    assert readers == ["atlas/settings.py"]


def test_nothing_is_unpickled():
    bad = re.compile(
        r"\bimport pickle\b|\bfrom pickle import (?!UnpicklingError\n)|\bpickle\.|torch\.load\("
        r"|yaml\.(load|unsafe_load)\(|\beval\(|\bexec\("
    )
    hits = {
        path.relative_to(HOME).as_posix(): found.group()
        for path in ROOMS
        # model.eval() is PyTorch's evaluation mode.
        if (found := bad.search(path.read_text(encoding="utf-8").replace(".eval()", "")))
    }
    assert hits == {}


def test_every_folder_is_a_room():
    folders = {
        path.parent.relative_to(HOME).as_posix()
        for package in (*FOLDERS, "tests")
        for path in (HOME / package).rglob("*.py")
    }
    rooms = {f"{package}/{room}".rstrip("/") for package, names in FOLDERS.items() for room in names}
    # Tests mirror the rooms; ingest/engine is tests/engine.
    mirrors = {f"tests/{room}".replace("tests/ingest/engine", "tests/engine") for room in rooms}
    assert folders <= rooms | mirrors | {"tests", "tests/support", "tests/long"}


def test_a_class_name_has_one_meaning():
    places: dict[str, list[str]] = {}
    for path in ROOMS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.relative_to(HOME).as_posix())
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in GRAPHQL} == {}


def test_no_text_of_the_api_is_broken_into_single_words():
    broken = []
    for path in (HOME / "api").rglob("*.py"):
        with path.open("rb") as file:
            kept = (each for each in tokenize.tokenize(file.readline) if each.type not in LAYOUT)
            for one, following in pairwise(kept):
                words = one.string.strip("rbf\"'").split()
                if one.type == following.type == tokenize.STRING and len(words) == 1:
                    broken.append(f"{path.relative_to(HOME)}:{one.start[0]}: {one.string}")
    assert broken == []


def test_no_docstring_has_the_quotes_of_a_broken_line():
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    broken = [
        f"{path.relative_to(HOME)}: {getattr(node, 'name', 'module')}"
        for path in ROOMS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, documented) and re.search(r'"\s*\n\s*"', ast.get_docstring(node) or "")
    ]
    assert broken == []


def test_compose_has_no_password_and_checks_health():
    text = (HOME / "docker-compose.yml").read_text(encoding="utf-8")
    compose = yaml.safe_load(text)
    services = compose["services"]
    assert set(services) == {"neo4j", "api", "ingest", "worker"}
    assert services["neo4j"]["environment"]["NEO4J_AUTH"].startswith("neo4j/${NEO4J_PASSWORD:?")
    assert all("healthcheck" in services[name] for name in ("neo4j", "api"))
    assert all(port.startswith("127.0.0.1:") for name in ("neo4j", "api") for port in services[name]["ports"])
    assert all(
        services[name]["depends_on"]["neo4j"]["condition"] == "service_healthy"
        for name in ("api", "ingest", "worker")
    )
    assert compose["secrets"] == {"token": {"environment": "ATLAS_TOKEN"}}


@pytest.mark.parametrize("service", ["api", "ingest", "worker"])
def test_what_compose_runs_are_commands_with_these_options(service):
    words = yaml.safe_load((HOME / "docker-compose.yml").read_text(encoding="utf-8"))["services"][service]
    name, *rest = words["command"]
    command = typer.main.get_group(app).commands[name]
    known = {option for each in command.params for option in each.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_settings_from_the_environment(tmp_path):
    secret = tmp_path / "password"
    secret.write_text("s3cret\n", encoding="utf-8")
    settings = Settings.load(
        {"ATLAS_HOME": str(tmp_path), "NEO4J_URI": "bolt://x:1", "NEO4J_PASSWORD_FILE": str(secret)}
    )
    assert settings == Settings(tmp_path, "bolt://x:1", "neo4j", "s3cret", "http://127.0.0.1:8000/graphql")


def test_an_address_without_a_password_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no password for it"):
        Settings.load({"NEO4J_URI": "bolt://x:1"})
    with pytest.raises(InputError, match="cannot be read"):
        Settings.load({"NEO4J_PASSWORD_FILE": str(tmp_path / "absent")})
