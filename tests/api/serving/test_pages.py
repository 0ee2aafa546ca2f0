"""What the API serves besides answers: its schema, its pages, its questions as files."""

import re
from pathlib import Path

import pytest
from graphql import build_schema, get_introspection_query, parse, validate

from api.app import sdl
from tests.support.paths import HOME

SCHEMA = build_schema(sdl())


def test_the_schema_is_written_down():
    written = (HOME / "api" / "schema.graphql").read_text(encoding="utf-8")
    assert written == sdl(), "write it again: python -m api > api/schema.graphql"


def test_every_field_and_argument_is_described():
    missing = []
    for name, kind in SCHEMA.type_map.items():
        if name.startswith("__") or not hasattr(kind, "fields"):
            continue
        missing += [name] if not kind.description else []
        for field, value in kind.fields.items():
            missing += [f"{name}.{field}"] if not value.description else []
            arguments = getattr(value, "args", {})
            missing += [f"{name}.{field}({each})" for each, arg in arguments.items() if not arg.description]
    assert missing == []


def documents() -> list[tuple[str, str]]:
    """Every query that the repository shows: (where, text)."""
    found = [
        (str(path.relative_to(HOME)), path.read_text("utf-8")) for path in HOME.glob("*/questions/*.graphql")
    ]
    for path in (*HOME.glob("docs/**/*.md"), HOME / "README.md"):
        blocks = re.findall(r"```graphql\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
        found += [(f"{path.relative_to(HOME)}[{n}]", block) for n, block in enumerate(blocks)]
    for path in (HOME / "api" / "explorer").rglob("*.js"):
        if "vendor" not in path.parts:
            found += [(f"{path.relative_to(HOME)}[{n}]", block) for n, block in enumerate(_queries(path))]
    return found


def _queries(path: Path) -> list[str]:
    """The GraphQL texts of a module of the explorer, with the constants that they name."""
    script = path.read_text("utf-8")
    constants = dict(re.findall(r'^const (\w+) = [`"]([^`"]*)[`"];', script, re.MULTILINE))
    blocks = re.findall(r"`((?:query|mutation|subscription) [^`]*)`", script)
    return [re.sub(r"\$\{(\w+)\}", lambda name: constants[name[1]], block) for block in blocks]


@pytest.mark.parametrize(("where", "text"), documents(), ids=[where for where, _ in documents()])
def test_every_query_shown_fits_the_schema(where, text):
    assert validate(SCHEMA, parse(text)) == []


async def test_pages(api, circuits):
    alive = await api.http.get("/healthz")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    health = await api.http.get("/readyz")
    assert (health.status_code, health.json()) == (200, {"status": "ok", "circuits": len(circuits)})
    page = await api.http.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 200
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(files) == 5
    for file in files:
        assert file.startswith(("/graphiql/", "/pages/"))  # nothing from another server
        assert (await api.http.get(file)).status_code == 200


async def test_what_graphiql_asks_for_its_docs_is_within_the_limits(api):
    data = await api(get_introspection_query())
    assert data["__schema"]["queryType"]["name"] == "Query"


async def test_get_answers_queries_too(api):
    answer = await api.http.get("/graphql", params={"query": "{ families { name } }"})
    assert [family["name"] for family in answer.json()["data"]["families"]] == [
        "antonyms",
        "arithmetic",
        "capitals",
    ]


@pytest.mark.parametrize(
    "content", [b"{", b'{"query": "\\ud800"}', b"[]", b'{"query": 3}', b'{"query": null}']
)
async def test_what_is_no_graphql_request(api, content):
    answer = await api.http.post("/graphql", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert error["extensions"]["nextStep"].startswith("POST ")
