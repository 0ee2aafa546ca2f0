"""`atlas mcp`, driven by the SDK's own client: in the process, and as a command over its streams."""

import json
import sys
from collections.abc import Callable
from typing import Any

import mcp_types
import pytest
from mcp import Client, StdioServerParameters

from api.app import sdl
from atlas.client import AtlasClient
from atlas.serving.assistant import Assistant, server
from tests.support.browser import ask
from tests.support.paths import HOME

CALLS: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
    "families": lambda ids: {},
    "search": lambda ids: {"text": "state", "first": 3},
    "circuits": lambda ids: {"filter": {"families": ["capitals"]}, "first": 2},
    "circuit": lambda ids: {"id": ids["a"], "first": 3},
    "feature": lambda ids: {"id": ids["feature"]},
    "features": lambda ids: {"minCircuits": 2, "first": 2},
    "circuits_sharing": lambda ids: {"features": [ids["feature"]], "first": 2},
    "shared_features": lambda ids: {"families": ["capitals"], "minCircuits": 2, "first": 2},
    "contrast": lambda ids: {
        "positive": {"families": ["capitals"]},
        "negative": {"families": ["arithmetic"]},
    },
    "compare_circuits": lambda ids: {"a": ids["a"], "b": ids["b"], "align": "FROM_END", "first": 2},
    "similar_circuits": lambda ids: {"circuit": ids["a"], "first": 2},
    "recurring_edges": lambda ids: {"minCircuits": 2, "first": 2},
    "paths": lambda ids: {
        "from": {"feature": ids["feature"]},
        "to": {"logit": ids["answer"]},
        "inCircuits": {"circuits": [ids["a"]]},
    },
    "drives_logit": lambda ids: {"tokens": [ids["answer"]], "first": 2},
    "hubs": lambda ids: {"by": "FREQUENCY", "first": 2},
    "error_audit": lambda ids: {"maxErrorShare": 0.1, "first": 2},
    "claims": lambda ids: {"first": 2},
    "modules": lambda ids: {"first": 2},
    "graphql": lambda ids: {
        "query": "query ($n: Int) { features(first: $n) { totalCount } }",
        "variables": {"n": 1},
    },
    "describe": lambda ids: {"type": "Circuit"},
}


@pytest.fixture
def assistant(address: str):
    with AtlasClient(address) as client:
        yield Assistant(client, sdl())


@pytest.fixture
def ids(address: str) -> dict[str, str]:
    """Ids of two circuits, and of a feature and the answer of the first."""
    query = """{ circuits(filter: {families: "capitals"}, first: 2) {
      nodes { id answer features(first: 1) { nodes { feature { id } } } } } }"""
    a, b = ask(address, query)["circuits"]["nodes"]
    return {
        "a": a["id"],
        "b": b["id"],
        "answer": a["answer"],
        "feature": a["features"]["nodes"][0]["feature"]["id"],
    }


def text(result: mcp_types.CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, mcp_types.TextContent)
    return content.text


async def test_every_tool_answers_what_graphql_answers(assistant, address, ids):
    async with Client(server(assistant)) as client:
        listed = (await client.list_tools()).tools
        assert [each.name for each in listed] == list(CALLS)
        for tool in listed:
            assert tool.description
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is True
            arguments = CALLS[tool.name](ids)
            result = await client.call_tool(tool.name, arguments)
            assert result.is_error is not True, text(result)
            if tool.name == "describe":
                assert text(result).startswith('"""A pruned attribution graph')
                continue
            query, variables = (
                (arguments["query"], arguments["variables"])
                if tool.name == "graphql"
                else (assistant.tools[tool.name].text, arguments)
            )
            answer = ask(address, str(query), variables)
            assert result.structured_content == answer == json.loads(text(result))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("no_such", {}, "There is no tool 'no_such'"),
        ("circuit", {}, "needs the argument id"),
        ("families", {"first": 3}, "has no argument first"),
        ("circuits", {"first": 1000}, "first: 1000 is over the limit"),
        ("shared_features", {"families": ["none"]}, "none"),
        ("graphql", {"query": 'mutation { deleteRun(id: "x") { id } }'}, "The tools only read"),
        ("graphql", {"query": "{"}, "This is no GraphQL"),
        ("graphql", {"query": "{ nothing }"}, "nothing"),
        ("describe", {"type": "Nothing"}, "There is no type 'Nothing'"),
    ],
)
async def test_a_wrong_call_says_what_is_wrong(assistant, name, arguments, said):
    async with Client(server(assistant)) as client:
        result = await client.call_tool(name, arguments)
    assert result.is_error is True
    assert said in text(result)


async def test_arguments_are_those_of_the_schema(assistant):
    async with Client(server(assistant)) as client:
        listed = (await client.list_tools()).tools
    tools = {each.name: each.input_schema for each in listed}
    assert tools["circuit"]["required"] == ["id"]
    order = tools["circuits"]["properties"]["orderBy"]
    assert order["enum"] == ["FAMILY", "REPLACEMENT_SCORE", "COMPLETENESS_SCORE", "ERROR_SHARE"]
    families = tools["contrast"]["properties"]["positive"]["properties"]["families"]
    assert (families["type"], families["items"]) == ("array", {"type": "string"})
    assert families["description"].startswith("Only circuits of these families")


async def test_the_command_talks_over_its_streams(address):
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "atlas", "mcp", "--api", address], cwd=str(HOME)
    )
    async with Client(command) as client:
        result = await client.call_tool("families", {})
        assert result.structured_content == ask(
            address,
            "{ families { name nPrompts nCircuits nJudged accuracy "
            "replacementScore errorShare mixedSettings tags } }",
        )
