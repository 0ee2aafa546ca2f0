"""Migrations: applied once, in order, recorded, and never backwards."""

import gzip
from collections.abc import Iterator

import orjson
import pytest

from schema.circuit.influence import influence_sums
from schema.circuit.records import NodeKind
from schema.database import Database
from schema.errors import MigrationError
from schema.loading.load import load_circuit
from schema.loading.read import circuit_ids, read_circuit
from schema.questions.features import FEATURES
from schema.questions.question import ask
from schema.upkeep.check import check
from schema.upkeep.migrations import MIGRATIONS, Migration, migrate
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.paths import DATA


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
    said: list[str] = []
    assert migrate(database, step=said.append) == [each.name for each in MIGRATIONS]
    assert said == []  # nothing is there yet that could take long


def test_new_migrations_run_once_and_in_order(recorded: Database):
    newest = MIGRATIONS[-1].version
    grown = (
        Migration(newest + 2, "second", "data", lambda: ["MATCH (t:Tag) SET t.name = t.name + '2'"]),
        Migration(newest + 1, "first", "data", lambda: ["MERGE (:Tag {name: '1'})"]),
        *MIGRATIONS,
    )
    said: list[str] = []
    assert migrate(recorded, grown, step=said.append) == ["first", "second"]
    assert said == ["first", "second"]
    assert migrate(recorded, grown) == []
    assert recorded.read("MATCH (t:Tag) RETURN t.name AS name") == [{"name": "12"}]


def test_a_database_of_a_newer_atlas_is_refused(recorded: Database):
    recorded.write("CREATE (:Migration {version: 1000, name: 'from tomorrow'})")
    with pytest.raises(MigrationError) as caught:
        migrate(recorded)
    assert caught.value.what == (
        f"The database is at version 1000 (from tomorrow); this atlas knows {MIGRATIONS[-1].version}"
    )


def test_versions_count_up():
    """A number may be left out, but is never used twice."""
    versions = [migration.version for migration in MIGRATIONS]
    assert versions == sorted(set(versions))
    assert versions[0] == 1


def test_sets_of_older_databases_get_their_pages(database: Database):
    database.write(
        """
        UNWIND $sets AS row
        CREATE (t:TranscoderSet {id: row[0], name: row[0]})
        WITH t, row UNWIND row[1] AS c
        CREATE (:Circuit {id: c[0], tool: c[1], scan: c[2], source_set: c[3]})-[:BY]->(t)
        """,
        {
            "sets": [
                [
                    "one",
                    [["1", "neuronpedia", "gemma-2-2b", "clt-hp"], ["2", "neuronpedia", "gemma-2-2b", None]],
                ],
                ["mixed", [["3", "neuronpedia", "m", "a"], ["4", "neuronpedia", "m", "b"]]],
                ["hub", [["5", "neuronpedia", "org/m", "a"]]],
                ["other", [["6", "circuit-tracer", "org/clt", None]]],
            ]
        },
    )
    database.write("MATCH (m:Migration {version: 22}) DELETE m")
    assert migrate(database) == ["pages of transcoder sets on Neuronpedia"]
    rows = database.read("MATCH (t:TranscoderSet) RETURN t.id AS id, t.neuronpedia AS pages ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        ("hub", None),
        ("mixed", None),
        ("one", "gemma-2-2b/clt-hp"),
        ("other", None),
    ]


@pytest.fixture
def version_1(database: Database) -> Iterator[Database]:
    """A database as the first version of the atlas made it, of four made-up circuits."""
    kept = gzip.decompress((DATA / "database_version_1.json.gz").read_bytes())
    held = orjson.loads(kept)
    database.write("MATCH (m:Migration) DELETE m")
    for row in database.read("SHOW CONSTRAINTS YIELD name RETURN name"):
        database.write(f"DROP CONSTRAINT `{row['name']}`")
    for row in database.read("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name"):
        database.write(f"DROP INDEX `{row['name']}`")
    for statement in held["schema"]:
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
        {"nodes": held["nodes"], "relationships": held["relationships"]},
    )
    yield database
    # Whatever failed, the next test finds the schema of today.
    database.write("MATCH (m:Migration) DELETE m")
    migrate(database)


def test_a_database_of_the_first_version_becomes_one_of_today(version_1: Database):
    assert [row["version"] for row in version_1.read("MATCH (m:Migration) RETURN m.version AS version")] == [
        1
    ]
    assert migrate(version_1) == [each.name for each in MIGRATIONS[1:]]
    assert list(check(version_1)) == []
    ids = circuit_ids(version_1, [])
    assert len(ids) == 4
    circuits = [read_circuit(version_1, each) for each in ids]
    for row in version_1.read("MATCH (c:Circuit) RETURN c ORDER BY c.id"):
        sums = influence_sums(next(circuit for circuit in circuits if circuit.id == row["c"]["id"]))
        assert {name: row["c"].get(name) for name in sums} == {
            name: None if values is None else pytest.approx(values) for name, values in sums.items()
        }
        assert sums["layer_features"]
    # What the first version did not know is unknown, and not empty.
    assert {(c.pruned_features, c.head_totals, c.weights) for c in circuits} == {(None, (), None)}
    for family in {circuit.prompt.family for circuit in circuits}:
        asked = {
            "search": None,
            "layer": None,
            "transcoders": None,
            "min_circuits": 1,
            "order": "circuits",
            "skip": 0,
            "limit": 9999,
        }
        (page,) = ask(version_1, FEATURES, timeout_s=20, families=[family], **asked)
        assert set(page.rows) == {
            circuit.transcoders.feature_id(node.layer, node.index)
            for circuit in circuits
            if circuit.prompt.family == family
            for node in circuit.nodes
            if node.kind is NodeKind.FEATURE and node.index is not None
        }
    assert load_circuit(version_1, synthetic_circuits(5)[4], RUN)
    assert list(check(version_1)) == []
