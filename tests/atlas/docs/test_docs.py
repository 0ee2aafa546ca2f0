"""Docs are true: generated pages equal their source, commands have help, the console's queries run."""

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from api.app import sdl
from api.request.limits import Limits
from atlas.cli import app
from atlas.docs.reference_tables import tables, written
from schema.loading.load import load_circuit
from schema.model.page import markdown
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.paths import HOME


def commands() -> list[list[str]]:
    found: list[list[str]] = [[]]
    for command in app.registered_commands:
        assert command.callback is not None
        found.append([command.name or command.callback.__name__])
    for group in app.registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        found.append([group.name])
        found += [[group.name, str(command.name)] for command in group.typer_instance.registered_commands]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help(command):
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 5


def test_generated_pages_are_up_to_date():
    # `make docs` writes them again.
    assert (HOME / "docs" / "graph-model.md").read_text(encoding="utf-8") == markdown()
    assert (HOME / "api" / "schema.graphql").read_text(encoding="utf-8") == sdl()


def test_the_ten_queries_for_the_console_run(database):
    for circuit in synthetic_circuits(12, seed=0):
        load_circuit(database, circuit, RUN)
    text = (HOME / "docs" / "console.md").read_text(encoding="utf-8")
    queries = re.findall(r"```cypher\n(.*?)```", text, re.DOTALL)
    assert len(queries) == 1 + 10  # the first is that of the picture
    for query in queries:
        database.read(query, timeout_s=20)


def test_sign_consistency_has_the_range_that_the_docs_give(database):
    for circuit in synthetic_circuits(6, seed=0):
        load_circuit(database, circuit, RUN)
    (row,) = database.read(
        "MATCH ()-[d:DRIVES]->() RETURN min(d.sign_consistency) AS least, max(d.sign_consistency) AS most"
    )
    assert 0.5 <= row["least"] < row["most"] == 1
    for page, text in (
        ("graphql/questions.md", "more common sign: 0.5 to 1"),
        ("glossary.md", "sign: 0.5 to 1"),
    ):
        assert text in " ".join((HOME / "docs" / page).read_text(encoding="utf-8").split()), page


def test_the_readme_names_only_commands_that_exist():
    text = (HOME / "README.md").read_text(encoding="utf-8")
    known = {" ".join(command) for command in commands()}
    groups = {group.name for group in app.registered_groups}
    code = "\n".join(map("".join, re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", text, re.DOTALL)))
    for words in re.findall(r"^(?:\.venv/bin/)?atlas ([a-z][a-z-]*(?: [a-z]+)?)", code, re.MULTILINE):
        first, _, rest = words.partition(" ")
        name = f"{first} {rest}" if first in groups else first
        assert name in known, words


def test_generated_tables_are_up_to_date():
    # `make docs` writes them again.
    for table in tables():
        text = table.page.read_text(encoding="utf-8")
        assert text == written(table, text), table.page


@pytest.mark.parametrize("page", ["architecture.md", "how-to-add.md"])
def test_pages_for_contributors_name_only_files_and_tests_that_exist(page):
    text = re.sub(r"```.*?```", "", (HOME / "docs" / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    named = re.findall(
        r"`((?:api|atlas|bench|docs|examples|figures|ingest|schema|tests)(?:/[\w.-]+)*/?)`", text
    )
    assert len(named) > 30
    assert [path for path in named if not (HOME / path).exists() and "NAME" not in path] == []
    tests = "".join(path.read_text(encoding="utf-8") for path in (HOME / "tests").rglob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", text) if f"def {name}(" not in tests] == []


def test_the_architecture_page_names_every_room():
    text = (HOME / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {
        f"{package}/{path.parent.name}"
        for package in ("schema", "ingest", "api", "atlas")
        for path in (HOME / package).glob("*/__init__.py")
    }
    assert [room for room in sorted(rooms) if f"`{room}`" not in text] == []


def test_pages_say_what_the_code_says():
    """Facts that pages repeat in prose."""
    serving = (HOME / "docs" / "graphql" / "serving.md").read_text(encoding="utf-8")
    assert f"| `running` | {Limits().running} |" in serving
    for page in HOME.glob("docs/**/*.md"):
        text = page.read_text(encoding="utf-8")
        assert ":play " not in text, f"{page}: the console's command is :guide"
        assert "the only file that writes" not in text.lower(), page
    sources = [HOME / "schema" / "errors.py", *(HOME / "api").rglob("*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    named = re.findall(r"`([A-Z]+_?[A-Z]+)`", serving.split("## Errors")[1])
    assert len(named) > 15
    assert [each for each in named if f'"{each}"' not in code] == []
    questions = (HOME / "docs" / "graphql" / "questions.md").read_text(encoding="utf-8")
    assert f"(at most {Limits().page_size})" in questions


def test_python_dash_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "atlas", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "attribute" in done.stdout
