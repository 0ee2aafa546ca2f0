"""Migrations: applied once, in order, recorded, and never backwards."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from schema.circuit.influence import influence_sums
from schema.circuit.records import NodeKind
from schema.database import Database
from schema.errors import MigrationError
from schema.loading.load import load_circuit
from schema.loading.read import circuit_ids, read_circuit
from schema.questions.features import FEATURES
from schema.questions.question import ask
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import check
from schema.upkeep.migrations import MIGRATIONS, Migration, migrate
from tests.support import version_1
from tests.support.circuits import RUN, synthetic_circuits


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
def first(database: Database) -> Iterator[Database]:
    """A database as the first version of the atlas made it, of four made-up circuits."""
    version_1.make(database)
    yield database
    # Whatever failed, the next test finds the schema of today.
    database.write("MATCH (m:Migration) DELETE m")
    migrate(database)


def test_a_database_of_the_first_version_becomes_one_of_today(first: Database):
    assert [row["version"] for row in first.read("MATCH (m:Migration) RETURN m.version AS version")] == [1]
    assert migrate(first) == [each.name for each in MIGRATIONS[1:]]
    assert list(check(first)) == []
    ids = circuit_ids(first, [])
    assert len(ids) == 4
    circuits = [read_circuit(first, each) for each in ids]
    for row in first.read("MATCH (c:Circuit) RETURN c ORDER BY c.id"):
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
        (page,) = ask(first, FEATURES, timeout_s=20, families=[family], **asked)
        assert set(page.rows) == {
            circuit.transcoders.feature_id(node.layer, node.index)
            for circuit in circuits
            if circuit.prompt.family == family
            for node in circuit.nodes
            if node.kind is NodeKind.FEATURE and node.index is not None
        }
    assert load_circuit(first, synthetic_circuits(5)[4], RUN)
    assert list(check(first)) == []


def test_what_the_first_version_did_not_store_can_be_taken_away(first: Database):
    """So a large database of the first version can be made from one of today."""
    before = dump(first)
    migrate(first)
    assert dump(first) != before
    version_1.bring_back(first)
    assert dump(first) == before


def test_one_process_migrates_and_others_find_nothing_to_do(first: Database, server):
    begin = threading.Barrier(3)
    said: list[str] = []

    def work(number: int) -> list[str]:
        with Database.connect(server.bolt_uri, server.user, server.password) as own:
            begin.wait()
            return migrate(own, step=said.append)

    names = [each.name for each in MIGRATIONS[1:]]
    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(work, range(3))) == [[], [], names]
    assert said == names
    assert list(check(first)) == []
    assert first.read("MATCH (m:Migration {version: 0}) RETURN m") == []


def test_a_migration_that_is_stopped_between_two_steps_goes_on_there(first: Database):
    class Stopped(Exception):
        pass

    undisturbed = migrate(first)
    wanted = dump(first)
    version_1.bring_back(first)
    for stopped in undisturbed:

        def step(name: str, stopped: str = stopped) -> None:
            if name == stopped:
                raise Stopped

        with pytest.raises(Stopped):
            migrate(first, step=step)
    assert migrate(first) == undisturbed[-1:]
    assert dump(first) == wanted
    assert list(check(first)) == []
