"""Bring a database to the version that this code needs: ordered, idempotent, recorded in the database.

A migration changes the schema (constraints, indexes) or the data, never both: Neo4j refuses to mix them in
one transaction, and a half-done mix could not be repeated. To change the model, change `schema.model` and add
a `schema` migration at the end; to move data, add a `data` migration. Numbers are never used twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from schema.database import Database
from schema.errors import MigrationError
from schema.model import MIGRATION, schema_statements


@dataclass(frozen=True)
class Migration:
    """One step."""

    version: int
    """1, 2, 3 …"""
    name: str
    """What it does, a few words."""
    kind: Literal["schema", "data"]
    statements: Callable[[], list[str]]
    """Cypher that may run again without harm, one transaction each."""


MIGRATIONS = (Migration(1, "constraints and indexes of the graph model", "schema", schema_statements),)


def migrate(database: Database, migrations: tuple[Migration, ...] = MIGRATIONS) -> list[str]:
    """Apply what is missing, in order; the names of what was applied.

    Raises MigrationError when the database was written by a newer version of the atlas.
    """
    applied = {
        row["version"]: row["name"]
        for row in database.read("MATCH (m:Migration) RETURN m.version AS version, m.name AS name")
    }
    newest = max((migration.version for migration in migrations), default=0)
    unknown = sorted(version for version in applied if version > newest)
    if unknown:
        raise MigrationError(
            f"The database is at version {unknown[-1]} ({applied[unknown[-1]]}); this atlas knows {newest}",
            next_step="update the atlas, or use a database of its own (another ATLAS_HOME)",
        )
    missing = sorted(
        (migration for migration in migrations if migration.version not in applied),
        key=lambda migration: migration.version,
    )
    if missing:
        for statement in MIGRATION.schema():
            database.write(statement)
    for migration in missing:
        for statement in migration.statements():
            database.write(statement)
        if migration.kind == "schema":
            database.read("CALL db.awaitIndexes(300)")
        database.write(
            "MERGE (m:Migration {version: $version}) ON CREATE SET m.name = $name, m.applied_at = datetime()",
            {"version": migration.version, "name": migration.name},
        )
    return [migration.name for migration in missing]
