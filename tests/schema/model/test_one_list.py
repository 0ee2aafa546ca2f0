"""The declared model is the only list of properties: records, rows and GraphQL types have exactly these."""

from dataclasses import fields
from typing import get_type_hints

import pytest
from strawberry.types import get_object_definition

from api.types.circuit import Circuit as CircuitType
from api.types.prompt import Prompt as PromptType
from schema.circuit.records import Circuit, Model, Prompt, Source, TranscoderSet
from schema.loading.properties import CIRCUIT_FIELDS, MODEL_FIELDS, PROMPT_FIELDS, SET_FIELDS, SOURCE_FIELDS
from schema.model.core import CIRCUIT, NODES, PROMPT, RELATIONSHIPS
from schema.model.declare import NodeType, Property, RelationshipType
from schema.questions.circuits import CircuitRow, PromptRow

PYTHON = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "list of strings": list[str],
    "list of integers": list[int],
}
NOT_ASKED = {
    *("weights", "content", "qk_tracing", "target_logit"),
    *("scan", "attention_source_set", "create_time_ms", "file_metadata", "file_view", "file_layout"),
}
"""Properties of imported circuits that questions do not return."""


def types(node: NodeType, names: set[str]) -> dict[str, object]:
    """The Python type of each declared property."""
    return {
        each.name: PYTHON[each.type] if each.always else PYTHON[each.type] | None
        for each in node.properties
        if each.name in names
    }


def summary(node: NodeType) -> set[str]:
    """The properties of a circuit that its row has: no long lists, and nothing that nobody asks for."""
    return {
        each.name
        for each in node.properties
        if each.name not in {"id", *NOT_ASKED}
        and (each.name in {"derived", "source_urls"} or not each.type.startswith("list of "))
    }


def test_every_scalar_field_of_a_record_is_declared():
    parts = {"prompt", "model", "transcoders", "nodes", "edges", "labels", "supernodes", "source"}
    parts |= {"head_parts", "head_totals", "qk_scores"}
    assert {each.name for each in fields(Circuit)} - parts == set(CIRCUIT_FIELDS)
    assert {each.name for each in fields(Source)} == set(SOURCE_FIELDS)
    assert {each.name for each in fields(Model)} == set(MODEL_FIELDS)
    assert {each.name for each in fields(TranscoderSet)} - {"model_id"} == set(SET_FIELDS)
    assert {each.name for each in fields(Prompt)} - {"family", "tags"} == set(PROMPT_FIELDS)


def test_the_row_of_a_circuit_has_the_declared_properties_and_types():
    found = get_type_hints(CircuitRow)
    around = {"key", "prompt", "transcoders", "run"}
    assert {name: kind for name, kind in found.items() if name not in around} == types(
        CIRCUIT, summary(CIRCUIT)
    )


def test_the_row_of_a_prompt_has_the_declared_properties_and_types():
    names = {each.name for each in PROMPT.properties} - {"id"}
    found = get_type_hints(PromptRow)
    around = {"key", "family", "tags"}
    assert {name: kind for name, kind in found.items() if name not in around} == types(PROMPT, names)


def test_the_graphql_types_have_the_declared_properties():
    for node, kind, names in (
        (CIRCUIT, CircuitType, summary(CIRCUIT)),
        (PROMPT, PromptType, {each.name for each in PROMPT.properties} - {"id"}),
    ):
        declared = {each.name for each in node.properties} - {"id"}
        assert {
            each.python_name for each in get_object_definition(kind, strict=True).fields
        } & declared == names


@pytest.mark.parametrize(
    "each",
    [*NODES, *RELATIONSHIPS],
    ids=lambda each: getattr(each, "label", None) or f"{each.source}-{each.type}-{each.target}",
)
def test_every_description_is_a_sentence(each: NodeType | RelationshipType):
    def sentence(text: str) -> bool:
        return text.endswith((".", ")")) and len(text.split()) > 1

    assert sentence(each.about)
    properties: tuple[Property, ...] = each.properties
    assert [p.name for p in properties if not sentence(p.about)] == []
    # A property that can be absent says so; the imported ones of a circuit say it together.
    silent = [p.name for p in properties if not p.always and "bsent" not in p.about]
    assert silent == (["slug", "scan"] if each is CIRCUIT else [])
