"""Adds the supernodes, labels and attention traces of a file to a circuit that is already stored.

The nodes and edges of the circuit stay as they are, because they determine its id.
"""

from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.fragments import ATTACH_LABEL, CREATE_SUPERNODE, GROUP_MEMBERS, LOCK_SET, MERGE_LABEL
from schema.loading.rows import body


def add_groupings(database: Database, circuit: Circuit) -> None:
    """Add the supernodes, labels and traces that the stored circuit lacks, in one transaction."""
    if not (circuit.labels or circuit.supernodes or circuit.qk_tracing):
        return
    parts = body(circuit)
    ids = parts.nodes.ids()
    groups = {
        row["supernode"]["id"]: {**row, "members": [ids[member] for member in row["members"]]}
        for row in parts.supernodes
    }
    labels = [{**row, "feature": parts.features[row["feature"]]["id"]} for row in parts.labels]
    parameters = {
        "id": circuit.id,
        "groups": list(groups.values()),
        "labels": labels,
        "traced": circuit.qk_tracing,
    }
    database.write(_ADD, parameters)


_ADD = f"""
MATCH (c:Circuit {{id: $id}})-[:BY]->(t:TranscoderSet)
{LOCK_SET}
SET c.qk_tracing = coalesce(c.qk_tracing, $traced)
WITH c
CALL (c) {{
  UNWIND $groups AS row
  WITH c, row WHERE NOT EXISTS {{ (:Supernode {{id: row.supernode.id}}) }}
  {CREATE_SUPERNODE}{GROUP_MEMBERS}
}}
CALL () {{
  UNWIND $labels AS row
  MATCH (f:Feature {{id: row.feature}})
  {MERGE_LABEL}
  {ATTACH_LABEL}
}}
"""
