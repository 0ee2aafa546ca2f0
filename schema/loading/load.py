"""Write circuits to Neo4j: one transaction a circuit, so nothing is ever half there.

1. check    the record: places of edges and members, finite numbers, storable text; before any writing
2. ask      whether the circuit is there: then nothing changes
3. detail   the circuit, its nodes, and its edges by their place in the list: nobody else's nodes are touched
4. share    lock the set; model, run, prompt, features, USES, labels, supernodes, the ledger's entry
5. count    DRIVES and DRIVES_IN of every pair of features by Welford's running mean and variance, FOUND_IN
            and COVERS

A circuit too large for one message goes in several, sized by bytes, of the same transaction. Several writers
work on step 3 side by side and take turns from step 4 on; when two meet anywhere else, the driver runs one of
them again. Nodes that circuits share (models, prompts, labels, …) keep what the first load said of them. All
lists are in the record's order and all sums are exact before rounding, so the same loads in the same order
give the same content.
"""

from collections.abc import Iterable
from typing import Any

from schema.circuit.records import Circuit, Run
from schema.database import Database, Transaction
from schema.errors import DatabaseError
from schema.loading.pairs import EACH_DRIVES, EACH_DRIVES_IN, EFFECTS, effects_of
from schema.loading.rows import batches, body, check, drives, frame
from schema.loading.runs import Entry

BATCH_BYTES = 4 << 20
"""A message to the database holds about this much; Neo4j keeps a multiple of it in memory meanwhile."""


def load_circuit(
    database: Database,
    circuit: Circuit,
    run: Run,
    entry: Entry | None = None,
    *,
    batch_bytes: int = BATCH_BYTES,
) -> bool:
    """Load one circuit with everything it refers to, and update the aggregates, in one transaction.

    entry: what the run's ledger will say of it: it becomes `loaded`, or `present` when the circuit is there
    already. False in that case; then nothing else changes. Raises InputError when the record does not
    fit together (nothing is written), DatabaseError when Neo4j fails (nothing is kept).
    """
    check(circuit)
    circuit_id = circuit.id
    frame_rows, body_rows, drives_rows = frame(circuit, run), body(circuit), drives(circuit)
    steps = batches(circuit_id, frame_rows, body_rows, batch_bytes)

    def work(transaction: Transaction) -> bool:
        there = bool(transaction.run(_THERE, {"p": {"ids": [circuit_id]}}))
        if not there:
            _write(transaction, steps, drives_rows)
        if entry is not None:
            outcome = "present" if there else "loaded"
            said = {"run": frame_rows["run"], "circuit": circuit_id, "entry": entry.row(run.id, outcome)}
            transaction.run(_ENTRY, {"p": said})
        return not there

    try:
        return database.transaction(work)
    except DatabaseError:
        # Another process may have loaded it at the same moment; the unique id let only one of the two win. Or
        # the connection broke amid the commit, which the driver does not try again: this waits and looks.
        if present(database, [circuit_id]):
            return database.transaction(work)
        raise


def prepare(database: Database) -> None:
    """Have the database plan what loading asks, without loading anything.

    It takes a cold server seconds; called beside other work, the first circuit need not wait for it.
    """
    for text in (*(_KEEP_PLAN + each for each in (_STEPS["whole"], _DRIVES, _DRIVES_IN, _COUNT)), _THERE):
        # A plan is found again by the text and the types of the parameters, so a map will do.
        database.write("EXPLAIN " + text, {"p": {}})


def _write(
    transaction: Transaction, steps: list[tuple[str, dict[str, Any]]], drives_rows: dict[str, Any]
) -> None:
    shared: dict[str, Any] = {}
    for step, parameters in steps:
        for row in transaction.run(_KEEP_PLAN + _STEPS[step], {"p": parameters}):
            shared = row
    circuit_id, family = shared["id"], shared["family"]
    transaction.run(_KEEP_PLAN + _DRIVES, {"p": drives_rows})
    if family is not None:
        transaction.run(_KEEP_PLAN + _DRIVES_IN, {"p": {**drives_rows, "family": family}})
    # When this load gives the prompt its family, circuits of the prompt that were there before count too.
    if shared["new_family"]:
        for other in transaction.run(_OTHERS, {"id": circuit_id}):
            effects = effects_of(transaction.run(EFFECTS, {"id": other["id"]}))
            transaction.run(_KEEP_PLAN + _DRIVES_IN, {"p": {**effects, "family": family}})
    transaction.run(_KEEP_PLAN + _COUNT, {"p": {"id": circuit_id, "all": shared["new_family"]}})


def present(database: Database, circuit_ids: Iterable[str]) -> set[str]:
    """The ids, of those asked for, whose circuits are in the database."""
    return {row["id"] for row in database.read(_THERE, {"p": {"ids": list(circuit_ids)}})}


# -- Cypher; every value from outside is a parameter. All are in one map, `p`: of a map Neo4j keeps no sizes,
# while it plans a query again (a second or two for the large ones) for every new order of size of each list.

_THERE = "UNWIND $p.ids AS id MATCH (c:Circuit {id: id}) RETURN c.id AS id"

_CIRCUIT = """
CREATE (c:Circuit)
SET c = $p.circuit
"""

_NODES = """
WITH c
CALL (c) {
  UNWIND $p.feature_nodes AS row CREATE (c)-[:HAS]->(n:Node:FeatureNode) SET n = row
  RETURN collect(n) AS feature_nodes
}
CALL (c) {
  UNWIND $p.error_nodes AS row CREATE (c)-[:HAS]->(n:Node:ErrorNode) SET n = row
  RETURN collect(n) AS error_nodes
}
CALL (c) {
  UNWIND $p.token_nodes AS row CREATE (c)-[:HAS]->(n:Node:TokenNode) SET n = row
  RETURN collect(n) AS token_nodes
}
CALL (c) {
  UNWIND $p.logit_nodes AS row CREATE (c)-[:HAS]->(n:Node:LogitNode) SET n = row
  RETURN collect(n) AS logit_nodes
}
CALL (c) {
  UNWIND $p.other_nodes AS row CREATE (c)-[:HAS]->(n:Node:OtherNode) SET n = row
  RETURN collect(n) AS other_nodes
}
"""

_EDGES = """
CALL (nodes) {
  UNWIND range(0, size($p.weights) - 1) AS i
  WITH nodes[$p.sources[i]] AS source, nodes[$p.targets[i]] AS target, i
  CREATE (source)-[:ATTRIBUTES {weight: $p.weights[i], share: $p.shares[i], heads: $p.heads[i],
                                head_weights: $p.head_weights[i]}]->(target)
}
"""

# Writing the set's id locks the set until the end of the transaction. Without that, two loaders could read
# the same aggregates and the second would overwrite what the first added. Features are the first of `nodes`.
_SHARE = """
CALL () {
  MERGE (t:TranscoderSet {id: $p.set.id}) ON CREATE SET t = $p.set
  SET t.id = $p.set.id
  // A set is of one model, whatever two loaders say of it at the same time.
  WITH t, EXISTS { (t)-[:FOR]->() } AS known
  FOREACH (new IN CASE WHEN known THEN [] ELSE [$p.model] END |
    MERGE (m:Model {id: new.id}) ON CREATE SET m = new
    CREATE (t)-[:FOR]->(m))
  WITH t
  CALL (t) { MATCH (t)-[:FOR]->(m:Model) RETURN m ORDER BY m.id LIMIT 1 }
  MERGE (r:Run {id: $p.run.id}) ON CREATE SET r = $p.run
  MERGE (p:Prompt {id: $p.prompt.id}) ON CREATE SET p = $p.prompt
  FOREACH (name IN $p.tags | MERGE (g:Tag {name: name}) MERGE (p)-[:TAGGED]->(g))
  WITH t, m, r, p, size($p.families) > 0 AND NOT EXISTS { (p)-[:IN_FAMILY]->() } AS new_family
  FOREACH (name IN CASE WHEN new_family THEN $p.families ELSE [] END |
    MERGE (y:Family {name: name}) CREATE (p)-[:IN_FAMILY]->(y))
  RETURN t, m, r, p, new_family
}
CALL (c, m) {
  UNWIND $p.head_totals AS row
  MERGE (h:Head {id: row.id}) ON CREATE SET h.layer = row.layer, h.number = row.head
  MERGE (h)-[:OF_MODEL]->(m)
  CREATE (c)-[:RUNS_THROUGH {net: row.net, gross: row.gross}]->(h)
}
CREATE (c)-[:OF_PROMPT]->(p), (c)-[:BY]->(t), (c)-[:FROM_RUN]->(r)
WITH c, t, new_family, nodes
CALL () {
  UNWIND $p.features AS row
  MERGE (f:Feature {id: row[0]})
  ON CREATE SET f.layer = row[1], f.index = row[2], f.component = row[3], f.n_circuits = 0,
                f.n_measured = 0, f.influence = 0.0, f.degree = 0
  RETURN collect(f) AS features
}
CALL (features, t) {
  UNWIND features AS f
  WITH f, t WHERE NOT EXISTS { (f)-[:IN]->() }
  CREATE (f)-[:IN]->(t)
}
CALL (nodes, features) {
  UNWIND range(0, size($p.instance_of) - 1) AS i
  WITH nodes[i] AS n, features[$p.instance_of[i]] AS f
  CREATE (n)-[:INSTANCE_OF]->(f)
}
CALL (c, features) {
  UNWIND $p.uses AS use
  WITH c, use, features[use.feature] AS f
  CREATE (c)-[:USES {influence: use.influence, activation: use.activation, positions: use.positions}]->(f)
  SET f.n_circuits = f.n_circuits + 1,
      f.n_measured = f.n_measured + CASE WHEN use.influence IS NULL THEN 0 ELSE 1 END,
      f.influence = f.influence + coalesce(use.influence, 0.0)
}
CALL (features) {
  UNWIND $p.labels AS row
  MERGE (l:Label {id: row.label.id}) ON CREATE SET l = row.label
  WITH l, features[row.feature] AS f
  MERGE (l)-[:LABELS]->(f)
}
CALL (c, nodes) {
  UNWIND $p.supernodes AS row
  CREATE (c)-[:HAS]->(s:Supernode)
  SET s = row.supernode
  MERGE (k:Concept {label: row.supernode.label})
  CREATE (s)-[:MEANS]->(k)
  WITH s, row, nodes
  UNWIND row.members AS member
  WITH s, nodes[member] AS n
  CREATE (s)-[:GROUPS]->(n)
}
RETURN c.id AS id, new_family,
       head(COLLECT { MATCH (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y) RETURN y.name }) AS family
"""

_ALL_NODES = """
WITH c, feature_nodes + error_nodes + token_nodes + logit_nodes + other_nodes AS nodes
"""

_FIND_CIRCUIT = "MATCH (c:Circuit {id: $p.id})\n"

_FIND_NODES = "CALL () { UNWIND $p.ids AS id MATCH (n:Node {id: id}) RETURN collect(n) AS nodes }\n"

# Planning these takes longer than running them; what is in the database does not change the best plan.
_KEEP_PLAN = "CYPHER replan=skip\n"

_STEPS = {
    "whole": _CIRCUIT + _NODES + _ALL_NODES + _EDGES + "WITH c, nodes" + _SHARE,
    "circuit": _CIRCUIT + "FINISH",
    "nodes": _FIND_CIRCUIT + _NODES + "FINISH",
    "edges": _FIND_NODES + _EDGES + "FINISH",
    "share": _FIND_CIRCUIT + _FIND_NODES + "WITH c, nodes" + _SHARE,
}
"""What one message does; `schema.loading.rows.batches` says which are needed."""

_FIRST = """n_circuits: 1, n_positive: CASE WHEN w > 0 THEN 1 ELSE 0 END,
                       n_negative: CASE WHEN w < 0 THEN 1 ELSE 0 END, mean: w, m2: 0.0, sd: 0.0,
                       sign_consistency: CASE WHEN w = 0 THEN 0.0 ELSE 1.0 END, pair: pair"""

_NEXT = """
WITH d, w WHERE d IS NOT NULL
WITH d, w, d.n_circuits + 1 AS n, d.mean AS before,
     d.n_positive + CASE WHEN w > 0 THEN 1 ELSE 0 END AS positive,
     d.n_negative + CASE WHEN w < 0 THEN 1 ELSE 0 END AS negative
WITH *, before + (w - before) / n AS mean
WITH *, d.m2 + (w - before) * (w - mean) AS m2
SET d.n_circuits = n, d.n_positive = positive, d.n_negative = negative, d.mean = mean, d.m2 = m2,
    d.sd = sqrt(m2 / n),
    d.sign_consistency = CASE WHEN positive > negative THEN 1.0 * positive / n ELSE 1.0 * negative / n END
"""

# What is not there is created without MERGE: the set's lock keeps others from creating the same.
_DRIVES = f"""{EACH_DRIVES}
CALL (f, g, w, pair, d) {{
  WITH f, g, w, pair, d WHERE d IS NULL
  CREATE (f)-[:DRIVES {{{_FIRST}}}]->(g)
  SET f.degree = f.degree + 1, g.degree = g.degree + 1
}}{_NEXT}"""

_DRIVES_IN = f"""{EACH_DRIVES_IN}
CALL (f, g, w, pair, d) {{
  WITH f, g, w, pair, d WHERE d IS NULL
  CREATE (f)-[:DRIVES_IN {{{_FIRST}, family: $p.family}}]->(g)
}}{_NEXT}"""

_OTHERS = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(:Prompt)<-[:OF_PROMPT]-(o:Circuit)
WHERE o <> c
RETURN o.id AS id ORDER BY id
"""

_COUNT = """
MATCH (c:Circuit {id: $p.id})-[:BY]->(t:TranscoderSet), (c)-[:OF_PROMPT]->(p:Prompt)-[:IN_FAMILY]->(y:Family)
MATCH (p)<-[:OF_PROMPT]-(o:Circuit)-[:BY]->(s:TranscoderSet)
WHERE o = c OR $p.all
WITH y, o, s ORDER BY o.id
MERGE (s)-[v:COVERS]->(y)
SET v.n_circuits = coalesce(v.n_circuits, 0) + 1
WITH y, o
MATCH (o)-[u:USES]->(f:Feature)
MERGE (f)-[i:FOUND_IN]->(y)
SET i.n_circuits = coalesce(i.n_circuits, 0) + 1,
    i.n_measured = coalesce(i.n_measured, 0) + CASE WHEN u.influence IS NULL THEN 0 ELSE 1 END,
    i.influence = coalesce(i.influence, 0.0) + coalesce(u.influence, 0.0)
"""

_ENTRY = """
MERGE (r:Run {id: $p.run.id}) ON CREATE SET r = $p.run
MERGE (e:Entry {id: $p.entry.id})
// Run again because the answer to its commit was lost, a load finds its own circuit: it stays loaded.
WITH r, e, coalesce(e.outcome = "loaded", false) AS ours
SET e = $p.entry
SET e.outcome = CASE WHEN ours THEN "loaded" ELSE $p.entry.outcome END
MERGE (r)-[:LISTS]->(e)
WITH e
MATCH (c:Circuit {id: $p.circuit})
MERGE (e)-[:GAVE]->(c)
"""
