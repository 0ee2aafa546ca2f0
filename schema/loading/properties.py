"""The stored properties of a record, derived from the declared model.

`schema.model.core` is the only list of property names. A declared property takes its value from the field of
the record that has the same name; the other properties are computed and given by name.
"""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from schema.circuit.records import Circuit, Label, Model, Node, Prompt, Source, Supernode, TranscoderSet
from schema.model.core import (
    CIRCUIT,
    ERROR_NODE,
    FEATURE_NODE,
    LOGIT_NODE,
    MODEL,
    NODE,
    OTHER_NODE,
    PROMPT,
    SUPERNODE,
    TOKEN_NODE,
    TRANSCODER_SET,
)
from schema.model.declare import NodeType, Property
from schema.model.labels import LABEL

Properties = dict[str, Any]
"""Declared name → value of the properties of one node or relationship. A property whose value is None is
absent from the database."""

LAYERS = 1024
"""Factor of the index in the number of a feature, so that the layer fits beside the index."""


def shared_fields(record: type, *nodes: NodeType) -> tuple[str, ...]:
    """The names of declared properties that are fields of a record type, in the declared order."""
    names = {each.name for each in fields(record)}
    declared = (each.name for node in nodes for each in node.properties)
    return tuple(dict.fromkeys(name for name in declared if name in names))


CIRCUIT_FIELDS = shared_fields(Circuit, CIRCUIT)
"""Fields of `Circuit` that are properties of its node."""
SOURCE_FIELDS = shared_fields(Source, CIRCUIT)
"""Fields of `Source` that are properties of an imported circuit's node."""
FEATURE_LISTS = ("pruned_features", "unselected_features")
"""Fields of `Circuit` that are stored as numbers of features."""
MODEL_FIELDS = shared_fields(Model, MODEL)
SET_FIELDS = shared_fields(TranscoderSet, TRANSCODER_SET)
MEASURED = ("fvu", "agreement", "measured")
"""Properties of a transcoder set that no circuit gives: `schema.annotations.measured` writes them."""
PROMPT_FIELDS = shared_fields(Prompt, PROMPT)
NODE_FIELDS = shared_fields(Node, NODE, FEATURE_NODE, ERROR_NODE, TOKEN_NODE, LOGIT_NODE, OTHER_NODE)
MARKS = ("pinned", "influence_is_bound")
"""Fields of `Node` that are stored as true or not at all."""
LABEL_FIELDS = shared_fields(Label, LABEL)
SUPERNODE_FIELDS = shared_fields(Supernode, SUPERNODE)


def properties_of(node: NodeType, record: object, **computed: Any) -> Properties:
    """The value of every declared property of a node: computed, or the attribute of the record.

    Raises AttributeError when a declared property is neither computed nor an attribute.
    """
    return {
        each.name: _stored(each, computed[each.name] if each.name in computed else getattr(record, each.name))
        for each in node.properties
    }


def known(properties: Properties, names: Iterable[str]) -> Properties:
    """The values of the properties with these names; None for an absent property."""
    return {name: properties.get(name) for name in names}


def numbered(features: Iterable[tuple[int, int]] | None) -> list[int] | None:
    """One number for each (layer, index), ascending. Neo4j stores a number in a few bytes."""
    return None if features is None else sorted(index * LAYERS + layer for layer, index in features)


def unnumbered(numbers: Iterable[int] | None) -> tuple[tuple[int, int], ...] | None:
    """The inverse of `numbered`: (layer, index) of each feature, ascending."""
    if numbers is None:
        return None
    return tuple(sorted((number % LAYERS, number // LAYERS) for number in numbers))


def _stored(declared: Property, value: Any) -> Any:
    """The value as the driver and the tables take it: a threshold of 1 is a float, a tuple is a list."""
    if value is None:
        return None
    if declared.type == "float":
        return float(value)
    return list(value) if declared.type.startswith("list of ") else value
