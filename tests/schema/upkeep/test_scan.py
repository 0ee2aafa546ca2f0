"""The check that scans in bulk finds what comparing everything one by one finds, in any damaged database."""

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.load import load_circuits
from schema.model.core import schema_statements
from schema.upkeep import check as checking
from schema.upkeep import scan as scanning
from schema.upkeep.check import Inconsistency, check
from schema.upkeep.scan import SCANNED, scan
from tests.schema.upkeep.test_check import FAULTS, HUGE, PLANTED
from tests.support.circuits import RUN, synthetic_circuits
from tests.support.servers import empty


def slowly(database: Database) -> list[Inconsistency]:
    """The findings of the check that compares everything one by one."""
    return sorted(check(database, bulk=False))


def loaded(database: Database, circuits: list[Circuit]) -> None:
    list(load_circuits(database, ((each, None) for each in circuits), RUN))


def quiet(what: str, done: float, total: float | None) -> None:
    pass


def circuits() -> list[Circuit]:
    """Circuits with and without a family, of two sets, two of them of one prompt."""
    first, second, third, *others = synthetic_circuits(4)
    return [
        first,
        replace(first, node_threshold=0.5),
        replace(second, prompt=replace(second.prompt, family=None)),
        replace(third, transcoders=replace(third.transcoders, name="another set")),
        *others,
    ]


EVERY = "MATCH (n:FeatureNode) WITH n ORDER BY n.id SKIP $skip LIMIT 1 "
OTHERS = [
    # What belongs to a circuit.
    EVERY + "SET n.influence = n.influence + 0.1",
    EVERY + "REMOVE n.influence",
    EVERY + "SET n.position = n.position + 1",
    EVERY + "SET n.layer = 3 - n.layer",
    EVERY + "REMOVE n.layer",
    EVERY + "SET n.id = 'elsewhere/' + n.id",
    EVERY + "REMOVE n:FeatureNode SET n:OtherNode",
    EVERY + "SET n:ErrorNode",
    EVERY + "REMOVE n:Node",
    EVERY
    + "MATCH (c:Circuit) WHERE NOT (c)-[:HAS]->(n) WITH c, n ORDER BY c.id LIMIT 1 CREATE (c)-[:HAS]->(n)",
    EVERY + "MATCH (c:Circuit)-[:HAS]->(n) CREATE (c)-[:HAS]->(n)",
    EVERY + "MATCH (n)-[e:ATTRIBUTES]->() SET e.share = 0.9 - e.share",
    EVERY + "MATCH (n)-[e:ATTRIBUTES]->() REMOVE e.share",
    EVERY + "MATCH (n)-[e:ATTRIBUTES]->() SET e.weight = -e.weight",
    EVERY + "MATCH (n)-[e:ATTRIBUTES]->() REMOVE e.weight",
    EVERY + "MATCH (n)-[e:ATTRIBUTES]->() DELETE e",
    EVERY + "MATCH (n)-[:ATTRIBUTES]->(m) WITH n, m LIMIT 1 "
    "CREATE (n)-[:ATTRIBUTES {weight: 1.0, share: 0.1}]->(m)",
    EVERY + "MATCH (c:Circuit)-[:HAS]->(n) MATCH (o:Circuit)-[:HAS]->(m:LogitNode) WHERE o <> c "
    "WITH n, m ORDER BY m.id LIMIT 1 CREATE (n)-[:ATTRIBUTES {weight: 1.0, share: 0.1}]->(m)",
    EVERY + "MATCH (n)-[i:INSTANCE_OF]->() DELETE i",
    EVERY + "MATCH (f:Feature) WHERE NOT (n)-[:INSTANCE_OF]->(f) WITH n, f ORDER BY f.id LIMIT 1 "
    "CREATE (n)-[:INSTANCE_OF]->(f)",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 SET c.stage_flows = c.stage_flows[..3]",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 REMOVE c.layer_errors",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 SET c.layer_features = c.layer_features + 0.5",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 REMOVE c.n_edges",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 MATCH (c)-[u:USES]->(f) WITH c, f LIMIT 1 "
    "CREATE (c)-[:USES]->(f)",
    "MATCH (:Circuit)-[u:USES]->() WITH u ORDER BY elementId(u) LIMIT 1 REMOVE u.positions",
    "MATCH (:Circuit)-[u:USES]->() WITH u ORDER BY elementId(u) LIMIT 1 SET u.influence = 0.0 / 0.0",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 MATCH (c)-[r:OF_PROMPT]->() DELETE r",
    "MATCH (c:Circuit) WITH c ORDER BY c.id LIMIT 1 MATCH (p:Prompt) WHERE NOT (c)-[:OF_PROMPT]->(p) "
    "WITH c, p ORDER BY p.id LIMIT 1 CREATE (c)-[:OF_PROMPT]->(p)",
    "MATCH (p:Prompt)-[i:IN_FAMILY]->() WITH i ORDER BY elementId(i) LIMIT 1 DELETE i",
    "MATCH (p:Prompt)-[:IN_FAMILY]->(a), (b:Family) WHERE a <> b WITH p, b ORDER BY p.id, b.name LIMIT 1 "
    "CREATE (p)-[:IN_FAMILY]->(b)",
    # What belongs to features and pairs.
    *(
        f"MATCH ()-[d:{kind}]->() WITH d ORDER BY elementId(d) SKIP $skip LIMIT 1 {change}"
        for kind in ("DRIVES", "DRIVES_IN")
        for change in (
            "SET d.n_circuits = d.n_circuits + 1",
            "SET d.n_circuits = 'one'",
            "REMOVE d.n_negative",
            "SET d.m2 = d.m2 + 0.001",
            "SET d.sd = d.sd + 0.001",
            "SET d.sign_consistency = 0.4",
            "SET d.mean = 0.0 / 0.0",
            "REMOVE d.pair",
            "SET d.mean = d.mean * (1 + 1e-9)",
            "WITH d, startNode(d) AS f, endNode(d) AS g CREATE (f)-[x:DRIVES]->(g) SET x = properties(d)",
            "WITH d, startNode(d) AS f, endNode(d) AS g, properties(d) AS p "
            "DELETE d CREATE (g)-[x:DRIVES_IN]->(f) SET x = p",
        )
    ),
    "MATCH ()-[d:DRIVES_IN]->() WITH d ORDER BY elementId(d) LIMIT 1 REMOVE d.family",
    "MATCH (:Feature)-[i:FOUND_IN]->() WITH i ORDER BY elementId(i) LIMIT 1 SET i.n_measured = 0",
    "MATCH (:Feature)-[i:FOUND_IN]->() WITH i ORDER BY elementId(i) LIMIT 1 REMOVE i.influence",
    "MATCH (f:Feature)-[i:FOUND_IN]->(y) WITH f, i, y ORDER BY elementId(i) LIMIT 1 "
    "CREATE (f)-[x:FOUND_IN]->(y) SET x = properties(i)",
    "MATCH (f:Feature), (y:Family) WHERE NOT (f)-[:FOUND_IN]->(y) WITH f, y ORDER BY f.id, y.name LIMIT 1 "
    "CREATE (f)-[:FOUND_IN {n_circuits: 1, n_measured: 0, influence: 0.0}]->(y)",
    "MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 REMOVE f.degree",
    "MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 SET f.n_measured = 1.5",
    "MATCH (f:Feature) WITH f ORDER BY f.id LIMIT 1 REMOVE f.layer",
]

MORE = [*(fault for fault, _ in PLANTED), *(f"{EVERY} {change}" for change in HUGE), *OTHERS]


@pytest.mark.parametrize("seed", range(3))
def test_many_faults_at_once_are_found_as_one_by_one(database: Database, seed: int):
    loaded(database, circuits())
    rng = random.Random(seed)
    for fault in rng.sample(MORE, 12):
        database.write(fault, {"skip": rng.randrange(20)})
    assert sorted(check(database)) == slowly(database)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_that_can_be_repaired_is_left(database: Database, seed: int):
    loaded(database, circuits())
    for fault in random.Random(seed).sample([each for each, _ in PLANTED], 8):
        database.write(fault)
    found = list(check(database, repair=True))
    assert found
    assert all(each.mended for each in found)
    assert slowly(database) == []


def test_a_clean_database_has_no_suspects(database: Database, monkeypatch: pytest.MonkeyPatch):
    loaded(database, circuits())
    found = scan(database, quiet)
    assert found.circuits == set()
    assert {each.name: found.of(each) for each in SCANNED} == {each.name: [] for each in SCANNED}
    # In many small pieces, and in several ranges of features.
    for name in ("EDGES", "CIRCUITS", "FEATURES", "SOURCES_AT_ONCE", "WAITING"):
        monkeypatch.setattr(scanning, name, 7)
    again = scan(database, quiet, pairs=100)
    assert {each.name: again.of(each) for each in SCANNED} == {each.name: [] for each in SCANNED}


def test_faults_are_found_in_every_range_of_features(database: Database, monkeypatch: pytest.MonkeyPatch):
    loaded(database, circuits())
    for fault in (fault for fault, _ in PLANTED[:18]):
        database.write(fault)
    for name in ("EDGES", "CIRCUITS", "FEATURES", "SOURCES_AT_ONCE", "WAITING"):
        monkeypatch.setattr(scanning, name, 7)
    monkeypatch.setattr(checking, "scan", partial(scan, pairs=100))
    assert sorted(check(database)) == slowly(database)


def test_an_empty_database_has_no_suspects(database: Database):
    found = scan(database, quiet)
    assert (found.circuits, [found.of(each) for each in SCANNED]) == (set(), [[]] * len(SCANNED))


def test_faults_of_the_whole_check_are_found_without_constraints(database: Database, no_constraint: Database):
    loaded(no_constraint, circuits())
    for fault in FAULTS:
        no_constraint.write(fault)
    assert sorted(check(no_constraint)) == slowly(no_constraint)


@pytest.fixture
def no_constraint(database: Database) -> Iterator[Database]:
    names = ("tag_name", "circuit_id", "feature_id")
    for name in names:
        database.write(f"DROP CONSTRAINT {name}")
    yield database
    empty(database)
    for statement in schema_statements():
        database.write(statement)
    database.read("CALL db.awaitIndexes(300)")
