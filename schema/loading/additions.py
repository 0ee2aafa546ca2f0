"""Adds the supernodes, labels and attention traces of a file to a circuit that is already stored.

The nodes and edges of the circuit stay as they are, because they determine its id.
"""

from typing import NamedTuple

from schema.circuit.records import Circuit
from schema.database import Database
from schema.loading.fragments import ATTACH_LABEL, CREATE_SUPERNODE, GROUP_MEMBERS, LOCK_SET, MERGE_LABEL
from schema.loading.rows import body


class AddedParts(NamedTuple):
    """What was added to a stored circuit, as the database counted it."""

    n_supernodes: int = 0
    n_labels: int = 0
    n_traces: int = 0
    """1 if the circuit got the attention scores that the other tool traced."""


NOTHING_ADDED = AddedParts()


def add_groupings(database: Database, circuit: Circuit) -> AddedParts:
    """Add the supernodes, labels and traces that the stored circuit lacks, in one transaction."""
    if not (circuit.labels or circuit.supernodes or circuit.qk_tracing):
        return NOTHING_ADDED
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
    rows = database.write(_ADD, parameters)
    return AddedParts(**rows[0]) if rows else NOTHING_ADDED


_ADD = f"""
MATCH (c:Circuit {{id: $id}})-[:BY]->(t:TranscoderSet)
{LOCK_SET}
WITH c, CASE WHEN c.qk_tracing IS NULL AND $traced IS NOT NULL THEN 1 ELSE 0 END AS n_traces
SET c.qk_tracing = coalesce(c.qk_tracing, $traced)
WITH c, n_traces
CALL (c) {{
  UNWIND $groups AS row
  WITH c, row WHERE NOT EXISTS {{ (:Supernode {{id: row.supernode.id}}) }}
  {CREATE_SUPERNODE}{GROUP_MEMBERS}
  RETURN count(DISTINCT s) AS n_supernodes
}}
CALL () {{
  UNWIND $labels AS row
  MATCH (f:Feature {{id: row.feature}})
  WITH row, f, NOT EXISTS {{ (:Label {{id: row.label.id}})-[:LABELS]->(f) }} AS new
  {MERGE_LABEL}
  {ATTACH_LABEL}
  RETURN count(CASE WHEN new THEN 1 END) AS n_labels
}}
RETURN n_supernodes, n_labels, n_traces
"""
