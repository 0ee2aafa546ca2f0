"""Migrations: applied once, in order, recorded, and never backwards."""

from collections.abc import Iterator

import pytest

from schema.database import Database
from schema.errors import MigrationError
from schema.migrations import MIGRATIONS, Migration, migrate


@pytest.fixture
def recorded(database: Database) -> Iterator[Database]:
    """A database whose record of migrations is put back afterwards."""
    yield database
    database.write(
        "MATCH (m:Migration) WHERE m.version > $newest DELETE m", {"newest": MIGRATIONS[-1].version}
    )


def test_a_migrated_database_stays_as_it_is(database: Database):
    before = database.read("SHOW INDEXES YIELD name RETURN name ORDER BY name")
    assert migrate(database) == []
    assert database.read("SHOW INDEXES YIELD name RETURN name ORDER BY name") == before


def test_what_ran_is_recorded(database: Database):
    rows = database.read(
        "MATCH (m:Migration) RETURN m.version AS version, m.name AS name, m.applied_at IS NOT NULL AS dated"
    )
    assert rows == [{"version": each.version, "name": each.name, "dated": True} for each in MIGRATIONS]


def test_running_everything_again_changes_nothing(database: Database):
    """As after a crash between the last statement and its record."""
    database.write("MATCH (m:Migration) DELETE m")
    assert migrate(database) == [each.name for each in MIGRATIONS]


def test_new_migrations_run_once_and_in_order(recorded: Database):
    newest = MIGRATIONS[-1].version
    grown = (
        Migration(newest + 2, "second", "data", lambda: ["MATCH (t:Tag) SET t.name = t.name + '2'"]),
        Migration(newest + 1, "first", "data", lambda: ["MERGE (:Tag {name: '1'})"]),
        *MIGRATIONS,
    )
    assert migrate(recorded, grown) == ["first", "second"]
    assert migrate(recorded, grown) == []
    assert recorded.read("MATCH (t:Tag) RETURN t.name AS name") == [{"name": "12"}]


def test_a_database_of_a_newer_atlas_is_refused(recorded: Database):
    recorded.write("CREATE (:Migration {version: 1000, name: 'from tomorrow'})")
    with pytest.raises(MigrationError) as caught:
        migrate(recorded)
    assert caught.value.what == (
        f"The database is at version 1000 (from tomorrow); this atlas knows {MIGRATIONS[-1].version}"
    )


def test_versions_count_up_from_one():
    assert [each.version for each in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
