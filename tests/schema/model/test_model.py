"""The declared graph model, against what a loaded database really holds."""

from collections import defaultdict

import pytest

from schema.database import Database
from schema.loading.effects import HALF, half, pair_text
from schema.model.checkpoints import CHECKPOINT_RELATIONSHIPS
from schema.model.core import NODES, RELATIONSHIPS, schema_statements
from schema.model.modules import PARTITION_RELATIONSHIPS
from schema.model.page import markdown
from tests.support.everything import fill

LABELS = {node.label: node for node in NODES}


def test_nodes_hold_what_is_declared_and_nothing_else(database: Database):
    fill(database)
    found: dict[str, list[set[str]]] = defaultdict(list)
    for row in database.read("MATCH (n) RETURN labels(n) AS labels, keys(n) AS keys"):
        most_special = max(row["labels"], key=lambda label: LABELS[label].refines is not None)
        assert set(row["labels"]) == {most_special, LABELS[most_special].refines or most_special}
        found[most_special].append(set(row["keys"]))
    for label, keys in found.items():
        node = LABELS[label]
        properties = node.properties + (LABELS[node.refines].properties if node.refines else ())
        assert set.union(*keys) <= {each.name for each in properties}, label
        assert set.intersection(*keys) >= {each.name for each in properties if each.always}, label
    assert set(found) == set(LABELS) - {
        *("Node", "OtherNode", "Example"),  # only imports have the last two
        "Lease",  # gone when the load is over
        *("Partition", "Module", "Checkpoint"),  # a command of their own makes them
    }


def test_relationships_hold_what_is_declared_and_nothing_else(database: Database):
    fill(database)
    rows = database.read(
        """
        MATCH (a)-[r]->(b)
        RETURN DISTINCT labels(a) AS source, type(r) AS type, labels(b) AS target, keys(r) AS keys
        """
    )
    declared = {(each.source, each.type, each.target): each for each in RELATIONSHIPS}
    seen = set()
    for row in rows:
        ends = [
            (source, row["type"], target)
            for source in row["source"]
            for target in row["target"]
            if (source, row["type"], target) in declared
        ]
        assert len(ends) == 1, row
        seen.add(ends[0])
        properties = declared[ends[0]].properties
        assert set(row["keys"]) <= {each.name for each in properties}
        assert set(row["keys"]) >= {each.name for each in properties if each.always}
    assert seen == set(declared) - {
        ("Example", "EXAMPLE_OF", "Feature"),
        *(
            (each.source, each.type, each.target)
            for each in (*PARTITION_RELATIONSHIPS, *CHECKPOINT_RELATIONSHIPS)
        ),
    }


def test_every_key_has_a_constraint_and_every_index_is_online(connection: Database):
    constraints = connection.read("SHOW CONSTRAINTS YIELD type, labelsOrTypes, properties RETURN *")
    assert {(row["type"], row["labelsOrTypes"][0], row["properties"][0]) for row in constraints} == {
        ("UNIQUENESS", node.label, node.key) for node in NODES if node.key is not None
    }
    indexes = connection.read(
        """
        SHOW INDEXES YIELD name, state, type, labelsOrTypes, properties, owningConstraint
        WHERE owningConstraint IS NULL AND type <> 'LOOKUP' RETURN *
        """
    )
    assert {row["state"] for row in indexes} == {"ONLINE"}
    assert {(row["type"], row["labelsOrTypes"][0], *row["properties"]) for row in indexes} == {
        ("RANGE", node.label, *names) for node in NODES for names in node.indexes
    } | {("FULLTEXT", node.label, property_) for node in NODES for _, property_ in node.full_text} | {
        ("VECTOR", node.label, *filter(None, each[1:])) for node in NODES for each in node.vectors
    } | {("RANGE", each.type, *names) for each in RELATIONSHIPS for names in each.indexes}


@pytest.mark.parametrize("index", [0, 7, 2**31 - 1, 2**31, 2**40 + 3, 2**63 - 1])
@pytest.mark.parametrize("layer", [0, 25, 1023, 2**62])
def test_a_pair_is_the_same_number_in_python_and_in_cypher(connection: Database, layer: int, index: int):
    text = f"WITH $f AS f, $g AS g RETURN {pair_text('f', 'g')} AS pair"
    f, g = {"layer": layer, "index": index}, {"layer": 3, "index": 5}
    (row,) = connection.read(text, {"f": f, "g": g})
    assert row["pair"] == half(layer, index) * HALF + half(3, 5)
    assert 0 <= row["pair"] < 2**62


def test_statements_are_the_same_every_time():
    assert schema_statements() == schema_statements()
    assert all(" IF NOT EXISTS " in statement for statement in schema_statements())


def test_the_page_names_everything():
    page = markdown()
    for node in NODES:
        assert f"### `:{node.label}`" in page
        assert all(f"| `{each.name}` |" in page for each in node.properties)
    for each in RELATIONSHIPS:
        assert f"### `(:{each.source})-[:{each.type}]->(:{each.target})`" in page
