"""The questions that `bench/query_latency.py` measures are questions that the atlas still has."""

from pathlib import Path

import graphql
import pytest

from bench.questions import BOLT, GRAPH, Bolt, Graph, Sample

SAMPLE = Sample(["set/0/1"] * 5, ["a"] * 20, "family", ["b"] * 20, "other")
SCHEMA = graphql.build_schema(Path("api/schema.graphql").read_text(encoding="utf-8"))


@pytest.mark.parametrize("asked", BOLT, ids=lambda asked: asked.name)
def test_cypher_gets_its_parameters(asked: Bolt) -> None:
    given = asked.parameters(SAMPLE)
    assert set(asked.question.samples) - set(given) == set()


@pytest.mark.parametrize("asked", GRAPH, ids=lambda asked: asked.name)
def test_graphql_is_valid(asked: Graph) -> None:
    document = graphql.parse(asked.text)
    assert graphql.validate(SCHEMA, document) == []
    (operation,) = document.definitions
    assert isinstance(operation, graphql.OperationDefinitionNode)
    assert {each.variable.name.value for each in operation.variable_definitions or ()} == set(
        asked.variables(SAMPLE)
    )
