"""What people use in the Neo4j console: questions with sample answers, the guide, the style."""

import html
import importlib
import json
import pkgutil
import re
from io import StringIO
from typing import Any

import httpx2
import pytest
from rich.console import Console

import schema
from api.app import create_app
from atlas.docs.sample_answers import LAST
from ingest.circuits.run import IngestSettings, ingest
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR
from schema.annotations.modules import ModuleSettings, compute
from schema.database import AsyncDatabase, Database
from schema.evidence.hypotheses import HypothesisOutcome, HypothesisStatement, keep_test, register
from schema.evidence.interventions import InterventionRecord
from schema.model.core import NODES, RELATIONSHIPS
from schema.questions.question import Question, ask, cypher_files
from schema.questions.sample_answers import ANSWER, columns_of, short, with_answer
from tests.support.paths import HOME
from tests.support.servers import empty

PAIRS = ("capital texas/california 1", "capital texas/california 2")
QUESTIONS = {
    value.name: value
    for module in pkgutil.walk_packages(schema.__path__, "schema.")
    for value in vars(importlib.import_module(module.name)).values()
    if isinstance(value, Question)
}


@pytest.fixture(scope="module")
def sampled(connection: Database, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The bundled prompts that sample values name, with all that the questions ask about."""
    empty(connection)
    lines = PROMPTS_PATH.read_text(encoding="utf-8").splitlines()
    prompts = tmp_path_factory.mktemp("console") / "prompts.jsonl"
    prompts.write_text("\n".join(line for line in lines if json.loads(line).get("pair") in PAIRS))
    settings = IngestSettings(prompts=prompts, model=MODEL_DIR, transcoders=TRANSCODERS_DIR, heads=True)
    summary = ingest(connection, settings, console=Console(file=StringIO()))
    assert (summary.loaded, summary.problems) == (4, [])
    compute(connection, ModuleSettings(n_null=1))
    claim = HypothesisStatement(
        *("why?", ("ablate 0/1",), "lowers", ("a",), ("b",), ("c",), "bundled", "bundled")
    )
    register(connection, claim)
    measured = InterventionRecord("h", "a", "b", ["ablate 0/1"], -0.5, 0.0, 0.1, 9, 1, 0)
    keep_test(connection, claim, HypothesisOutcome(-0.5, 0.0, 9, 0.1), [measured])
    connection.wait_for_full_text()
    return connection


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_every_question_can_be_pasted_and_gives_the_columns_of_its_sample_answer(sampled, question):
    """Its `:param` lines as the console evaluates them: each by itself, as a Cypher expression."""
    values = {
        name: sampled.read(f"RETURN {value} AS value")[0]["value"] for name, value in question.samples.items()
    }
    ask(sampled, question, timeout_s=20, **values)
    pasted = re.sub(r"(?m)^:param .*$", "", question.file)
    used = set(re.findall(r"\$(\w+)", re.sub(r"(?m)^//.*$", "", pasted)))
    assert used == set(question.samples)
    assert question.file.startswith("// ")
    columns: list[str] = []
    rows = list(sampled.stream(pasted, values, columns=columns))
    assert columns_of(question.file) == columns, "write its sample answer: make answers"
    assert "//   no rows" not in question.file
    assert "Sample answer" not in question.text
    if question.name not in EMPTY:
        assert rows, "the sample values name nothing of the bundled prompts"
        assert rows[0].get("total", 1) > 0 or question.name in NOT_LOADED


NOT_LOADED = {"examples_of_feature", "untrusted"}
"""Contexts that features fire in come from `atlas examples`; none of these circuits is bad."""
EMPTY = LAST | {"diagnostics", "supernodes", "supernodes_by_id", "circuits_of_text", "members_of_label"}
EMPTY |= {"claims", "interventions_of_claim", "evidence_of_label", "nearest_features", "similar_labels"}
"""Not loaded here, or under another name, as supernodes and labels of four prompts: they only have to run."""


def test_every_file_is_a_question():
    assert cypher_files().keys() == QUESTIONS.keys()


def test_sample_answers_are_short_and_can_be_written_again():
    rows: list[dict[str, Any]] = [
        {"a": 0.123456, "b": ["x", "y", "z"]},
        {"a": None, "b": []},
        *[{"a": True, "b": {"c": 1}}] * 3,
    ]
    once = with_answer("// Why?\n// Because.\n:param a => 1;\n\nRETURN $a AS a, [] AS b\n", ["a", "b"], rows)
    assert once == (
        "// Why?\n"
        "// Because.\n"
        "// Sample answer: a | b\n"
        '//   0.123 | ["x", "y", … 1 more]\n'
        "//   null | []\n"
        "//   true | {c: 1}\n"
        "//   … 2 more rows\n"
        ":param a => 1;\n"
        "\n"
        "RETURN $a AS a, [] AS b\n"
    )
    assert with_answer(once, ["a", "b"], rows) == once
    assert columns_of(once) == ["a", "b"]
    assert short("word " * 30) == '"' + ("word " * 30)[:59] + '…"'
    assert "Because" in ANSWER.sub("", once)


def guide_queries() -> list[str]:
    text = (HOME / "api" / "serving" / "html" / "guide.html").read_text(encoding="utf-8")
    found = re.findall(r'<pre class="pre-scrollable code runnable">(.*?)</pre>', text, re.DOTALL)
    return [html.unescape(query) for query in found if not query.startswith(":style")]


def test_every_query_of_the_guide_finds_something(sampled):
    queries = guide_queries()
    assert len(queries) == 15
    for query in queries:
        assert sampled.read(query, timeout_s=20), query


async def test_the_console_may_fetch_guide_and_style(server, connection):
    """As Neo4j Browser does: from another origin, with headers that it has to ask for first."""
    database = await AsyncDatabase.connect(server.bolt_uri, server.user, server.password)
    app = create_app(database, token="0123456789abcdef")
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://localhost:8000")
    origin = {"origin": "http://127.0.0.1:7474"}
    asked = {
        "access-control-request-method": "GET",
        "access-control-request-headers": "cache-control,pragma,sentry-trace",
        "access-control-request-private-network": "true",
    }
    for path in ("/guide.html", "/console.grass"):
        allowed = await client.options(path, headers=origin | asked)
        assert allowed.status_code == 200
        fetched = await client.get(path, headers=origin | {"pragma": "no-cache", "cache-control": "no-cache"})
        assert (fetched.status_code, fetched.headers["access-control-allow-origin"]) == (200, "*")
    guide = await client.get("/guide.html")
    assert ":style http://localhost:8000/console.grass<" in guide.text
    style = await client.get("/console.grass")
    assert style.text == (HOME / "schema" / "console.grass").read_text("utf-8")
    await client.aclose()
    await database.close()


def styles() -> dict[str, dict[str, str]]:
    text = (HOME / "schema" / "console.grass").read_text(encoding="utf-8")
    return {
        selector: dict(re.findall(r"([\w-]+): (.+);", body))
        for selector, body in re.findall(r"^(\S+) \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    }


def test_the_style_names_labels_of_the_model_and_shows_their_properties():
    labels = {node.label: node for node in NODES}
    types = {relationship.type: relationship for relationship in RELATIONSHIPS}
    for selector, style in styles().items():
        kind, _, name = selector.partition(".")
        if not name:
            continue
        kinds: dict[str, Any] = {"node": labels, "relationship": types}
        declared = kinds[kind][name]
        known = {each.name for each in declared.properties}
        if kind == "node" and (refined := labels[name].refines):
            known |= {each.name for each in labels[refined].properties}
        assert set(re.findall(r"\{(\w+)\}", style.get("caption", ""))) <= known, selector


def test_what_is_in_a_circuit_differs_at_a_glance():
    kinds = [node.label for node in NODES if node.refines == "Node" and node.label != "OtherNode"]
    shown = [styles()[f"node.{label}"] for label in (*kinds, "Supernode", "Feature")]
    assert len({style["color"] for style in shown}) == len(shown) == 6
    assert "node.Node" not in styles()  # It would win over the label that refines it.
