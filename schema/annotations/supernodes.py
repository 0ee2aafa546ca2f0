"""Writes supernodes of people. Each change makes a new version, and the earlier version is kept.

1. lock     the transcoder set of the circuit, as every loader does
2. find     the supernodes to replace, also among earlier versions
3. name     each new version by its content and what it replaces, so that repeating a call changes nothing
4. replace  a person's supernode becomes a FormerSupernode with its properties; a method's supernode stays
5. write    the new versions
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schema.circuit.records import stable_id
from schema.database import Database, Transaction
from schema.errors import ConflictError, InputError, NotFoundError
from schema.loading.fragments import CREATE_SUPERNODE, GROUP_MEMBERS, LOCK_SET_OF_CIRCUIT

PERSON = "person"


class NodeGroup(NamedTuple):
    """Nodes of one circuit under one label."""

    label: str
    nodes: tuple[str, ...]


class StoredSupernode(NamedTuple):
    """A supernode, or an earlier version of one, as it is stored."""

    id: str
    circuit: str
    """Id of the circuit."""
    method: str
    former: bool
    """Whether a newer version replaced it."""
    members: list[str]
    """Ids of the nodes, sorted."""


def group(database: Database, circuit: str, wanted: NodeGroup, author: str) -> str:
    """Group nodes of a circuit, and return the id of the supernode.

    Raises NotFoundError for a circuit or node that does not exist, and ConflictError when the supernode was
    replaced meanwhile.
    """

    def work(transaction: Transaction) -> list[str]:
        _lock(transaction, circuit)
        return _write(transaction, circuit, [], [wanted], author)

    return database.transaction(work)[0]


def rename(database: Database, supernode: str, label: str, author: str) -> str:
    """Give a supernode another label, and return the id of the new version.

    A supernode of a method stays, and the person gets a copy. Raises as `group`.
    """
    return merge(database, [supernode], label, author)


def merge(database: Database, supernodes: Sequence[str], label: str, author: str) -> str:
    """Merge supernodes into one of all their members, and return its id.

    Raises InputError when they belong to several circuits, and otherwise as `group`.
    """

    def work(transaction: Transaction) -> list[str]:
        circuit, found = _find(transaction, supernodes)
        nodes = sorted({node for each in found for node in each.members})
        return _write(transaction, circuit, found, [NodeGroup(label, tuple(nodes))], author)

    return database.transaction(work)[0]


def split(database: Database, supernode: str, parts: Sequence[NodeGroup], author: str) -> list[str]:
    """Split a supernode into parts, and return their ids in the same order.

    Raises InputError unless each member, and no other node, is in exactly one part, and otherwise as `group`.
    """

    def work(transaction: Transaction) -> list[str]:
        circuit, found = _find(transaction, [supernode])
        members, named = found[0].members, [node for part in parts for node in part.nodes]
        if sorted(members) != sorted(named):
            wrong = sorted(set(members) ^ set(named)) or sorted(n for n in set(named) if named.count(n) > 1)
            raise InputError(
                f"The parts do not divide the members of {supernode}: see {wrong[0]}",
                next_step="put each of its members, and no other node, into exactly one part",
            )
        return _write(transaction, circuit, found, parts, author)

    return database.transaction(work)


def _lock(transaction: Transaction, circuit: str) -> None:
    if not transaction.run(_LOCK, {"id": circuit}):
        raise NotFoundError(
            f"The database has no circuit {circuit!r}", next_step="list the ids with `circuits` in GraphQL"
        )


def _find(transaction: Transaction, supernodes: Sequence[str]) -> tuple[str, list[StoredSupernode]]:
    rows = {row["id"]: row for row in transaction.run(_FIND, {"ids": list(supernodes)})}
    missing = [each for each in supernodes if each not in rows]
    if missing:
        raise NotFoundError(
            f"The database has no supernode {missing[0]!r}",
            next_step="list the ids with `supernodes` in GraphQL; `atlas supernodes` replaces its own",
        )
    circuits = sorted({row["circuit"] for row in rows.values()})
    if len(circuits) > 1:
        raise InputError(
            f"The supernodes belong to {len(circuits)} circuits", next_step="name supernodes of one circuit"
        )
    _lock(transaction, circuits[0])
    # Read again: the lock now keeps others from changing them.
    return circuits[0], [StoredSupernode(**row) for row in transaction.run(_FIND, {"ids": sorted(rows)})]


def _write(
    transaction: Transaction,
    circuit: str,
    old: list[StoredSupernode],
    groups: Sequence[NodeGroup],
    author: str,
) -> list[str]:
    replaced = sorted(each.id for each in old if each.method == PERSON)
    rows: list[dict[str, Any]] = []
    for each in groups:
        nodes = sorted(set(each.nodes))
        places = {
            row["id"]: row["position"] for row in transaction.run(_NODES, {"id": circuit, "nodes": nodes})
        }
        missing = [node for node in nodes if node not in places]
        if missing:
            raise NotFoundError(
                f"The circuit {circuit} has no node {missing[0]!r}",
                next_step="list the ids with `nodes` of the circuit in GraphQL",
            )
        at = set(places.values())
        key = stable_id(circuit, each.label, nodes, PERSON, author, replaced)
        made = {"id": key, "label": each.label, "position": at.pop() if len(at) == 1 else None}
        rows.append({"supernode": {**made, "method": PERSON, "author": author}, "members": nodes})
    keys = [row["supernode"]["id"] for row in rows]
    there = {row["id"]: row["former"] for row in transaction.run(_THERE, {"ids": keys})}
    if len(there) == len(set(keys)) and not any(there.values()):
        return keys
    gone = [each.id for each in old if each.former] or [key for key in keys if there.get(key)]
    if gone:
        raise ConflictError(
            f"The supernode {gone[0]} was replaced meanwhile",
            next_step="read the circuit's supernodes again, and change the current version",
        )
    transaction.run(_REPLACE, {"id": circuit, "ids": replaced})
    transaction.run(_MAKE, {"p": {"id": circuit, "rows": rows}})
    transaction.run(_FOLLOW, {"ids": keys, "replaced": replaced})
    return keys


# -- Cypher; every value from outside is a parameter

_LOCK = f"{LOCK_SET_OF_CIRCUIT} RETURN c.id AS id"

_FIND = """
UNWIND $ids AS id
MATCH (c:Circuit)-[:HAS|HAD]->(s:Supernode|FormerSupernode {id: id})
RETURN id, c.id AS circuit, s.method AS method, s:FormerSupernode AS former,
       COLLECT { MATCH (s)-[:GROUPS]->(n:Node) RETURN n.id ORDER BY n.id } AS members
ORDER BY id
"""

_NODES = """
MATCH (:Circuit {id: $id})-[:HAS]->(n:Node) WHERE n.id IN $nodes
RETURN n.id AS id, n.position AS position
"""

_THERE = """
MATCH (s:Supernode|FormerSupernode) WHERE s.id IN $ids RETURN s.id AS id, s:FormerSupernode AS former
"""

_REPLACE = """
MATCH (c:Circuit {id: $id})-[has:HAS]->(s:Supernode) WHERE s.id IN $ids
OPTIONAL MATCH (s)-[means:MEANS]->(k:Concept)
REMOVE s:Supernode
SET s:FormerSupernode, s.replaced_at = datetime.realtime()
CREATE (c)-[:HAD]->(s)
DELETE has, means
WITH DISTINCT k
WHERE k IS NOT NULL AND NOT EXISTS { (k)<-[:MEANS]-() }
DELETE k
"""

_MAKE = f"""
MATCH (c:Circuit {{id: $p.id}})
UNWIND $p.rows AS row
{CREATE_SUPERNODE}SET s.made_at = datetime.realtime()
{GROUP_MEMBERS}"""

_FOLLOW = """
MATCH (s:Supernode) WHERE s.id IN $ids
MATCH (f:FormerSupernode) WHERE f.id IN $replaced
CREATE (s)-[:REPLACES]->(f)
"""
