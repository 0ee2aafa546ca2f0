"""A canonical dump of a database. Two databases hold the same circuits when their dumps are equal.

Nodes are named by their keys, never by the database's internal ids. Migrations, leases and all dates
are left out.
"""

import hashlib
from typing import Any

import orjson

from schema.database import Database
from schema.model.core import LEASE, MIGRATION, NODES

Dump = dict[str, list[list[Any]]]

_KEYS = {node.label: node.key for node in NODES if node.key is not None and node not in (MIGRATION, LEASE)}

_DATES = {each.name for node in NODES for each in node.properties if each.type == "datetime"}


def dump(database: Database) -> Dump:
    """Everything that is stored, sorted.

    Nodes: label → [[labels, properties], …]. Relationships: type → [[from, to, properties], …], where `from`
    and `to` are [label, key]. The whole database is held in memory: this is for tests and for comparing two
    ingests.
    """
    found: Dump = {}
    for label, key in _KEYS.items():
        rows = database.read(
            f"MATCH (n:{label}) RETURN labels(n) AS labels, properties(n) AS properties ORDER BY n.{key}"
        )
        found[label] = [[sorted(row["labels"]), _undated(row["properties"])] for row in rows]
    for row in database.read("MATCH ()-[r]->() RETURN DISTINCT type(r) AS type ORDER BY type"):
        found[row["type"]] = _relationships(database, row["type"])
    return found


def digest(database: Database) -> str:
    """SHA-256 of the dump. Databases that hold the same circuits have the same digest."""
    return hashlib.sha256(orjson.dumps(dump(database), option=orjson.OPT_SORT_KEYS)).hexdigest()


def _relationships(database: Database, type_: str) -> list[list[Any]]:
    rows = database.read(
        """
        MATCH (a)-[r]->(b) WHERE type(r) = $type
        RETURN labels(a) AS from_labels, properties(a) AS a, labels(b) AS to_labels, properties(b) AS b,
               properties(r) AS properties
        """,
        {"type": type_},
    )
    pairs = [
        [_name(row["from_labels"], row["a"]), _name(row["to_labels"], row["b"]), row["properties"]]
        for row in rows
    ]
    # A pair can have several relationships of one type, and the names in a map have no fixed order.
    return sorted(pairs, key=lambda pair: orjson.dumps(pair, option=orjson.OPT_SORT_KEYS))


def _undated(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name not in _DATES}


def _name(labels: list[str], properties: dict[str, Any]) -> list[str]:
    for label, key in _KEYS.items():
        if label in labels:
            return [label, properties[key]]
    raise AssertionError(f"a node with the unknown labels {labels}")
