"""A database with every node and relationship that loading, measuring and people make."""

from schema.annotations.supernodes import NodeGroup, rename
from schema.annotations.supernodes import group as make_group
from schema.database import Database
from schema.evidence.claims import ClaimOutcome, ClaimStatement, keep_claim, kept_claim
from schema.evidence.components import ComponentEffects, MeasuredHead, keep_components
from schema.evidence.hypotheses import HypothesisOutcome, HypothesisStatement, keep_test, register
from schema.evidence.interventions import InterventionRecord, keep_diagnosis
from schema.evidence.statements import ChangedNode, MeasuredCircuit
from schema.jobs import RequestedPrompt, finish, request, take
from schema.loading.load import load_circuit
from schema.loading.runs import Entry
from tests.support.circuits import RUN, synthetic_circuits


def fill(database: Database) -> None:
    """Load twelve circuits; annotate one of them in every way."""
    for circuit in synthetic_circuits(12):
        load_circuit(database, circuit, RUN, Entry(circuit.id, circuit.prompt.text))
    claim = HypothesisStatement(
        "why?", ("ablate 1/2@all",), "lowers", ("a b",), ("c",), ("d",), "model", "set"
    )
    register(database, claim)
    held_out = InterventionRecord("h", "a b", "c", ["ablate 1/2@all"], -1.0, 0.0, 0.5, 9, 2, 0)
    keep_test(database, claim, HypothesisOutcome(-1.0, 0.0, 9, 0.1), [held_out])
    found = database.read(
        "MATCH (c:Circuit)-[:USES]->(f) RETURN c.id AS circuit, f.id AS feature "
        "ORDER BY circuit, feature LIMIT 1"
    )[0]
    test = held_out._replace(id="x", predicted=-0.5, p=0.1, share=0.3, weight=2.0)
    keep_diagnosis(database, found["circuit"], [(test, found["feature"])])
    measured_parts = ComponentEffects("x/components", "c", [0.1], [0.2], [0.3], [0.4])
    keep_components(database, found["circuit"], measured_parts, [MeasuredHead(0, 0, -0.5)])
    asked = ClaimStatement(
        *(("ablate 1/2@all",), "set", "model", "transcoders", (found["circuit"],), "capitals", "nothing"),
        *("0-1", "0-3", 9, 0),
    )
    nodes = database.read(
        "MATCH (:Circuit {id: $circuit})-[:HAS]->(n:Node) RETURN n.id AS id ORDER BY id LIMIT 2", found
    )
    changes = [ChangedNode(nodes[0]["id"], None, 0.5), ChangedNode(nodes[1]["id"], 0.25, 0.5)]
    mine = test._replace(id="y", share=None, stands_for=None)
    tested = MeasuredCircuit(mine, found["circuit"], [found["feature"]], changes)
    keep_claim(database, asked, ClaimOutcome(-0.5, -1.0, 0.0, 0.5, 0.1), [tested])
    assert kept_claim(database, asked.id) == asked
    job = request(database, [RequestedPrompt("a b")], "me")
    taken = take(database, "worker")
    assert taken is not None
    finish(database, job, "worker", circuits=[found["circuit"]], problems=[])
    (node,) = database.read(
        "MATCH (:Circuit {id: $id})-[:HAS]->(n:FeatureNode) RETURN n.id AS id ORDER BY id LIMIT 1",
        {"id": found["circuit"]},
    )
    group = make_group(database, found["circuit"], NodeGroup("mine", (node["id"],)), "me")
    rename(database, rename(database, group, "ours", "me"), "theirs", "me")
