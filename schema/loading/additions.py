"""What a file says of a graph that is in the database already: its supernodes and labels, added, and what was
traced of its attention scores.

The graph itself stays as it is: a circuit goes by its nodes and edges.
"""

from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.rows import KINDS, body


def add_drawn(database: Database, circuit: Circuit) -> None:
    """Add what the database lacks of the circuit's supernodes, labels and traces, in one transaction."""
    if not (circuit.labels or circuit.supernodes or circuit.qk_tracing):
        return
    rows = body(circuit)
    ids = [row["id"] for kind in KINDS for row in rows[kind]]
    features = [row[0] for row in rows["features"]]
    groups = [
        {"supernode": row["supernode"], "members": [ids[member] for member in row["members"]]}
        for row in rows["supernodes"]
    ]
    labels = [{"label": row["label"], "feature": features[row["feature"]]} for row in rows["labels"]]
    parameters = {"id": circuit.id, "groups": groups, "labels": labels, "traced": circuit.qk_tracing}
    database.write(_ADD, parameters)


# Writing the set's id locks it, as every loader does, so that two never write the same at once.
_ADD = """
MATCH (c:Circuit {id: $id})-[:BY]->(t:TranscoderSet)
SET t.id = t.id, c.qk_tracing = coalesce(c.qk_tracing, $traced)
WITH c
CALL (c) {
  UNWIND $groups AS row
  MERGE (s:Supernode {id: row.supernode.id}) ON CREATE SET s = row.supernode
  MERGE (c)-[:HAS]->(s)
  MERGE (k:Concept {label: row.supernode.label})
  MERGE (s)-[:MEANS]->(k)
  WITH s, row
  UNWIND row.members AS member
  MATCH (n:Node {id: member})
  MERGE (s)-[:GROUPS]->(n)
}
CALL () {
  UNWIND $labels AS row
  MATCH (f:Feature {id: row.feature})
  MERGE (l:Label {id: row.label.id}) ON CREATE SET l = row.label
  MERGE (l)-[:LABELS]->(f)
}
"""
