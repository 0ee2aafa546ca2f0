"""Deletes circuits from Neo4j, each in one transaction, with its share of every aggregate.

1. lock       the set, as loading does
2. remove     the circuit from DRIVES and the sums of its features (`schema.loading.aggregates`), and from the
              DRIVES_IN, FOUND_IN and COVERS of its family (`schema.loading.families`)
3. delete     the circuit and everything that only this circuit refers to
4. recompute  from the stored nodes and edges, the few aggregates that shrank so much that rounding errors
show
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schema.database import Database, Transaction
from schema.loading import families
from schema.loading.aggregates import remove_effect, remove_use
from schema.loading.effects import EACH_DRIVES, stored_effects
from schema.loading.families import SET_MOMENTS
from schema.loading.fragments import LOCK_SET
from schema.upkeep.selection import Choice, circuits_of


class DeletedParts(NamedTuple):
    """What a deletion removed, as the database counted it."""

    n_circuits: int = 0
    n_prompts: int = 0
    """Prompts that no other circuit has."""
    n_features: int = 0
    """Features that no other circuit has and that no person labelled."""

    def and_also(self, other: "DeletedParts") -> "DeletedParts":
        """Both together."""
        return DeletedParts(*map(sum, zip(self, other, strict=True)))


NOTHING = DeletedParts()


def delete_circuit(database: Database, circuit_id: str) -> DeletedParts | None:
    """Delete one circuit and everything that only this circuit refers to, in one transaction.

    A feature that no other circuit uses is deleted with its labels, unless a person labelled it. Returns
    None when there is no such circuit.
    """

    def work(transaction: Transaction) -> DeletedParts | None:
        if not transaction.run(_LOCK, {"id": circuit_id}):
            return None
        effects = stored_effects(transaction, circuit_id)
        drives = transaction.run(_REMOVE_DRIVES, {"p": effects._asdict()})
        left = [
            families.leave(transaction, circuit_id, row["family"], effects)
            for row in transaction.run(_FAMILY, {"id": circuit_id})
        ]
        features = transaction.run(_REMOVE_USES, {"id": circuit_id})
        gone = [DeletedParts(1, **row) for row in transaction.run(_DELETE, {"id": circuit_id})]
        for text, keys in ((_RECOMPUTE_DRIVES, drives), (_RECOMPUTE_FEATURES, features)):
            if keys:
                transaction.run(text, {"keys": keys})
        for lost in left:
            families.recompute(transaction, lost)
        return gone[0]

    return database.transaction(work)


def delete_circuits(database: Database, circuit_ids: Iterable[str]) -> Iterator[DeletedParts]:
    """Delete circuits, each in one transaction. Yields what each transaction removed.

    A circuit that somebody else deleted in the meantime is passed over.
    """
    for each in circuit_ids:
        parts = delete_circuit(database, each)
        if parts is not None:
            yield parts


def delete_run(database: Database, run_id: str) -> Iterator[DeletedParts]:
    """Delete every circuit of a run, then the run and its ledger. Yields what each transaction removed.

    When it is stopped, calling it again resumes it. Raises NotFoundError when there is no such run.
    """
    yield from delete_circuits(database, circuits_of(database, Choice.RUN, run_id))
    database.write(_DELETE_RUN, {"id": run_id})


# -- Cypher; every value from outside is a parameter

_LOCK = f"""
MATCH (c:Circuit {{id: $id}})
OPTIONAL MATCH (c)-[:BY]->(t:TranscoderSet)
{LOCK_SET}
RETURN c.id AS id
"""

_FAMILY = """
MATCH (:Circuit {id: $id})-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) RETURN y.name AS family
"""

_REMOVE_DRIVES = (
    EACH_DRIVES
    + remove_effect("SET f.degree = f.degree - 1, g.degree = g.degree - 1")
    + "RETURN f.id AS source, g.id AS target"
)

_REMOVE_USES = f"""
MATCH (:Circuit {{id: $id}})-[u:USES]->(f:Feature)
{remove_use("f", "u.influence")}
WITH f WHERE lost
RETURN f.id AS feature
"""

# Everything that only this circuit refers to is deleted with it, starting from the circuit. A broken circuit
# (`schema.upkeep.rules`) has no prompt, run or set, or several.
_DELETE = """
MATCH (c:Circuit {id: $id})
CALL (c) { MATCH (c)-[:OF_PROMPT]->(p:Prompt) RETURN collect(p) AS prompts }
CALL (c) { MATCH (c)-[:BY]->(t:TranscoderSet) RETURN collect(t) AS sets }
CALL (c) { MATCH (c)-[:FROM_RUN]->(r:Run) RETURN collect(r) AS runs }
CALL (c) { MATCH (c)-[:USES]->(f:Feature) RETURN collect(f) AS features }
CALL (c) { MATCH (e:Entry)-[:GAVE]->(c) DETACH DELETE e }
CALL (c) { MATCH (c)-[:HAS]->(:Supernode)-[:MEANS]->(k:Concept) RETURN collect(DISTINCT k) AS concepts }
CALL (c) { MATCH (c)-[:HAS|HAD|ABLATED]->(part) DETACH DELETE part }
CALL (c) { MATCH (c)-[:RUNS_THROUGH]->(h:Head) RETURN collect(h) AS heads }
CALL (c) { DETACH DELETE c }
CALL (heads) { UNWIND heads AS h WITH h WHERE NOT EXISTS { (h)<-[:RUNS_THROUGH]-() } DETACH DELETE h }
CALL (concepts) { UNWIND concepts AS k WITH k WHERE NOT EXISTS { (k)<-[:MEANS]-() } DELETE k }
CALL (features) {
  UNWIND features AS f
  WITH f WHERE NOT EXISTS { (f)<-[:USES]-() } AND NOT EXISTS { (f)<-[:LABELS]-(:Label {method: "person"}) }
  OPTIONAL MATCH (f)<-[:LABELS|EXAMPLE_OF]-(l:Label|Example)
  DETACH DELETE l, f
  RETURN count(DISTINCT f) AS n_features
}
CALL (runs) {
  UNWIND runs AS r
  WITH r WHERE NOT EXISTS { (r)<-[:FROM_RUN]-() } AND NOT EXISTS { (r)-[:LISTS]->() }
  DELETE r
}
CALL (prompts) {
  UNWIND prompts AS p
  WITH p WHERE NOT EXISTS { (p)<-[:OF_PROMPT]-() }
  OPTIONAL MATCH (p)-[:TAGGED|IN_FAMILY]->(group)
  WITH p, collect(group) AS groups
  DETACH DELETE p
  WITH groups
  CALL (groups) {
    UNWIND groups AS group
    WITH group WHERE NOT EXISTS { (group)<-[:TAGGED|IN_FAMILY]-() }
    DELETE group
  }
  RETURN count(*) AS n_prompts
}
CALL (sets) {
  UNWIND sets AS t
  WITH t WHERE NOT EXISTS { (t)<-[:BY|IN]-() }
  MATCH (t)-[:FOR]->(m:Model)
  CALL (t) {
    MATCH (t)<-[:PARTITIONS]-(q:Partition)<-[:PART_OF]-(part:Module)
    DETACH DELETE part, q
  }
  CALL (t) { MATCH (t)<-[:READ_BY]-(k:Checkpoint) DETACH DELETE k }
  DETACH DELETE t
  WITH m WHERE NOT EXISTS { (m)<-[:FOR]-() }
  DETACH DELETE m
}
RETURN n_prompts, n_features
"""

_RECOMPUTE_DRIVES = f"""
UNWIND $keys AS key
MATCH (f:Feature {{id: key.source}})-[d:DRIVES]->(g:Feature {{id: key.target}})
CALL (f, g) {{
  MATCH (f)<-[:INSTANCE_OF]-(n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g), (n)<-[:HAS]-(c:Circuit)
{SET_MOMENTS}"""

_RECOMPUTE_FEATURES = """
UNWIND $keys AS key
MATCH (f:Feature {id: key.feature})
SET f.influence = reduce(sum = 0.0, each IN [(f)<-[u:USES]-() | u.influence] | sum + coalesce(each, 0.0))
"""

_DELETE_RUN = """
MATCH (r:Run {id: $id})
OPTIONAL MATCH (r)-[:LISTS]->(e:Entry)
DETACH DELETE e, r
"""
