"""Deletes circuits from Neo4j, each in one transaction, with its share of every aggregate.

1. lock       all sets, because circuits of several sets share prompts, models and runs
2. remove     the circuit from DRIVES and the sums of its features (`schema.loading.aggregates`), and from the
              DRIVES_IN, FOUND_IN and COVERS of its family (`schema.loading.families`)
3. delete     the circuit and everything that only this circuit refers to
4. recompute  from the stored nodes and edges, the few aggregates that shrank so much that rounding errors
show

What a broken circuit (`schema.upkeep.rules`) added to aggregates is unknown, and so it is where a number is
stored as something else. In place of step 2, all
aggregates of its features are recomputed after step 3.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from schema.database import Database, Transaction
from schema.errors import RefusedError
from schema.loading import families
from schema.loading.aggregates import remove_effect, remove_use
from schema.loading.effects import EACH_DRIVES, stored_effects
from schema.loading.families import SET_MOMENTS
from schema.loading.fragments import lock_everything
from schema.loading.leases import Doing, leased
from schema.model.core import RELATIONSHIPS
from schema.upkeep.recompute import AGGREGATES, rewrite
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

    def work(transaction: Transaction, *, broken: bool = False) -> DeletedParts | None:
        lock_everything(transaction)
        (found,) = transaction.run(_WHOLE, {"id": circuit_id})
        if not found["n"]:
            return None
        if broken or not found["whole"]:
            return _delete_broken(transaction, circuit_id, found["n"])
        effects = stored_effects(transaction, circuit_id)
        drives = transaction.run(_REMOVE_DRIVES, {"p": effects._asdict()})
        left = [
            families.leave(transaction, circuit_id, row["family"], effects)
            for row in transaction.run(_FAMILY, {"id": circuit_id})
        ]
        features = transaction.run(_REMOVE_USES, {"id": circuit_id})
        (row,) = transaction.run(_DELETE, {"id": circuit_id})
        for text, keys in ((_RECOMPUTE_DRIVES, drives), (_RECOMPUTE_FEATURES, features)):
            if keys:
                transaction.run(text, {"keys": keys})
        for lost in left:
            families.recompute(transaction, lost)
        return DeletedParts(**row)

    try:
        return database.transaction(work)
    except (RefusedError, TypeError, ValueError):
        # A stored value has another type than its declared one, so nothing can be subtracted.
        return database.transaction(partial(work, broken=True))


def _delete_broken(transaction: Transaction, circuit_id: str, n: int) -> DeletedParts:
    """n: number of circuits with the id, which can be several when the id has no constraint."""
    (touched,) = transaction.run(_TOUCHED, {"id": circuit_id})
    gone = NOTHING
    for _ in range(n):
        (row,) = transaction.run(_DELETE, {"id": circuit_id})
        gone = gone.and_also(DeletedParts(**row))
    for aggregate in AGGREGATES:
        if aggregate.of in touched:
            rewrite(transaction, aggregate, touched[aggregate.of])
    return gone


def delete_circuits(database: Database, circuit_ids: Iterable[str]) -> Iterator[DeletedParts]:
    """Delete circuits, each in one transaction. Yields what each transaction removed.

    A circuit that somebody else deleted in the meantime is passed over. Raises ConflictError, which names the
    process, when another process loads or deletes circuits of the same runs.
    """
    ids = list(circuit_ids)
    runs = [row["id"] for row in database.read(_RUNS, {"ids": ids})]
    with leased(database, Doing.DELETING, runs) as require:
        for each in ids:
            require()
            parts = delete_circuit(database, each)
            if parts is not None:
                yield parts


def delete_run(database: Database, run_id: str) -> Iterator[DeletedParts]:
    """Delete every circuit of a run, then the run and its ledger. Yields what each transaction removed.

    When it is stopped, calling it again resumes it. Raises NotFoundError when there is no such run, and
    ConflictError, which names the process, when another process loads or deletes circuits of the run.
    """
    with leased(database, Doing.DELETING, [run_id]) as require:
        circuits = circuits_of(database, Choice.RUN, run_id)
        while True:
            for each in circuits:
                require()
                parts = delete_circuit(database, each)
                if parts is not None:
                    yield parts
            require()
            # Python code can load circuits without a lease.
            circuits = database.transaction(lambda transaction: _delete_run(transaction, run_id))
            if not circuits:
                return


def _delete_run(transaction: Transaction, run_id: str) -> list[str]:
    """Delete a run and its ledger if it has no circuit; otherwise give the ids of its circuits."""
    lock_everything(transaction)
    transaction.run(_DELETE_RUN, {"id": run_id})
    return [row["id"] for row in transaction.run(_CIRCUITS_OF_RUN, {"id": run_id})]


# -- Cypher; every value from outside is a parameter

_RUNS = """
MATCH (c:Circuit)-[:FROM_RUN]->(r:Run)
WHERE c.id IN $ids AND r.id IS :: STRING NOT NULL
RETURN DISTINCT r.id AS id ORDER BY id
"""

_WHOLE = """
MATCH (c:Circuit {id: $id})
RETURN collect(coalesce(
  c.n_nodes = COUNT { (c)-[:HAS]->(:Node) }
  AND c.n_edges = COUNT { (c)-[:HAS]->(:Node)-[:ATTRIBUTES]->(:Node) }
  AND COUNT { (c)-[:OF_PROMPT]->(:Prompt) } = 1 AND COUNT { (c)-[:BY]->(:TranscoderSet) } = 1
  AND COUNT { (c)-[:FROM_RUN]->(:Run) } = 1
  AND NOT EXISTS { (c)-[:HAS]->(n:FeatureNode) WHERE COUNT { (n)-[:INSTANCE_OF]->(:Feature) } <> 1 },
  false
)) = [true] AS whole, count(*) AS n
"""

# The neighbours of features are touched too: their degrees change.
_TOUCHED = """
MATCH (c:Circuit {id: $id})
WITH collect(c) AS circuits
CALL (circuits) {
  UNWIND circuits AS c
  MATCH (c)-[:USES|HAS]->(x)
  OPTIONAL MATCH (x)-[:INSTANCE_OF]->(g:Feature)
  WITH coalesce(g, x) AS f WHERE f:Feature
  RETURN collect(DISTINCT f) AS features
}
CALL (features) {
  UNWIND features AS f
  OPTIONAL MATCH (f)-[:DRIVES]-(g)
  WITH collect(f.id) + collect(g.id) AS ids
  UNWIND ids AS id
  RETURN collect(DISTINCT id) AS Feature
}
CALL (features, circuits) {
  CALL (features, circuits) {
    UNWIND features AS f MATCH (f)-[:IN]->(t:TranscoderSet) RETURN t
    UNION
    UNWIND circuits AS c MATCH (c)-[:BY]->(t:TranscoderSet) RETURN t
  }
  RETURN collect(DISTINCT t.id) AS TranscoderSet
}
RETURN Feature, TranscoderSet
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

_PARTS = "|".join(sorted({each.type for each in RELATIONSHIPS if each.part and each.source == "Circuit"}))

# Everything that only this circuit refers to is deleted with it, starting from the circuit. A broken circuit
# (`schema.upkeep.rules`) has no prompt, run or set, or several.
_DELETE = f"""
MATCH (c:Circuit {{id: $id}})
WITH c LIMIT 1
CALL (c) {{ MATCH (c)-[:OF_PROMPT]->(p:Prompt) RETURN collect(p) AS prompts }}
CALL (c) {{ MATCH (c)-[:BY]->(t:TranscoderSet) RETURN collect(t) AS sets }}
CALL (c) {{ MATCH (c)-[:FROM_RUN]->(r:Run) RETURN collect(r) AS runs }}
CALL (c) {{ MATCH (c)-[:USES]->(f:Feature) RETURN collect(f) AS features }}
CALL (c) {{ MATCH (e:Entry)-[:GAVE]->(c) DETACH DELETE e }}
CALL (c) {{ MATCH (c)-[:HAS]->(:Supernode)-[:MEANS]->(k:Concept) RETURN collect(DISTINCT k) AS concepts }}
CALL (c) {{ MATCH (c)-[:{_PARTS}]->(part) DETACH DELETE part }}
CALL (c) {{ MATCH (c)-[:RUNS_THROUGH]->(h:Head) RETURN collect(h) AS heads }}
CALL (heads) {{ UNWIND heads AS h MATCH (h)-[:OF_MODEL]->(m:Model) RETURN collect(DISTINCT m) AS models }}
CALL (c) {{ DETACH DELETE c RETURN count(*) AS n_circuits }}
CALL (heads) {{ UNWIND heads AS h WITH h WHERE NOT EXISTS {{ (h)<-[:RUNS_THROUGH]-() }} DETACH DELETE h }}
// The heads of a set that was moved to another model keep the former model.
CALL (models) {{
  UNWIND models AS m WITH m WHERE NOT EXISTS {{ (m)<-[:FOR|OF_MODEL]-() }} DELETE m
}}
CALL (concepts) {{ UNWIND concepts AS k WITH k WHERE NOT EXISTS {{ (k)<-[:MEANS]-() }} DELETE k }}
CALL (features) {{
  UNWIND features AS f
  WITH f WHERE NOT EXISTS {{ (f)<-[:USES]-() }}
    AND NOT EXISTS {{ (f)<-[:LABELS]-(:Label {{method: "person"}}) }}
  OPTIONAL MATCH (f)<-[:LABELS|EXAMPLE_OF]-(l:Label|Example)
  DETACH DELETE l, f
  RETURN count(DISTINCT f) AS n_features
}}
CALL (runs) {{
  UNWIND runs AS r
  WITH r WHERE NOT EXISTS {{ (r)<-[:FROM_RUN]-() }} AND NOT EXISTS {{ (r)-[:LISTS]->() }}
  DELETE r
}}
CALL (prompts) {{
  UNWIND prompts AS p
  WITH p WHERE NOT EXISTS {{ (p)<-[:OF_PROMPT]-() }}
  OPTIONAL MATCH (p)-[:TAGGED|IN_FAMILY]->(group)
  WITH p, collect(group) AS groups
  DETACH DELETE p
  WITH groups
  CALL (groups) {{
    UNWIND groups AS group
    WITH group WHERE NOT EXISTS {{ (group)<-[:TAGGED|IN_FAMILY]-() }}
    DELETE group
  }}
  RETURN count(*) AS n_prompts
}}
CALL (sets) {{
  UNWIND sets AS t
  WITH t WHERE NOT EXISTS {{ (t)<-[:BY|IN]-() }}
  OPTIONAL MATCH (t)-[:FOR]->(m:Model)
  WITH t, collect(m) AS of_set
  CALL (t) {{
    MATCH (t)<-[:PARTITIONS]-(q:Partition)<-[:PART_OF]-(part:Module)
    DETACH DELETE part, q
  }}
  CALL (t) {{ MATCH (t)<-[:READ_BY]-(k:Checkpoint) DETACH DELETE k }}
  DETACH DELETE t
  WITH of_set
  UNWIND of_set AS m
  WITH m WHERE NOT EXISTS {{ (m)<-[:FOR|OF_MODEL]-() }}
  DELETE m
}}
RETURN n_circuits, n_prompts, n_features
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
SET f.influence = reduce(
  sum = 0.0, each IN [(f)<-[u:USES]-() | u.influence] | sum + coalesce(toFloatOrNull(each), 0.0))
"""

_DELETE_RUN = """
MATCH (r:Run {id: $id}) WHERE NOT EXISTS { (r)<-[:FROM_RUN]-() }
OPTIONAL MATCH (r)-[:LISTS]->(e:Entry)
DETACH DELETE e, r
"""

_CIRCUITS_OF_RUN = "MATCH (:Run {id: $id})<-[:FROM_RUN]-(c:Circuit) RETURN c.id AS id ORDER BY id"
