"""Write circuits to Neo4j and take them out again: one transaction a circuit, so nothing is ever half there.

1. check    the record: places of edges and members, finite numbers, storable text; before any writing
2. ask      whether the circuit is there: then nothing changes
3. frame    model, set, run, prompt, and the circuit itself
4. body     features, nodes, edges by their place in the list, USES, labels, supernodes
5. drives   DRIVES of every pair of features, brought up to date with Welford's running mean and variance

Nodes that circuits share (models, prompts, labels, …) keep what the first load said of them. All lists are in
the record's order and all sums are exact before rounding, so the same loads in the same order give the same
content.
"""

from collections import defaultdict
from collections.abc import Iterable

from schema.database import Database, Transaction
from schema.errors import DatabaseError
from schema.records import Circuit, Run
from schema.rows import body, check, drives, frame, pairs


def load_circuit(database: Database, circuit: Circuit, run: Run) -> bool:
    """Load one circuit with everything it refers to, and update the aggregates, in one transaction.

    False when the circuit is there already; then nothing changes. Raises InputError when the record does not
    fit together (nothing is written), DatabaseError when Neo4j fails (nothing is kept).
    """
    check(circuit)
    circuit_id = circuit.id
    frame_rows, body_rows, drives_rows = frame(circuit, run), body(circuit), drives(circuit)

    def work(transaction: Transaction) -> bool:
        if transaction.run(_THERE, {"ids": [circuit_id]}):
            return False
        transaction.run(_FRAME, frame_rows)
        transaction.run(_BODY, body_rows)
        transaction.run(_DRIVES, drives_rows)
        return True

    try:
        return database.transaction(work)
    except DatabaseError:
        # Another process may have loaded it at the same moment; the unique id let only one of the two win.
        if present(database, [circuit_id]):
            return False
        raise


def present(database: Database, circuit_ids: Iterable[str]) -> set[str]:
    """The ids, of those asked for, whose circuits are in the database."""
    return {row["id"] for row in database.read(_THERE, {"ids": list(circuit_ids)})}


def delete_circuit(database: Database, circuit_id: str) -> bool:
    """Take one circuit out, withdraw its share of the aggregates, and remove what no circuit refers to.

    A feature that no circuit uses goes, with its labels, unless a person labelled it. False when there is no
    such circuit. One transaction.
    """

    def work(transaction: Transaction) -> bool:
        if not transaction.run(_LOCK, {"id": circuit_id}):
            return False
        effects: dict[tuple[str, str], list[float]] = defaultdict(list)
        for row in transaction.run(_EFFECTS, {"id": circuit_id}):
            effects[row["source"], row["target"]].append(row["weight"])
        transaction.run(_WITHDRAW, pairs(effects))
        transaction.run(_DELETE, {"id": circuit_id})
        return True

    return database.transaction(work)


# -- Cypher; every value from outside is a parameter

_THERE = "UNWIND $ids AS id MATCH (c:Circuit {id: id}) RETURN c.id AS id"

# Writing the set's id locks the set until the end of the transaction. Without that, two loaders could read
# the same DRIVES and the second would overwrite what the first added.
_FRAME = """
MERGE (m:Model {id: $model.id}) ON CREATE SET m = $model
MERGE (t:TranscoderSet {id: $set.id}) ON CREATE SET t = $set
SET t.id = $set.id
MERGE (t)-[:FOR]->(m)
MERGE (r:Run {id: $run.id}) ON CREATE SET r = $run
MERGE (p:Prompt {id: $prompt.id}) ON CREATE SET p = $prompt
CREATE (c:Circuit)
SET c = $circuit
CREATE (c)-[:OF_PROMPT]->(p), (c)-[:BY]->(t), (c)-[:FROM_RUN]->(r)
FOREACH (name IN $tags | MERGE (g:Tag {name: name}) MERGE (p)-[:TAGGED]->(g))
WITH p
WHERE NOT EXISTS { (p)-[:IN_FAMILY]->() }
UNWIND $families AS name
MERGE (f:Family {name: name})
CREATE (p)-[:IN_FAMILY]->(f)
"""

_BODY = """
MATCH (c:Circuit {id: $id})-[:BY]->(t:TranscoderSet)
CALL () {
  UNWIND $features AS row
  MERGE (f:Feature {id: row[0]}) ON CREATE SET f.layer = row[1], f.index = row[2], f.component = row[3]
  RETURN collect(f) AS features
}
CALL (features, t) {
  UNWIND features AS f
  WITH f, t WHERE NOT EXISTS { (f)-[:IN]->() }
  CREATE (f)-[:IN]->(t)
}
CALL (c) {
  UNWIND $feature_nodes AS row CREATE (c)-[:HAS]->(n:Node:FeatureNode) SET n = row
  RETURN collect(n) AS feature_nodes
}
CALL (c) {
  UNWIND $error_nodes AS row CREATE (c)-[:HAS]->(n:Node:ErrorNode) SET n = row
  RETURN collect(n) AS error_nodes
}
CALL (c) {
  UNWIND $token_nodes AS row CREATE (c)-[:HAS]->(n:Node:TokenNode) SET n = row
  RETURN collect(n) AS token_nodes
}
CALL (c) {
  UNWIND $logit_nodes AS row CREATE (c)-[:HAS]->(n:Node:LogitNode) SET n = row
  RETURN collect(n) AS logit_nodes
}
CALL (c) {
  UNWIND $other_nodes AS row CREATE (c)-[:HAS]->(n:Node:OtherNode) SET n = row
  RETURN collect(n) AS other_nodes
}
WITH c, features, feature_nodes + error_nodes + token_nodes + logit_nodes + other_nodes AS nodes
CALL (nodes, features) {
  UNWIND range(0, size($instance_of) - 1) AS i
  WITH nodes[i] AS n, features[$instance_of[i]] AS f
  CREATE (n)-[:INSTANCE_OF]->(f)
}
CALL (nodes) {
  UNWIND range(0, size($weights) - 1) AS i
  WITH nodes[$sources[i]] AS source, nodes[$targets[i]] AS target, i
  CREATE (source)-[:ATTRIBUTES {weight: $weights[i], share: $shares[i]}]->(target)
}
CALL (c, features) {
  UNWIND $uses AS use
  WITH c, use, features[use.feature] AS f
  CREATE (c)-[:USES {influence: use.influence, activation: use.activation, positions: use.positions}]->(f)
}
CALL (features) {
  UNWIND $labels AS row
  MERGE (l:Label {id: row.label.id}) ON CREATE SET l = row.label
  WITH l, features[row.feature] AS f
  MERGE (l)-[:LABELS]->(f)
}
CALL (c, nodes) {
  UNWIND $supernodes AS row
  CREATE (c)-[:HAS]->(s:Supernode)
  SET s = row.supernode
  MERGE (k:Concept {label: row.supernode.label})
  CREATE (s)-[:MEANS]->(k)
  WITH s, row
  UNWIND row.members AS member
  WITH s, nodes[member] AS n
  CREATE (s)-[:GROUPS]->(n)
}
"""

_DRIVES = """
CALL () { UNWIND $features AS id MATCH (f:Feature {id: id}) RETURN collect(f) AS features }
UNWIND range(0, size($weights) - 1) AS i
WITH features[$sources[i]] AS f, features[$targets[i]] AS g, $weights[i] AS w
MERGE (f)-[d:DRIVES]->(g)
WITH d, w, coalesce(d.n_circuits, 0) + 1 AS n, coalesce(d.mean, 0.0) AS before,
     coalesce(d.n_positive, 0) + CASE WHEN w > 0 THEN 1 ELSE 0 END AS positive,
     coalesce(d.n_negative, 0) + CASE WHEN w < 0 THEN 1 ELSE 0 END AS negative
WITH *, before + (w - before) / n AS mean
WITH *, coalesce(d.m2, 0.0) + (w - before) * (w - mean) AS m2
SET d.n_circuits = n, d.n_positive = positive, d.n_negative = negative, d.mean = mean, d.m2 = m2,
    d.sd = sqrt(m2 / n),
    d.sign_consistency = CASE WHEN positive > negative THEN 1.0 * positive / n ELSE 1.0 * negative / n END
"""

_LOCK = "MATCH (c:Circuit {id: $id})-[:BY]->(t:TranscoderSet) SET t.id = t.id RETURN c.id AS id"

_EFFECTS = """
MATCH (:Circuit {id: $id})-[:HAS]->(n:FeatureNode)-[e:ATTRIBUTES]->(m:FeatureNode),
      (n)-[:INSTANCE_OF]->(f:Feature), (m)-[:INSTANCE_OF]->(g:Feature)
RETURN f.id AS source, g.id AS target, e.weight AS weight
"""

_WITHDRAW = """
CALL () { UNWIND $features AS id MATCH (f:Feature {id: id}) RETURN collect(f) AS features }
UNWIND range(0, size($weights) - 1) AS i
WITH features[$sources[i]] AS f, features[$targets[i]] AS g, $weights[i] AS w
MATCH (f)-[d:DRIVES]->(g)
WITH d, w, d.n_circuits - 1 AS n, d.mean AS before,
     d.n_positive - CASE WHEN w > 0 THEN 1 ELSE 0 END AS positive,
     d.n_negative - CASE WHEN w < 0 THEN 1 ELSE 0 END AS negative
WITH *, CASE n WHEN 0 THEN 0.0 ELSE before + (before - w) / n END AS mean
WITH *, d.m2 - (w - before) * (w - mean) AS left
WITH *, CASE WHEN n < 2 OR left < 0 THEN 0.0 ELSE left END AS m2
SET d.n_circuits = n, d.n_positive = positive, d.n_negative = negative, d.mean = mean, d.m2 = m2,
    d.sd = CASE n WHEN 0 THEN 0.0 ELSE sqrt(m2 / n) END,
    d.sign_consistency =
      CASE WHEN n = 0 THEN 0.0 WHEN positive > negative THEN 1.0 * positive / n ELSE 1.0 * negative / n END
WITH d WHERE d.n_circuits = 0
DELETE d
"""

# What only this circuit referred to goes with it, from the circuit outwards.
_DELETE = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(p:Prompt), (c)-[:BY]->(t:TranscoderSet), (c)-[:FROM_RUN]->(r:Run)
CALL (c) { MATCH (c)-[:USES]->(f:Feature) RETURN collect(f) AS features }
CALL (c) { MATCH (c)-[:HAS]->(:Supernode)-[:MEANS]->(k:Concept) RETURN collect(DISTINCT k) AS concepts }
CALL (c) { MATCH (c)-[:HAS]->(part) DETACH DELETE part }
CALL (c) { DETACH DELETE c }
CALL (concepts) { UNWIND concepts AS k WITH k WHERE NOT EXISTS { (k)<-[:MEANS]-() } DELETE k }
CALL (features) {
  UNWIND features AS f
  WITH f WHERE NOT EXISTS { (f)<-[:USES]-() } AND NOT EXISTS { (f)<-[:LABELS]-(:Label {method: "person"}) }
  OPTIONAL MATCH (f)<-[:LABELS]-(l:Label)
  DETACH DELETE l, f
}
CALL (r) { WITH r WHERE NOT EXISTS { (r)<-[:FROM_RUN]-() } DELETE r }
CALL (p) {
  WITH p WHERE NOT EXISTS { (p)<-[:OF_PROMPT]-() }
  OPTIONAL MATCH (p)-[:TAGGED|IN_FAMILY]->(group)
  WITH p, collect(group) AS groups
  DETACH DELETE p
  WITH groups
  UNWIND groups AS group
  WITH group WHERE NOT EXISTS { (group)<-[:TAGGED|IN_FAMILY]-() }
  DELETE group
}
CALL (t) {
  WITH t WHERE NOT EXISTS { (t)<-[:BY|IN]-() }
  MATCH (t)-[:FOR]->(m:Model)
  DETACH DELETE t
  WITH m WHERE NOT EXISTS { (m)<-[:FOR]-() }
  DETACH DELETE m
}
"""
