"""Cypher fragments that several queries share, each written once.

Names of variables: c circuit, t transcoder set, r run, e entry, f feature, l label, s supernode, k concept,
n node, `row` the row of parameters that is written.
"""

from schema.circuit.records import ATLAS
from schema.database import Transaction

LOCK_SET = "SET t.id = t.id"
"""Locks the transcoder set `t` until the transaction ends, because Neo4j locks every node that is written.

Everything that changes aggregates or groupings locks the set first. Without the lock, two writers could read
the same aggregate, and the second would overwrite what the first added.
"""

LOCK_SET_OF_CIRCUIT = f"MATCH (c:Circuit {{id: $id}})-[:BY]->(t:TranscoderSet) {LOCK_SET}"
"""Finds the circuit $id and locks its set. Gives no row when there is no such circuit."""

LOCK_NEW_SETS = "MATCH (gate:Migration {version: 1}) SET gate.version = gate.version"
"""Locks the creation of sets. Every migrated database has this node, and nothing else writes to it."""

_LOCK_ALL_SETS = f"MATCH (t:TranscoderSet) WITH t ORDER BY t.id {LOCK_SET}"
"""Locks all sets that exist, in one order, so that two writers cannot wait for each other."""


def lock_everything(transaction: Transaction) -> None:
    """Keep every load from reaching what circuits share, until the transaction ends.

    A deletion looks whether a prompt, tag, model or run has another circuit, and a move takes all circuits of
    a prompt to another family. A load of another set, or of a set that does not exist yet, could add a
    circuit between the look and the change.
    """
    transaction.run(LOCK_NEW_SETS)
    transaction.run(_LOCK_ALL_SETS)


MERGE_LABEL = "MERGE (l:Label {id: row.label.id}) ON CREATE SET l = row.label"
"""Creates the label of a row unless it exists. A label that exists stays as it is."""

FIRST_OF_METHOD = f"""
WHERE row.label.author <> '{ATLAS}' OR NOT EXISTS {{
  (:Label {{author: row.label.author, method: row.label.method}})-[:LABELS]->(f)
}}
"""
"""Leaves out a label by the atlas when feature `f` has one of its method already."""

ATTACH_LABEL = "MERGE (l)-[:LABELS]->(f)"

CREATE_SUPERNODE = """
CREATE (c)-[:HAS]->(s:Supernode)
SET s = row.supernode
MERGE (k:Concept {label: row.supernode.label})
CREATE (s)-[:MEANS]->(k)
"""
"""Creates the supernode of a row in circuit `c`, and its concept unless that exists."""

GROUP_MEMBERS = """
WITH s, row
UNWIND row.members AS member
MATCH (n:Node {id: member})
CREATE (s)-[:GROUPS]->(n)
"""
"""Groups the nodes whose ids are the members of the row. It ends with one row for each member."""


def merge_run(run: str) -> str:
    """Creates the run whose properties an expression gives, unless it exists."""
    return f"MERGE (r:Run {{id: {run}.id}}) ON CREATE SET r = {run}"


def write_entry(entry: str) -> str:
    """Writes the entry whose properties an expression gives, over an earlier entry of the same input."""
    return f"MERGE (e:Entry {{id: {entry}.id}})\nSET e = {entry}\nMERGE (r)-[:LISTS]->(e)"
