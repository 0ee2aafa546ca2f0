"""Writes the supernodes that group each circuit's features by role. Supernodes of people stay as they are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict, cast

from schema.circuit.records import stable_id
from schema.database import Database, Transaction
from schema.loading.fragments import CREATE_SUPERNODE, GROUP_MEMBERS, LOCK_SET

METHOD = "roles-v2"
AUTHOR = "atlas"
MOST = 20
"""Greatest number of supernodes of a circuit. The supernodes with the most influence are kept."""


class FeatureNode(TypedDict):
    """A feature node of a circuit."""

    id: str
    layer: int
    index: int
    position: int
    influence: float
    """0 when it is unknown."""


class RoleGroup(TypedDict):
    """A supernode to write."""

    supernode: dict[str, object]
    """Its properties."""
    members: list[str]
    """Ids of the nodes."""


def write_roles(
    database: Database, transcoders: str, roles: Mapping[tuple[int, int], str]
) -> Iterator[float]:
    """Group the feature nodes of each circuit by role, and replace the earlier supernodes of this method.

    One transaction writes one circuit. Yields, for each circuit, the share (0 to 1) of its feature influence
    that the supernodes hold. transcoders: id of the set; roles: (layer, index) → label of the role.
    """
    for row in database.read(_CIRCUITS, {"set": transcoders}):
        circuit = row["id"]
        nodes = cast(list[FeatureNode], database.read(_NODES, {"id": circuit}))
        groups, share = group_nodes(circuit, nodes, roles)

        def work(transaction: Transaction, circuit: str = circuit, groups: list[RoleGroup] = groups) -> None:
            transaction.run(_CLEAR, {"id": circuit, "method": METHOD, "set": transcoders})
            transaction.run(_WRITE, {"p": {"id": circuit, "groups": groups}})

        database.transaction(work)
        yield share


def read_roles(database: Database, transcoders: str) -> dict[tuple[int, int], str]:
    """(layer, index) → label of the role, for the features that the supernodes of a set's circuits group."""
    rows = database.read(_ROLES, {"set": transcoders, "method": METHOD})
    return {(row["layer"], row["index"]): row["label"] for row in rows}


def group_nodes(
    circuit: str, nodes: Sequence[FeatureNode], roles: Mapping[tuple[int, int], str]
) -> tuple[list[RoleGroup], float]:
    """The supernodes of one circuit, and the share of its feature influence (0 to 1) that they hold together.

    Supernodes with the most influence come first.
    """
    members: dict[str, list[FeatureNode]] = defaultdict(list)
    for node in nodes:
        role = roles.get((node["layer"], node["index"]))
        if role is not None:
            members[role].append(node)
    total = sum(node["influence"] for node in nodes)
    shares = {
        label: sum(node["influence"] for node in group) / total if total else 0.0
        for label, group in members.items()
    }
    kept = sorted(shares, key=lambda label: (-shares[label], label))[:MOST]
    rows: list[RoleGroup] = []
    for label in kept:
        ids = [node["id"] for node in members[label]]
        places = {node["position"] for node in members[label]}
        rows.append(
            {
                "supernode": {
                    "id": stable_id(circuit, label, ids, METHOD, AUTHOR),
                    "label": label,
                    "position": places.pop() if len(places) == 1 else None,
                    "method": METHOD,
                    "author": AUTHOR,
                    "score": shares[label],
                },
                "members": ids,
            }
        )
    return rows, sum(shares[label] for label in kept)


_ROLES = """
MATCH (:TranscoderSet {id: $set})<-[:BY]-(:Circuit)-[:HAS]->(s:Supernode {method: $method})
MATCH (s)-[:GROUPS]->(n:FeatureNode)
RETURN DISTINCT n.layer AS layer, n.index AS index, s.label AS label
ORDER BY layer, index
"""

_CIRCUITS = "MATCH (c:Circuit)-[:BY]->(:TranscoderSet {id: $set}) RETURN c.id AS id ORDER BY id"

_NODES = """
MATCH (:Circuit {id: $id})-[:HAS]->(n:FeatureNode)
WHERE n.component IS NULL
RETURN n.id AS id, n.layer AS layer, n.index AS index, n.position AS position,
       coalesce(n.influence, 0.0) AS influence
ORDER BY id
"""

_CLEAR = f"""
MATCH (t:TranscoderSet {{id: $set}})
{LOCK_SET}
WITH t
MATCH (:Circuit {{id: $id}})-[:HAS]->(s:Supernode {{method: $method}})-[:MEANS]->(k:Concept)
DETACH DELETE s
WITH DISTINCT k
WHERE NOT EXISTS {{ (k)<-[:MEANS]-() }}
DELETE k
"""

_WRITE = f"""
MATCH (c:Circuit {{id: $p.id}})
UNWIND $p.groups AS row
{CREATE_SUPERNODE}{GROUP_MEMBERS}"""
