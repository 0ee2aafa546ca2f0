"""Writes circuits to Neo4j, each in one transaction, so that no circuit is ever stored in part.

1. check    the record: places of edges and members, finite numbers, valid texts. Nothing is written yet
2. present  when the circuit is stored already, nothing changes
3. detail   the circuit, its nodes, and its edges by place in the list. No other circuit is touched
4. shared   lock the set; write model, run, prompt, features, USES, labels and supernodes
5. count    add the circuit to DRIVES (`schema.loading.aggregates`), and to the DRIVES_IN, FOUND_IN and COVERS
            of its family (`schema.loading.families`)
6. ledger   write the entry of the input

A circuit that is too large for one message is sent in several messages of one transaction. Several writers
can work on step 3 at the same time. From step 4 on, the lock of the set lets one continue at a time; after
any other conflict the driver runs one of the transactions again. Nodes that circuits share (models, prompts,
labels, …) keep the properties that the first load gave them. All lists have the record's order, and all sums
are exact before they are rounded, so the same loads in the same order give the same content.
"""

from collections.abc import Iterable
from typing import NamedTuple

from schema.circuit.records import Circuit, Run
from schema.database import Database, Transaction
from schema.errors import DatabaseError
from schema.loading.aggregates import ADD_EFFECT, FIRST_EFFECT, add_use
from schema.loading.effects import (
    EACH_DRIVES,
    FeatureEffects,
    effects_of_record,
    stored_effects,
)
from schema.loading.families import ADD_TO_DRIVES_IN, COUNT_IN_FAMILY, KEEP_PLAN, join
from schema.loading.fragments import (
    ATTACH_LABEL,
    CREATE_SUPERNODE,
    FIRST_OF_METHOD,
    LOCK_NEW_SETS,
    LOCK_SET,
    MERGE_LABEL,
    merge_run,
)
from schema.loading.rows import Message, body, frame, messages
from schema.loading.runs import Entry
from schema.loading.validate import check_record

BATCH_BYTES = 4 << 20
"""Approximate size in bytes of the largest message. Neo4j keeps several times as much in memory for it."""


def load_circuit(
    database: Database,
    circuit: Circuit,
    run: Run,
    entry: Entry | None = None,
    *,
    batch_bytes: int = BATCH_BYTES,
) -> bool:
    """Load one circuit with everything it refers to, and update the aggregates, in one transaction.

    Returns False when the circuit is stored already; then only the ledger changes. entry: the input in the
    run's ledger; its outcome becomes `loaded`, or `present` when the circuit is stored already. Raises
    InputError when the parts of the record do not fit together; then nothing is written. Raises DatabaseError
    when Neo4j fails; then nothing is kept.
    """
    check_record(circuit)
    circuit_id = circuit.id
    framed, effects = frame(circuit, run), effects_of_record(circuit)
    to_send = messages(framed, body(circuit), batch_bytes)

    def work(transaction: Transaction) -> bool:
        stored = bool(transaction.run(_PRESENT, {"p": {"ids": [circuit_id]}}))
        if not stored:
            _write(transaction, circuit_id, to_send, effects)
        if entry is not None:
            row = entry.row(run.id, "present" if stored else "loaded")
            transaction.run(_ENTRY, {"p": {"run": framed.run, "circuit": circuit_id, "entry": row}})
        return not stored

    try:
        return database.transaction(work)
    except DatabaseError:
        # Another process may have loaded the circuit at the same moment: its unique id lets only one succeed.
        # Or the connection broke during the commit, which the driver does not repeat. Asking waits for its
        # end.
        if present(database, [circuit_id]):
            return database.transaction(work)
        raise


def prepare(database: Database) -> None:
    """Let the database plan the queries of loading, without loading anything.

    Planning takes seconds on a server that has just started. Call this beside other work, so that the first
    circuit does not wait.
    """
    for text in (
        KEEP_PLAN + STEPS["everything"],
        KEEP_PLAN + _DRIVES,
        ADD_TO_DRIVES_IN,
        COUNT_IN_FAMILY,
        _PRESENT,
    ):
        # Neo4j finds a plan by the text and the types of the parameters, so an empty map is enough.
        database.write("EXPLAIN " + text, {"p": {}})


def _write(
    transaction: Transaction, circuit_id: str, to_send: list[Message], effects: FeatureEffects
) -> None:
    family: str | None = None
    new_family = False
    for message in to_send:
        for row in transaction.run(KEEP_PLAN + STEPS[message.step], {"p": message.parameters}):
            family, new_family = row["family"], row["new_family"]
    transaction.run(KEEP_PLAN + _DRIVES, {"p": effects._asdict()})
    if family is not None:
        join(transaction, circuit_id, family, effects)
    # When this load gives the prompt its family, the stored circuits of the prompt now belong to the family.
    if family is not None and new_family:
        for other in transaction.run(_OTHERS, {"id": circuit_id}):
            join(transaction, other["id"], family, stored_effects(transaction, other["id"]))


class StoredSize(NamedTuple):
    """How large a stored circuit is."""

    n_active_features: int | None
    """Feature nodes that were active before any selection; None when unknown."""
    n_edges: int


def present(database: Database, circuit_ids: Iterable[str]) -> dict[str, StoredSize]:
    """The given ids whose circuits are stored, with the size of each circuit."""
    rows = database.read(_PRESENT, {"p": {"ids": list(circuit_ids)}})
    return {row["id"]: StoredSize(row["n_active_features"], row["n_edges"]) for row in rows}


# -- Cypher. Every value from outside is a parameter. All parameters are in one map, `p`, because Neo4j plans
# a query again (1 to 2 s for the large ones) for each new order of magnitude of the size of a list parameter,
# but does not look at the sizes of lists inside a map.

_PRESENT = """
UNWIND $p.ids AS id MATCH (c:Circuit {id: id})
RETURN c.id AS id, c.n_active_features AS n_active_features, c.n_edges AS n_edges
"""

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

# Feature nodes are the first of `nodes`.
_SHARED = f"""
CALL () {{
  // A deletion locks the stored sets, and the creation of new ones.
  OPTIONAL MATCH (stored:TranscoderSet {{id: $p.transcoders.id}})
  CALL (stored) {{ WITH stored WHERE stored IS NULL {LOCK_NEW_SETS} }}
  MERGE (t:TranscoderSet {{id: $p.transcoders.id}}) ON CREATE SET t = $p.transcoders
  {LOCK_SET}
  // A set belongs to one model, even when two loaders name different models at the same time.
  WITH t, EXISTS {{ (t)-[:FOR]->() }} AS known
  FOREACH (new IN CASE WHEN known THEN [] ELSE [$p.model] END |
    MERGE (m:Model {{id: new.id}}) ON CREATE SET m = new
    CREATE (t)-[:FOR]->(m))
  WITH t
  CALL (t) {{ MATCH (t)-[:FOR]->(m:Model) RETURN m ORDER BY m.id LIMIT 1 }}
  {merge_run("$p.run")}
  MERGE (p:Prompt {{id: $p.prompt.id}}) ON CREATE SET p = $p.prompt
  FOREACH (name IN $p.tags | MERGE (g:Tag {{name: name}}) MERGE (p)-[:TAGGED]->(g))
  WITH t, m, r, p, size($p.families) > 0 AND NOT EXISTS {{ (p)-[:IN_FAMILY]->() }} AS new_family
  FOREACH (name IN CASE WHEN new_family THEN $p.families ELSE [] END |
    MERGE (y:Family {{name: name}}) CREATE (p)-[:IN_FAMILY]->(y))
  RETURN t, m, r, p, new_family
}}
CALL (c, m) {{
  UNWIND $p.head_totals AS row
  MERGE (h:Head {{id: row.id}}) ON CREATE SET h.layer = row.layer, h.number = row.head
  MERGE (h)-[:OF_MODEL]->(m)
  CREATE (c)-[:RUNS_THROUGH {{net: row.net, gross: row.gross}}]->(h)
}}
CREATE (c)-[:OF_PROMPT]->(p), (c)-[:BY]->(t), (c)-[:FROM_RUN]->(r)
WITH c, t, new_family, nodes
CALL () {{
  UNWIND $p.features AS row
  MERGE (f:Feature {{id: row.id}})
  ON CREATE SET f = row, f.n_circuits = 0, f.n_measured = 0, f.influence = 0.0, f.degree = 0
  RETURN collect(f) AS features
}}
CALL (features, t) {{
  UNWIND features AS f
  WITH f, t WHERE NOT EXISTS {{ (f)-[:IN]->() }}
  CREATE (f)-[:IN]->(t)
}}
CALL (nodes, features) {{
  UNWIND range(0, size($p.instance_of) - 1) AS i
  WITH nodes[i] AS n, features[$p.instance_of[i]] AS f
  CREATE (n)-[:INSTANCE_OF]->(f)
}}
CALL (c, features) {{
  UNWIND $p.uses AS use
  WITH c, use, features[use.feature] AS f
  CREATE (c)-[:USES {{influence: use.influence, activation: use.activation, positions: use.positions}}]->(f)
  {add_use("f", "use.influence")}
}}
CALL (features) {{
  UNWIND $p.labels AS row
  WITH row, features[row.feature] AS f
  {FIRST_OF_METHOD}
  {MERGE_LABEL}
  {ATTACH_LABEL}
}}
CALL (c, nodes) {{
  UNWIND $p.supernodes AS row
  {CREATE_SUPERNODE}
  WITH s, row, nodes
  UNWIND row.members AS member
  WITH s, nodes[member] AS n
  CREATE (s)-[:GROUPS]->(n)
}}
RETURN new_family,
       head(COLLECT {{ MATCH (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y) RETURN y.name }}) AS family
"""

_ALL_NODES = """
WITH c, feature_nodes + error_nodes + token_nodes + logit_nodes + other_nodes AS nodes
"""

_FIND_CIRCUIT = "MATCH (c:Circuit {id: $p.id})\n"

_FIND_NODES = "CALL () { UNWIND $p.ids AS id MATCH (n:Node {id: id}) RETURN collect(n) AS nodes }\n"

STEPS = {
    "everything": _CIRCUIT + _NODES + _ALL_NODES + _EDGES + "WITH c, nodes" + _SHARED,
    "circuit": _CIRCUIT + "FINISH",
    "nodes": _FIND_CIRCUIT + _NODES + "FINISH",
    "edges": _FIND_NODES + _EDGES + "FINISH",
    "shared": _FIND_CIRCUIT + _FIND_NODES + "WITH c, nodes" + _SHARED,
}
"""Name of a step → its query. `schema.loading.rows.messages` decides which steps a circuit needs."""

# New relationships are created without MERGE, because the lock of the set keeps others from creating them.
_DRIVES = f"""{EACH_DRIVES}
CALL (f, g, w, pair, d) {{
  WITH f, g, w, pair, d WHERE d IS NULL
  CREATE (f)-[:DRIVES {{{FIRST_EFFECT}}}]->(g)
  SET f.degree = f.degree + 1, g.degree = g.degree + 1
}}{ADD_EFFECT}"""

_OTHERS = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(:Prompt)<-[:OF_PROMPT]-(o:Circuit)
WHERE o <> c
RETURN o.id AS id ORDER BY id
"""

_ENTRY = f"""
{merge_run("$p.run")}
MERGE (e:Entry {{id: $p.entry.id}})
// When the answer to a commit was lost, the load runs again and finds its own circuit: it stays `loaded`.
WITH r, e, coalesce(e.outcome = "loaded", false) AS ours
SET e = $p.entry
SET e.outcome = CASE WHEN ours THEN "loaded" ELSE $p.entry.outcome END
MERGE (r)-[:LISTS]->(e)
WITH e
MATCH (c:Circuit {{id: $p.circuit}})
MERGE (e)-[:GAVE]->(c)
"""
