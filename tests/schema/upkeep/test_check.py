"""`check` finds every planted fault and nothing else; `repair` puts right what follows from the rest."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from atlas.local.server import Address
from schema.database import Database
from schema.loading.load import load_circuit, load_circuits
from schema.model.core import schema_statements
from schema.upkeep.canonical_dump import dump
from schema.upkeep.check import Inconsistency, check
from schema.upkeep.delete import delete_circuit
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.cli import Cli
from tests.support.servers import empty, environment_of
from tests.support.stored import assert_effects, whole


@pytest.fixture
def loaded(database: Database) -> Database:
    for circuit in synthetic_circuits(5):
        load_circuit(database, circuit, RUN)
    return database


@pytest.fixture
def schema_back(database: Database) -> Iterator[Database]:
    """Puts constraints and indexes back, whatever the test dropped."""
    yield database
    empty(database)
    for statement in schema_statements():
        database.write(statement)
    database.read("CALL db.awaitIndexes(300)")


def test_a_loaded_database_is_clean(loaded: Database):
    assert list(check(loaded)) == []
    assert list(check(loaded, page=7)) == []


SUMS = "Feature.n_circuits, n_measured, influence"

PLANTED = [
    ("MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 MATCH (c)-[u:USES]->() SET u.influence = 100", "USES"),
    ("MATCH (c:Circuit)-[u:USES]->() WITH u ORDER BY elementId(u) LIMIT 1 DELETE u", "USES"),
    ("MATCH (:Circuit)-[u:USES]->() WITH u ORDER BY elementId(u) LIMIT 1 SET u.positions = [99]", "USES"),
    ("MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 SET f.n_circuits = 77", SUMS),
    ("MATCH (f:Feature) WITH f ORDER BY f.id DESC LIMIT 1 SET f.influence = f.influence + 1e-4", SUMS),
    ("MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 SET f.degree = 77", "Feature.degree"),
    ("MATCH ()-[d:DRIVES_IN]->() WITH d ORDER BY elementId(d) LIMIT 1 DELETE d", "DRIVES_IN"),
    (
        "MATCH ()-[d:DRIVES_IN]->() WITH d ORDER BY elementId(d) LIMIT 1 SET d.mean = d.mean + 1e-4",
        "DRIVES_IN",
    ),
    ("MATCH ()-[d:DRIVES_IN]->() WITH d ORDER BY elementId(d) LIMIT 1 SET d.family = 'none'", "DRIVES_IN"),
    ("MATCH ()-[d:DRIVES]->() WITH d ORDER BY elementId(d) LIMIT 1 DELETE d", "DRIVES"),
    ("MATCH ()-[d:DRIVES]->() WITH d ORDER BY elementId(d) LIMIT 1 SET d.mean = d.mean + 1e-4", "DRIVES"),
    ("MATCH ()-[d:DRIVES]->() WITH d ORDER BY elementId(d) LIMIT 1 SET d.n_positive = 9", "DRIVES"),
    ("MATCH ()-[d:DRIVES]->() WITH d ORDER BY elementId(d) LIMIT 1 SET d.pair = d.pair + 1", "DRIVES"),
    (
        "MATCH (f:Feature), (g:Feature) WHERE NOT (f)-[:DRIVES]->(g) WITH f, g ORDER BY f.id, g.id LIMIT 1 "
        "CREATE (f)-[:DRIVES {n_circuits: 1, n_positive: 1, n_negative: 0, mean: 1.0, m2: 0.0, sd: 0.0, "
        "sign_consistency: 1.0}]->(g)",
        "DRIVES",
    ),
    (
        "MATCH (:Feature)-[i:FOUND_IN]->() WITH i ORDER BY elementId(i) LIMIT 1 SET i.influence = 9",
        "FOUND_IN",
    ),
    ("MATCH (:TranscoderSet)-[v:COVERS]->() WITH v ORDER BY elementId(v) LIMIT 1 DELETE v", "COVERS"),
    (
        "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 SET c.layer_errors = [x IN c.layer_errors | x + 1]",
        "Circuit.layer_features, layer_errors",
    ),
    (
        "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 REMOVE c.layer_features, c.layer_errors",
        "Circuit.layer_features, layer_errors",
    ),
    (
        "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 SET c.stage_flows = [x IN c.stage_flows | x + 1]",
        "Circuit.stage_flows",
    ),
    ("CREATE (:Node:ErrorNode {id: 'alone'})", "orphan"),
    (
        "CREATE (:Feature {id: 'alone'})-[:IN]->(:TranscoderSet {id: 'other'})-[:FOR]->(:Model {id: 'm'})",
        "orphan",
    ),
    (
        "MATCH (f:Feature {id: 'alone'}) CREATE (f)<-[:LABELS]-(:Label {id: 'its'}), "
        "(f)<-[:EXAMPLE_OF]-(:Example {id: 'its'}), (:Example {id: 'alone'})",
        "orphan",
    ),
    ("CREATE (:Prompt {id: 'alone'}), (:Family {name: 'alone'}), (:Tag {name: 'alone'})", "orphan"),
    ("CREATE (:Label {id: 'alone'}), (:Concept {label: 'alone'}), (:Supernode {id: 'alone'})", "orphan"),
    ("CREATE (:Entry {id: 'alone', outcome: 'loaded'})", "orphan"),
]


def test_planted_faults_are_named_and_mended(loaded: Database):
    for fault, _ in PLANTED:
        loaded.write(fault)
    found = list(check(loaded))
    assert {each.kind for each in found} == {kind for _, kind in PLANTED}
    assert sum(each.kind == "orphan" for each in found) == 10
    assert "DRIVES" in "".join(each.sentence() for each in found)
    mended = list(check(loaded, repair=True))
    assert {each.kind for each in mended} == {kind for _, kind in PLANTED}
    assert all(each.mended for each in mended)
    # The label and the example of the feature are orphans only once it is gone.
    assert sum(each.kind == "orphan" for each in mended) == 12
    assert list(check(loaded)) == []


def test_broken_circuits_are_named(loaded: Database):
    first, second, third = (
        row["id"] for row in loaded.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id LIMIT 3")
    )
    loaded.write(
        "MATCH (:Circuit {id: $id})-[:HAS]->(n:TokenNode) WITH n LIMIT 1 DETACH DELETE n", {"id": first}
    )
    loaded.write(
        "MATCH (:Circuit {id: $id})-[:HAS]->()-[e:ATTRIBUTES]->() WITH e LIMIT 1 DELETE e", {"id": second}
    )
    loaded.write("MATCH (:Circuit {id: $id})-[r:FROM_RUN]->() DELETE r", {"id": third})
    found = [each for each in check(loaded) if each.kind == "broken circuit"]
    assert sorted(each.where for each in found) == [first, second, third]
    assert [each.fix for each in found] == [f"atlas delete --circuit {each.where}" for each in found]


DOUBLED = "2 nodes have it"


def _first_feature(database: Database) -> str:
    first: str = database.read("MATCH (f:Feature) RETURN min(f.id) AS id")[0]["id"]
    return first


def test_missing_indexes_and_doubled_keys_are_named(loaded: Database, schema_back: Database):
    loaded.write("DROP CONSTRAINT tag_name")
    loaded.write("DROP INDEX feature_layer_index_range")
    loaded.write("DROP INDEX drives_pair_range")
    loaded.write("MATCH (p:Prompt) WITH p LIMIT 1 CREATE (p)-[:TAGGED]->(:Tag {name: 'easy'})")
    assert list(check(loaded)) == [
        Inconsistency("doubled key", "Tag easy", DOUBLED),
        Inconsistency("missing index", "Feature(layer, index)", "the index does not exist"),
        Inconsistency("missing constraint", "Tag.name", "the constraint does not exist"),
        Inconsistency("missing index", "DRIVES(pair)", "the index does not exist"),
    ]
    loaded.write("MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 SET f.n_circuits = 77")
    mended = [(each.kind, each.where, each.mended) for each in check(loaded, repair=True)]
    assert mended == [
        ("doubled key", "Tag easy", True),
        ("missing index", "Feature(layer, index)", True),
        ("missing constraint", "Tag.name", True),
        ("missing index", "DRIVES(pair)", True),
        (SUMS, _first_feature(loaded), True),
    ]
    assert list(check(loaded)) == []


def test_a_key_that_only_orphans_double_is_mended(loaded: Database, schema_back: Database):
    loaded.write("DROP CONSTRAINT tag_name")
    loaded.write("CREATE (:Tag {name: 'easy'}), (:Tag {name: 'lost'}), (:Tag {name: 'lost'})")
    *orphans, last = [(each.kind, each.where, each.mended) for each in check(loaded, repair=True)]
    assert sorted(orphans) == [("orphan", "easy", True), ("orphan", "lost", True), ("orphan", "lost", True)]
    assert last == ("missing constraint", "Tag.name", True)
    assert list(check(loaded)) == []


HUGE = [
    "SET n.activation = 1e308",
    "SET n.influence = -1e308",
    "SET n.activation = 0.0 / 0.0",
    "WITH n MATCH (n)-[e:ATTRIBUTES]->() SET e.weight = 1e308",
    "WITH n MATCH (n)-[e:ATTRIBUTES]->() SET e.weight = -1e308",
    "WITH n MATCH (n)-[e:ATTRIBUTES]->() SET e.weight = 1.0 / 0.0",
    "WITH n MATCH (n)-[e:ATTRIBUTES]->() SET e.weight = 0.0 / 0.0",
]


def test_whatever_number_is_stored_is_named_mended_and_deleted(database: Database):
    circuits = synthetic_circuits(len(HUGE) + 2)
    for circuit in circuits:
        load_circuit(database, circuit, RUN)
    huge = sorted(circuit.id for circuit in circuits[: len(HUGE)])
    for each, change in zip(huge, HUGE, strict=True):
        database.write(f"MATCH (:Circuit {{id: $id}})-[:HAS]->(n:FeatureNode) {change}", {"id": each})
    broken = [each for each in check(database, repair=True) if not each.mended]
    assert {each.kind for each in broken} == {"broken circuit"}
    assert sorted(each.fix for each in broken) == [f"atlas delete --circuit {each}" for each in huge]
    # The aggregates follow from the nodes and edges, however large these are.
    assert list(check(database)) == broken
    for each in huge:
        assert delete_circuit(database, each) is not None
    assert list(check(database)) == []
    assert_effects(database, circuits[len(HUGE) :])


NODE = "MATCH (:Circuit {id: $id})-[:HAS]->(n:FeatureNode)-[i:INSTANCE_OF]->(f) "
EXCHANGED = [
    # A node becomes an instance of another feature.
    NODE + "MATCH (g:Feature {layer: f.layer}) WHERE f <> g WITH n, i, g ORDER BY n.id, g.id LIMIT 1 "
    "DELETE i CREATE (n)-[:INSTANCE_OF]->(g)",
    NODE + "MATCH (g:Feature {index: f.index}) WHERE f <> g WITH n, i, g ORDER BY n.id, g.id LIMIT 1 "
    "DELETE i CREATE (n)-[:INSTANCE_OF]->(g)",
    NODE + "WITH n, i, f ORDER BY n.id LIMIT 1 DELETE i "
    "CREATE (n)-[:INSTANCE_OF]->(g:Feature {id: 'other/' + f.layer + '/' + f.index})"
    "-[:IN]->(:TranscoderSet {id: 'other'})-[:FOR]->(:Model {id: 'other'}) "
    "SET g.layer = f.layer, g.index = f.index",
    NODE + "WITH n ORDER BY n.id LIMIT 1 SET n.component = 'attention'",
    NODE + "WITH n ORDER BY n.id LIMIT 1 REMOVE n.index",
    # A node makes room for another one. Neither has edges.
    "MATCH (c:Circuit {id: $id})-[:HAS]->(n:Node) WHERE NOT (n)-[:ATTRIBUTES]-() "
    "WITH c, n ORDER BY n.id LIMIT 1 DETACH DELETE n "
    "CREATE (c)-[:HAS]->(:Node:ErrorNode {id: 'one more', layer: 0, position: 1})",
]
"""Faults of a circuit that keeps the numbers of its nodes and edges."""


def test_an_exchanged_part_is_named_where_all_aggregates_agree_with_it(database: Database):
    circuits = synthetic_circuits(len(EXCHANGED) + 2)
    list(load_circuits(database, ((each, None) for each in circuits), RUN))
    damaged = sorted(circuit.id for circuit in circuits[1:-1])
    for each, fault in zip(damaged, EXCHANGED, strict=True):
        database.write(fault, {"id": each})
    list(check(database, repair=True))
    found = list(check(database))
    assert sorted(check(database, bulk=False)) == sorted(found)
    assert {each.kind for each in found} == {"broken circuit", "broken node"}
    assert sorted(each.fix for each in found) == [f"atlas delete --circuit {each}" for each in damaged]
    for each in damaged:
        assert delete_circuit(database, each) is not None
    assert list(check(database)) == []
    left = [circuits[0], circuits[-1]]
    assert whole(database, circuits) == left
    assert_effects(database, left)


FIRST = "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 "
# No fault depends on the order in which nodes are stored. The faults of one node of the last circuit add up
# to another fault: the node is an instance of another feature.
FAULTS = [
    *(fault for fault, _ in PLANTED),
    "MATCH (:Circuit)-[:HAS]->(n:TokenNode) WITH n ORDER BY n.id LIMIT 1 DETACH DELETE n",
    "MATCH (:Circuit)-[:HAS]->(n:FeatureNode) WITH n ORDER BY n.id LIMIT 1 DETACH DELETE n",
    "MATCH (:Circuit)-[:HAS]->(n)-[e:ATTRIBUTES]->(m) WITH e ORDER BY n.id, m.id LIMIT 1 DELETE e",
    *(f"{FIRST}MATCH (c)-[r:{type_}]->() DELETE r" for type_ in ("FROM_RUN", "OF_PROMPT", "BY", "USES")),
    *(
        f"{FIRST}CREATE (c)-[:{type_}]->(:{label} {{{key}: 'second'}})"
        for type_, label, key in (
            ("FROM_RUN", "Run", "id"),
            ("OF_PROMPT", "Prompt", "id"),
            ("BY", "TranscoderSet", "id"),
        )
    ),
    "MATCH (n:FeatureNode)-[i:INSTANCE_OF]->() WITH n, i ORDER BY n.id DESC LIMIT 1 DELETE i",
    "MATCH (n:FeatureNode), (f:Feature) WHERE f.index <> n.index "
    "WITH n, f ORDER BY n.id DESC, f.id LIMIT 1 CREATE (n)-[:INSTANCE_OF]->(f)",
    "MATCH (f:Feature)-[i:IN]->() WITH i ORDER BY f.id LIMIT 3 DELETE i",
    "MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 "
    "CREATE (f)-[:IN]->(:TranscoderSet {id: 'of none', name: 'none'})",
    "MATCH (t:TranscoderSet)<-[:BY]-() WITH t ORDER BY t.id LIMIT 1 "
    "CREATE (t)-[:FOR]->(:Model {id: 'zzz', name: 'zzz'})",
    "MATCH (:TranscoderSet {id: 'other'})-[r:FOR]->() DELETE r",
    f"{FIRST}CREATE (c)-[:HAS]->(:Node:ErrorNode {{id: 'one more'}})",
    "MATCH (p:Prompt) WITH p ORDER BY p.id LIMIT 1 "
    "CREATE (p)-[:TAGGED]->(:Tag {name: 'easy'}), (:Tag)<-[:TAGGED]-(p)",
    "MATCH (f:Feature)-[:IN]->(t) WITH f, t ORDER BY f.id LIMIT 1 CREATE (:Feature {id: f.id})-[:IN]->(t)",
    f"{FIRST}CREATE (:Circuit {{id: c.id}})-[:HAS]->(:Node:ErrorNode {{id: 'new'}})",
]


def test_every_finding_names_the_command_that_corrects_it(loaded: Database, server: Address, schema_back):
    loaded.write("DROP CONSTRAINT tag_name")
    loaded.write("DROP CONSTRAINT circuit_id")
    loaded.write("DROP CONSTRAINT feature_id")
    loaded.write("DROP INDEX drives_pair_range")
    for fault in FAULTS:
        loaded.write(fault)
    atlas = Cli(environment_of(server))
    rounds = 0
    while found := list(check(loaded)):
        rounds += 1
        assert rounds <= 3, found
        for command in sorted({each.fix for each in found}):
            done = atlas(*command.split()[1:])
            assert done.error is None, done.text
            if command.startswith("atlas delete"):
                assert done.stdout.startswith(("1 circuit deleted", "2 circuits deleted"))
    assert_effects(loaded, whole(loaded, synthetic_circuits(5)))


def test_deleting_what_is_huge_leaves_no_rounding_behind(database: Database):
    """1e9 + 1e-3 - 1e9 is not 1e-3 in floating point; the aggregates must say 1e-3 all the same."""
    first = synthetic_circuits(1)[0]
    huge = replace(
        first,
        node_threshold=0.5,
        edges=tuple(edge._replace(weight=edge.weight * 1e9) for edge in first.edges),
        nodes=tuple(
            replace(node, influence=None if node.influence is None else node.influence * 1e12)
            for node in first.nodes
        ),
    )
    small = replace(first, node_threshold=0.6)
    for circuit in (huge, first, small):
        load_circuit(database, circuit, RUN)
    delete_circuit(database, huge.id)
    assert list(check(database)) == []
    cleaned = dump(database)
    delete_circuit(database, small.id)
    delete_circuit(database, first.id)
    for circuit in (first, small):
        load_circuit(database, circuit, RUN)
    again = dump(database)
    for kind in ("DRIVES", "DRIVES_IN", "FOUND_IN", "Feature"):
        for ours, theirs in zip(cleaned.pop(kind), again[kind], strict=True):
            assert ours[:-1] == theirs[:-1]
            assert ours[-1] == {
                name: pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
                for name, value in theirs[-1].items()
            }
