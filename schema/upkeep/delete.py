"""Take circuits out of Neo4j again: one transaction a circuit, with its share of every aggregate.

1. lock      the set, as loading does
2. withdraw  the circuit's effects from DRIVES and DRIVES_IN (Welford's steps backwards), its uses from its
             features, FOUND_IN and COVERS
3. delete    the circuit, and what no other circuit refers to, from the circuit outwards
4. renew     from the detail, the few aggregates of which so little is left that rounding would show
"""

from collections.abc import Iterator

from schema.database import Database, Transaction
from schema.errors import NotFoundError
from schema.loading.pairs import EACH_DRIVES, EACH_DRIVES_IN, EFFECTS, effects_of


def delete_circuit(database: Database, circuit_id: str) -> bool:
    """Take one circuit out, withdraw its share of the aggregates, and remove what no circuit refers to.

    A feature that no circuit uses goes, with its labels, unless a person labelled it. False when there is no
    such circuit. One transaction.
    """

    def work(transaction: Transaction) -> bool:
        if not transaction.run(_LOCK, {"id": circuit_id}):
            return False
        effects = effects_of(transaction.run(EFFECTS, {"id": circuit_id}))
        renew = [(_RENEW_DRIVES, transaction.run(_WITHDRAW, {"p": effects}))]
        for row in transaction.run(_FAMILY, {"id": circuit_id}):
            withdrawn = transaction.run(_WITHDRAW_IN, {"p": {**effects, "family": row["family"]}})
            renew.append((_RENEW_DRIVES_IN, withdrawn))
        renew.append((_RENEW_FAMILIES, transaction.run(_UNCOUNT, {"id": circuit_id})))
        renew.append((_RENEW_FEATURES, transaction.run(_UNUSE, {"id": circuit_id})))
        transaction.run(_DELETE, {"id": circuit_id})
        for text, keys in renew:
            if keys:
                transaction.run(text, {"keys": keys})
        return True

    return database.transaction(work)


def delete_run(database: Database, run_id: str) -> Iterator[str]:
    """Delete every circuit of a run, then the run and its ledger; yields each circuit's id when it is gone.

    Stopped in between, it can be called again. Raises NotFoundError when there is no such run.
    """
    if not database.read("MATCH (r:Run {id: $id}) RETURN r.id AS id", {"id": run_id}):
        raise NotFoundError(f"There is no run {run_id}", next_step="`atlas runs` lists them")
    yield from _delete_all(database, "MATCH (:Run {id: $id})<-[:FROM_RUN]-(c:Circuit)", run_id)
    database.write(_DELETE_RUN, {"id": run_id})


def delete_model(database: Database, model_id: str) -> Iterator[str]:
    """Delete every circuit of a model; yields each circuit's id when it is gone.

    The model and its sets go with their last circuit, unless a person labelled one of their features.
    Raises NotFoundError when there is no such model.
    """
    if not database.read("MATCH (m:Model {id: $id}) RETURN m.id AS id", {"id": model_id}):
        raise NotFoundError(f"There is no model {model_id}", next_step="`atlas stats` lists them")
    yield from _delete_all(database, "MATCH (:Model {id: $id})<-[:FOR]-()<-[:BY]-(c:Circuit)", model_id)


def _delete_all(database: Database, which: str, key: str) -> Iterator[str]:
    for row in database.read(which + " RETURN c.id AS id ORDER BY id", {"id": key}):
        if delete_circuit(database, row["id"]):
            yield row["id"]


# -- Cypher; every value from outside is a parameter

_LOCK = "MATCH (c:Circuit {id: $id})-[:BY]->(t:TranscoderSet) SET t.id = t.id RETURN c.id AS id"

_FAMILY = """
MATCH (:Circuit {id: $id})-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family) RETURN y.name AS family
"""

_BACK = """
WITH f, g, w, d WHERE d IS NOT NULL
WITH f, g, d, w, d.n_circuits - 1 AS n, d.mean AS before,
     d.m2 + d.n_circuits * d.mean * d.mean AS size_before,
     d.n_positive - CASE WHEN w > 0 THEN 1 ELSE 0 END AS positive,
     d.n_negative - CASE WHEN w < 0 THEN 1 ELSE 0 END AS negative
WITH *, CASE n WHEN 0 THEN 0.0 ELSE before + (before - w) / n END AS mean
WITH *, d.m2 - (w - before) * (w - mean) AS left
WITH *, CASE WHEN n < 2 OR left < 0 THEN 0.0 ELSE left END AS m2
SET d.n_circuits = n, d.n_positive = positive, d.n_negative = negative, d.mean = mean, d.m2 = m2,
    d.sd = CASE n WHEN 0 THEN 0.0 ELSE sqrt(m2 / n) END,
    d.sign_consistency =
      CASE WHEN n = 0 THEN 0.0 WHEN positive > negative THEN 1.0 * positive / n ELSE 1.0 * negative / n END
"""

_WITHDRAW = f"""{EACH_DRIVES}{_BACK}
FOREACH (gone IN CASE n WHEN 0 THEN [d] ELSE [] END |
  SET f.degree = f.degree - 1, g.degree = g.degree - 1
  DELETE gone)
WITH f, g WHERE n > 0 AND m2 + n * mean * mean < 1e-6 * size_before
RETURN f.id AS source, g.id AS target
"""

_WITHDRAW_IN = f"""{EACH_DRIVES_IN}{_BACK}
FOREACH (gone IN CASE n WHEN 0 THEN [d] ELSE [] END | DELETE gone)
WITH f, g WHERE n > 0 AND m2 + n * mean * mean < 1e-6 * size_before
RETURN f.id AS source, g.id AS target, $p.family AS family
"""

_UNCOUNT = """
MATCH (o:Circuit {id: $id})-[:BY]->(s:TranscoderSet), (o)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
MATCH (s)-[v:COVERS]->(y)
SET v.n_circuits = v.n_circuits - 1
FOREACH (gone IN CASE v.n_circuits WHEN 0 THEN [v] ELSE [] END | DELETE gone)
WITH o, y
MATCH (o)-[u:USES]->(f:Feature)-[i:FOUND_IN]->(y)
WITH y, f, i, i.influence AS before, i.n_circuits - 1 AS n,
     i.n_measured - CASE WHEN u.influence IS NULL THEN 0 ELSE 1 END AS measured,
     i.influence - coalesce(u.influence, 0.0) AS influence
SET i.n_circuits = n, i.n_measured = measured, i.influence = CASE measured WHEN 0 THEN 0.0 ELSE influence END
FOREACH (gone IN CASE n WHEN 0 THEN [i] ELSE [] END | DELETE gone)
WITH y, f WHERE measured > 0 AND abs(influence) < 1e-6 * abs(before)
RETURN f.id AS feature, y.name AS family
"""

_UNUSE = """
MATCH (:Circuit {id: $id})-[u:USES]->(f:Feature)
WITH f, f.influence AS before, f.n_measured - CASE WHEN u.influence IS NULL THEN 0 ELSE 1 END AS measured,
     f.influence - coalesce(u.influence, 0.0) AS influence
SET f.n_circuits = f.n_circuits - 1, f.n_measured = measured,
    f.influence = CASE measured WHEN 0 THEN 0.0 ELSE influence END
WITH f WHERE measured > 0 AND abs(influence) < 1e-6 * abs(before)
RETURN f.id AS feature
"""

# What only this circuit referred to goes with it, from the circuit outwards.
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

_ANEW = """
  WITH c, sum(e.weight) AS w
  RETURN collect(w) AS ws
}
WITH d, ws, reduce(s = 0.0, w IN ws | s + w) / size(ws) AS mean
WITH d, ws, mean, reduce(s = 0.0, w IN ws | s + (w - mean) * (w - mean)) AS m2
SET d.mean = mean, d.m2 = m2, d.sd = sqrt(m2 / size(ws))
"""

_RENEW_DRIVES = f"""
UNWIND $keys AS key
MATCH (f:Feature {{id: key.source}})-[d:DRIVES]->(g:Feature {{id: key.target}})
CALL (f, g) {{
  MATCH (f)<-[:INSTANCE_OF]-(n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g), (n)<-[:HAS]-(c:Circuit)
{_ANEW}"""

_RENEW_DRIVES_IN = f"""
UNWIND $keys AS key
MATCH (f:Feature {{id: key.source}})-[d:DRIVES_IN {{family: key.family}}]->(g:Feature {{id: key.target}})
CALL (f, g, key) {{
  MATCH (f)<-[:INSTANCE_OF]-(n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g), (n)<-[:HAS]-(c:Circuit)
  WHERE EXISTS {{ (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(:Family {{name: key.family}}) }}
{_ANEW}"""

_RENEW_FAMILIES = """
UNWIND $keys AS key
MATCH (f:Feature {id: key.feature})-[i:FOUND_IN]->(y:Family {name: key.family})
CALL (f, y) {
  MATCH (y)<-[:IN_FAMILY]-()<-[:OF_PROMPT]-()-[u:USES]->(f)
  RETURN sum(u.influence) AS influence
}
SET i.influence = influence
"""

_RENEW_FEATURES = """
UNWIND $keys AS key
MATCH (f:Feature {id: key.feature})
SET f.influence = reduce(sum = 0.0, each IN [(f)<-[u:USES]-() | u.influence] | sum + coalesce(each, 0.0))
"""

_DELETE_RUN = """
MATCH (r:Run {id: $id})
OPTIONAL MATCH (r)-[:LISTS]->(e:Entry)
DETACH DELETE e, r
"""
