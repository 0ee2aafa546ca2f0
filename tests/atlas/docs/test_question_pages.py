"""Pages of questions: each question has one, what it shows is what is asked, and its query runs."""

import re

import pytest
from graphql import build_schema

from api.app import sdl
from atlas.docs.question_pages import FOLDER, kept, with_fields
from schema.circuit.records import NodeKind
from tests.support.circuits import FAMILIES, feature_id

PAGES = with_fields(FOLDER)
NOTHING_HERE = {"nearestFeatures": "BAD_INPUT", "compareCheckpoints": "NOT_FOUND"}
"""What is asked about what these circuits have none of: vectors, checkpoints."""


def test_every_question_has_a_page():
    root = build_schema(sdl()).query_type
    assert root is not None
    assert {each.field for each, _ in PAGES} == set(root.fields)
    contents = (FOLDER / "README.md").read_text("utf-8")
    assert re.findall(r"\]\((\w+)\.md\)", contents) == [each.name for each, _ in PAGES]
    assert {path.stem for path in FOLDER.glob("*.md")} == {each.name for each, _ in PAGES} | {"README"}


@pytest.mark.parametrize(("asked", "field"), PAGES, ids=[each.name for each, _ in PAGES])
def test_a_page_shows_its_query_and_its_cypher(asked, field):
    written = (FOLDER / f"{asked.name}.md").read_text("utf-8")
    assert written == kept(asked, written, field), "write it again: make docs"


@pytest.mark.parametrize("asked", [each for each, _ in PAGES], ids=lambda asked: asked.name)
async def test_a_query_runs(api, circuits, asked):
    """As it is but for names, which are of the demo."""
    feature = feature_id(circuits[0], next(n for n in circuits[0].nodes if n.kind is NodeKind.FEATURE))
    query, variables = here(asked.query, circuits, feature), dict.fromkeys(asked.variables, "none")
    if asked.field in NOTHING_HERE:
        assert (await api.error(query, **variables))[0] == NOTHING_HERE[asked.field]
    else:
        await api(query, **variables)


def here(query, circuits, feature):
    query = re.sub(r"[\w-]+@\w+/\d+/\d+", feature, query)
    for number, circuit in enumerate(dict.fromkeys(re.findall(r'"([0-9a-f]{20})"', query))):
        query = query.replace(circuit, circuits[number].id)
    known = {"multi-step": "capitals", "poetry": "antonyms"}
    query = re.sub(r'"(multi-step|poetry)"', lambda found: f'"{known[found[1]]}"', query)
    assert set(known.values()) <= set(FAMILIES)
    return query
