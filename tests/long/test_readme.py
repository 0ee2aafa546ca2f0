"""The README shows what the demo answers, on all bundled prompts (a few minutes)."""

import re

import pytest
from rich.console import Console

from atlas.client import AtlasClient
from atlas.demo.questions import answers
from atlas.serving.api_server import serving
from atlas.settings import Settings
from atlas.tables import show
from ingest.circuits.run import IngestSettings, ingest
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.database import Database
from tests.support.paths import HOME
from tests.support.servers import free_port


@pytest.fixture
def shown() -> list[str]:
    """The README's part about each of the demo's three questions."""
    text = (HOME / "README.md").read_text(encoding="utf-8")
    part = text.split("## What the demo answers")[1].split("**Then three studies**")[0]
    return re.split(r"^\*\*\d\. ", part, flags=re.MULTILINE)[1:]


def test_the_readme_shows_the_demo_s_answers(server, database: Database, shown: list[str]) -> None:
    quiet = Console(quiet=True)
    ingest(database, IngestSettings(PROMPTS_PATH, MODEL_DIR, TRANSCODERS_DIR), console=quiet)
    environment = {
        "NEO4J_URI": server.bolt_uri,
        "NEO4J_USERNAME": server.user,
        "NEO4J_PASSWORD": server.password,
    }
    with serving(Settings.load(environment), port=free_port()) as address, AtlasClient(address) as client:
        found = list(answers(client))
    for part, (question, rows) in zip(shown, found, strict=True):
        for line in re.findall(r"^\| (.*) \|$", part, re.MULTILINE)[1:]:
            cells = [cell.strip("` ") for cell in line.split("|")]
            if set(line) <= set("|-: "):
                continue
            assert any(all(map(agrees, cells, row)) for row in rows.rows), line
        counts = re.findall(r"\d+ of \d+|\d+ features|There are \d+", part)
        for count in counts:
            number = count.removeprefix("There are ")
            assert number in question or f"{number} features" in question, count


def agrees(shown: str, answered: object) -> bool:
    """Whether a cell of the README is one of the demo, which may say more (the set, the position)."""
    text = show(answered)
    return text == shown or text.endswith(f"/{shown}") or text.startswith(f"{shown} (")
