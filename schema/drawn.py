"""What people drew in a graph that is in the database already: its supernodes and labels, added.

The graph itself stays as it is: a circuit goes by its nodes and edges.
"""

from schema.database import Database
from schema.records import Circuit
from schema.rows import KINDS, body


def add_drawn(database: Database, circuit: Circuit) -> None:
    """Add the circuit's supernodes and labels that the database lacks, in one transaction."""
    if not circuit.labels and not circuit.supernodes:
        return
    rows = body(circuit)
    ids = [row["id"] for kind in KINDS for row in rows[kind]]
    features = [row[0] for row in rows["features"]]
    groups = [
        {"supernode": row["supernode"], "members": [ids[member] for member in row["members"]]}
        for row in rows["supernodes"]
    ]
    labels = [{"label": row["label"], "feature": features[row["feature"]]} for row in rows["labels"]]
    database.write(_ADD, {"id": circuit.id, "groups": groups, "labels": labels})


# Writing the set's id locks it, as every loader does, so that two never write the same at once.
_ADD = """
MATCH (c:Circuit {id: $id})-[:BY]->(t:TranscoderSet)
SET t.id = t.id
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
