"""Deletes circuits from Neo4j, each in one transaction, with its share of every aggregate.

1. lock       the set, as loading does
2. remove     the circuit from DRIVES, DRIVES_IN, FOUND_IN, COVERS and the sums of its features
              (`schema.loading.aggregates`)
3. delete     the circuit and everything that only this circuit refers to
4. recompute  from the stored nodes and edges, the few aggregates that shrank so much that rounding errors
show
"""

from collections.abc import Iterator

from schema.database import Database, Transaction
from schema.errors import NotFoundError
from schema.loading.aggregates import MOMENTS, remove_effect, remove_use
from schema.loading.effects import EACH_DRIVES, EACH_DRIVES_IN, STORED_EFFECTS, effects_of_rows
from schema.loading.fragments import LOCK_SET_OF_CIRCUIT


def delete_circuit(database: Database, circuit_id: str) -> bool:
    """Delete one circuit and everything that only this circuit refers to, in one transaction.

    A feature that no other circuit uses is deleted with its labels, unless a person labelled it. Returns
    False when there is no such circuit.
    """

    def work(transaction: Transaction) -> bool:
        if not transaction.run(f"{LOCK_SET_OF_CIRCUIT} RETURN c.id AS id", {"id": circuit_id}):
            return False
        effects = effects_of_rows(transaction.run(STORED_EFFECTS, {"id": circuit_id}))._asdict()
        recompute = [(_RECOMPUTE_DRIVES, transaction.run(_REMOVE_DRIVES, {"p": effects}))]
        for row in transaction.run(_FAMILY, {"id": circuit_id}):
            lost = transaction.run(_REMOVE_DRIVES_IN, {"p": {**effects, "family": row["family"]}})
            recompute.append((_RECOMPUTE_DRIVES_IN, lost))
        recompute.append((_RECOMPUTE_FOUND_IN, transaction.run(_REMOVE_FOUND_IN, {"id": circuit_id})))
        recompute.append((_RECOMPUTE_FEATURES, transaction.run(_REMOVE_USES, {"id": circuit_id})))
        transaction.run(_DELETE, {"id": circuit_id})
        for text, keys in recompute:
            if keys:
                transaction.run(text, {"keys": keys})
        return True

    return database.transaction(work)


def delete_run(database: Database, run_id: str) -> Iterator[str]:
    """Delete every circuit of a run, then the run and its ledger. Yields the id of each deleted circuit.

    When it is stopped, calling it again resumes it. Raises NotFoundError when there is no such run.
    """
    if not database.read("MATCH (r:Run {id: $id}) RETURN r.id AS id", {"id": run_id}):
        raise NotFoundError(f"There is no run {run_id}", next_step="`atlas runs` lists them")
    yield from _delete_all(database, "MATCH (:Run {id: $id})<-[:FROM_RUN]-(c:Circuit)", run_id)
    database.write(_DELETE_RUN, {"id": run_id})


def delete_model(database: Database, model_id: str) -> Iterator[str]:
    """Delete every circuit of a model. Yields the id of each deleted circuit.

    The model and its sets are deleted with their last circuit, unless a person labelled one of their
    features. Raises NotFoundError when there is no such model.
    """
    if not database.read("MATCH (m:Model {id: $id}) RETURN m.id AS id", {"id": model_id}):
        raise NotFoundError(f"There is no model {model_id}", next_step="`atlas stats` lists them")
    yield from _delete_all(database, "MATCH (:Model {id: $id})<-[:FOR]-()<-[:BY]-(c:Circuit)", model_id)


def _delete_all(database: Database, which: str, key: str) -> Iterator[str]:
    for row in database.read(which + " RETURN c.id AS id ORDER BY id", {"id": key}):
        if delete_circuit(database, row["id"]):
            yield row["id"]


# -- Cypher; every value from outside is a parameter

_FAMILY = """
MATCH (:Circuit {id: $id})-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) RETURN y.name AS family
"""

_REMOVE_DRIVES = (
    EACH_DRIVES
    + remove_effect("SET f.degree = f.degree - 1, g.degree = g.degree - 1")
    + "RETURN f.id AS source, g.id AS target"
)

_REMOVE_DRIVES_IN = (
    EACH_DRIVES_IN + remove_effect() + "RETURN f.id AS source, g.id AS target, $p.family AS family"
)

_REMOVE_FOUND_IN = f"""
MATCH (o:Circuit {{id: $id}})-[:BY]->(s:TranscoderSet),
      (o)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
MATCH (s)-[v:COVERS]->(y)
SET v.n_circuits = v.n_circuits - 1
FOREACH (gone IN CASE v.n_circuits WHEN 0 THEN [v] ELSE [] END | DELETE gone)
WITH o, y
MATCH (o)-[u:USES]->(f:Feature)-[i:FOUND_IN]->(y)
{remove_use("i", "u.influence", keep="y, f,")}
FOREACH (gone IN CASE n WHEN 0 THEN [i] ELSE [] END | DELETE gone)
WITH y, f WHERE lost
RETURN f.id AS feature, y.name AS family
"""

_REMOVE_USES = f"""
MATCH (:Circuit {{id: $id}})-[u:USES]->(f:Feature)
{remove_use("f", "u.influence")}
WITH f WHERE lost
RETURN f.id AS feature
"""

# Everything that only this circuit refers to is deleted with it, starting from the circuit.
_DELETE = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(p:Prompt), (c)-[:BY]->(t:TranscoderSet), (c)-[:FROM_RUN]->(r:Run)
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
}
CALL (r) { WITH r WHERE NOT EXISTS { (r)<-[:FROM_RUN]-() } AND NOT EXISTS { (r)-[:LISTS]->() } DELETE r }
CALL (p) {
  WITH p WHERE NOT EXISTS { (p)<-[:OF_PROMPT]-() }
  OPTIONAL MATCH (p)-[:TAGGED|IN_FAMILY]->(group)
  WITH p, collect(group) AS groups
  DETACH DELETE p
  WITH groups
  UNWIND groups AS group
  WITH group WHERE NOT EXISTS { (group)<-[:TAGGED|IN_FAMILY]-() }
  DELETE group
}
CALL (t) {
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
"""

_SET_MOMENTS = f"""
  WITH c, sum(e.weight) AS w
  RETURN collect(w) AS ws
}}
{MOMENTS}
SET d.mean = mean, d.m2 = m2, d.sd = sqrt(m2 / n)
"""

_RECOMPUTE_DRIVES = f"""
UNWIND $keys AS key
MATCH (f:Feature {{id: key.source}})-[d:DRIVES]->(g:Feature {{id: key.target}})
CALL (f, g) {{
  MATCH (f)<-[:INSTANCE_OF]-(n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g), (n)<-[:HAS]-(c:Circuit)
{_SET_MOMENTS}"""

_RECOMPUTE_DRIVES_IN = f"""
UNWIND $keys AS key
MATCH (f:Feature {{id: key.source}})-[d:DRIVES_IN {{family: key.family}}]->(g:Feature {{id: key.target}})
CALL (f, g, key) {{
  MATCH (f)<-[:INSTANCE_OF]-(n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g), (n)<-[:HAS]-(c:Circuit)
  WHERE EXISTS {{ (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(:Family {{name: key.family}}) }}
{_SET_MOMENTS}"""

_RECOMPUTE_FOUND_IN = """
UNWIND $keys AS key
MATCH (f:Feature {id: key.feature})-[i:FOUND_IN]->(y:Family {name: key.family})
CALL (f, y) {
  MATCH (y)<-[:IN_FAMILY]-()<-[:OF_PROMPT]-()-[u:USES]->(f)
  RETURN sum(u.influence) AS influence
}
SET i.influence = influence
"""

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
