"""The first version of the atlas: a small database that it made, and today's databases brought back to it."""

import gzip
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson

from schema.database import Database
from schema.model.core import MIGRATION, NODES, RELATIONSHIPS
from tests.support.paths import DATA

HELD: dict[str, Any] = orjson.loads(gzip.decompress((DATA / "database_version_1.json.gz").read_bytes()))
"""schema: statements; nodes: [labels, properties]; relationships: [source, type, target, properties], where
source and target are places in the list of nodes."""


def make(database: Database) -> None:
    """Make an empty database one of version 1, with the four circuits of the file."""
    database.write("MATCH (m:Migration) DELETE m")
    _forget_schema(database, keep=())
    for statement in HELD["schema"]:
        database.write(statement)
    database.write(
        """
        UNWIND $nodes AS row
        CREATE (n:$(row[0])) SET n = row[1]
        WITH collect(n) AS nodes
        UNWIND $relationships AS row
        WITH nodes[row[0]] AS source, row[1] AS type, nodes[row[2]] AS target, row[3] AS properties
        CREATE (source)-[r:$(type)]->(target) SET r = properties
        """,
        {"nodes": HELD["nodes"], "relationships": HELD["relationships"]},
    )


def bring_back(database: Database) -> None:
    """Take from a database everything that version 1 did not store, and its constraints and indexes.

    Migrations add and never change, so `migrate` after this gives what it gives for a database that version 1
    made of the same circuits.
    """
    of_nodes, of_relationships = _known()
    _forget_schema(database, keep=[statement.split("`")[1] for statement in HELD["schema"]])
    there = {row["name"] for row in database.read("SHOW INDEXES YIELD name RETURN name")}
    for statement in HELD["schema"]:
        if statement.split("`")[1] not in there:
            database.write(statement)
    database.read("CALL db.awaitIndexes(300)")
    for relationship in RELATIONSHIPS:
        match = f"MATCH ()-[r:{relationship.type}]->()"
        if relationship.type not in of_relationships:
            _in_batches(database, match, "DELETE r")
            continue
        new = {each.name for each in relationship.properties} - of_relationships[relationship.type]
        _in_batches(database, match, _removal("r", new))
    for node in NODES:
        match = f"MATCH (r:{node.label})"
        if node.label not in of_nodes:
            _in_batches(database, match, "DETACH DELETE r")
        elif node != MIGRATION:
            _in_batches(
                database, match, _removal("r", {p.name for p in node.properties} - of_nodes[node.label])
            )
    ((_, first),) = (each for each in HELD["nodes"] if each[0] == ["Migration"])
    database.write("MATCH (m:Migration) DELETE m")
    database.write("CREATE (m:Migration) SET m = $first", {"first": first})


def _known() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Label → properties and type → properties that version 1 stored."""
    of_nodes: dict[str, set[str]] = defaultdict(set)
    of_relationships: dict[str, set[str]] = defaultdict(set)
    for labels, properties in HELD["nodes"]:
        for label in labels:
            of_nodes[label].update(properties)
    for _, type_, _, properties in HELD["relationships"]:
        of_relationships[type_].update(properties)
    return of_nodes, of_relationships


def _forget_schema(database: Database, keep: Iterable[str]) -> None:
    full_text = "type = 'FULLTEXT' OR NOT name IN $keep"
    for row in database.read(
        "SHOW CONSTRAINTS YIELD name WHERE NOT name IN $keep RETURN name", {"keep": list(keep)}
    ):
        database.write(f"DROP CONSTRAINT `{row['name']}`")
    for row in database.read(
        f"SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' AND ({full_text}) RETURN name",
        {"keep": list(keep)},
    ):
        database.write(f"DROP INDEX `{row['name']}`")


def _removal(name: str, properties: Iterable[str]) -> str:
    return "REMOVE " + ", ".join(f"{name}.{each}" for each in sorted(properties)) if properties else ""


def _in_batches(database: Database, match: str, change: str) -> None:
    if change:
        database.write_in_batches(f"{match} CALL (r) {{ {change} }} IN TRANSACTIONS OF 10000 ROWS")
