"""What the aggregates should be, recomputed from the detail: for checks and repairs.

Every aggregate is a value: how to list what it is compared by, what is stored, what the detail gives, and how
to write that. Both sides give rows with `key`, a list of keys, and the amounts by name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from schema.circuit.influence import EACH_FLOW, N_FLOWS
from schema.loading.pairs import pair_text


class Amount(NamedTuple):
    """One property of an aggregate."""

    name: str
    scale: Callable[[dict[str, Any]], float] = lambda row: 0.0
    """Size of what was summed, by which rounding is judged."""

    def tolerance(self, row: dict[str, Any]) -> float:
        return 1e-7 * (abs(row[self.name]) + self.scale(row)) + 1e-12


class Aggregate(NamedTuple):
    """One aggregate."""

    name: str
    keys: str
    """Cypher: the next $limit keys after $after, of what it is compared by."""
    stored: str
    """Cypher: what is there, for $keys."""
    recomputed: str
    """Cypher: what the detail gives, for $keys."""
    clear: str
    """Cypher: forget what is there, for $keys."""
    write: str
    """Cypher: write $rows, which `recomputed` gave."""
    amounts: tuple[Amount, ...]


def _spread(row: dict[str, Any]) -> float:
    """The root mean square of the effects that a DRIVES sums up."""
    return float((row["m2"] / row["n_circuits"] + row["mean"] ** 2) ** 0.5)


_FEATURES = "MATCH (f:Feature) WHERE f.id > $after RETURN f.id AS key ORDER BY f.id LIMIT $limit"
_CIRCUITS = "MATCH (c:Circuit) WHERE c.id > $after RETURN c.id AS key ORDER BY c.id LIMIT $limit"
_SETS = "MATCH (t:TranscoderSet) WHERE t.id > $after RETURN t.id AS key ORDER BY t.id LIMIT $limit"

USES = Aggregate(
    name="USES",
    keys=_CIRCUITS,
    stored="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})-[u:USES]->(f:Feature)
    RETURN [key, f.id] AS key, u.influence AS influence, u.activation AS activation, u.positions AS positions
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})-[:HAS]->(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
    WITH key, f, n ORDER BY n.position
    WITH key, f, sum(n.influence) AS influence, count(n.influence) AS measured,
         max(n.activation) AS activation, collect(n.position) AS positions
    RETURN [key, f.id] AS key, CASE measured WHEN 0 THEN null ELSE influence END AS influence, activation,
           positions
    """,
    clear="UNWIND $keys AS key MATCH (:Circuit {id: key})-[u:USES]->() DELETE u",
    write="""
    UNWIND $rows AS row
    MATCH (c:Circuit {id: row.key[0]}), (f:Feature {id: row.key[1]})
    CREATE (c)-[:USES {influence: row.influence, activation: row.activation, positions: row.positions}]->(f)
    """,
    amounts=(Amount("influence"), Amount("activation"), Amount("positions")),
)

FEATURE_SUMS = Aggregate(
    name="Feature.n_circuits, n_measured, influence",
    keys=_FEATURES,
    stored="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})
    RETURN [key] AS key, f.n_circuits AS n_circuits, f.n_measured AS n_measured, f.influence AS influence
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})
    OPTIONAL MATCH (f)<-[u:USES]-()
    RETURN [key] AS key, count(u) AS n_circuits, count(u.influence) AS n_measured,
           sum(1.0 * u.influence) AS influence
    """,
    clear="UNWIND $keys AS key MATCH (f:Feature {id: key}) REMOVE f.n_circuits, f.n_measured, f.influence",
    write="""
    UNWIND $rows AS row
    MATCH (f:Feature {id: row.key[0]})
    SET f.n_circuits = row.n_circuits, f.n_measured = row.n_measured, f.influence = row.influence
    """,
    amounts=(Amount("n_circuits"), Amount("n_measured"), Amount("influence")),
)

FOUND_IN = Aggregate(
    name="FOUND_IN",
    keys=_FEATURES,
    stored="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})-[i:FOUND_IN]->(y:Family)
    RETURN [key, y.name] AS key, i.n_circuits AS n_circuits, i.n_measured AS n_measured,
           i.influence AS influence
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})<-[u:USES]-(:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
    WITH key, y, count(u) AS n_circuits, count(u.influence) AS n_measured, sum(u.influence) AS influence
    RETURN [key, y.name] AS key, n_circuits, n_measured, 1.0 * influence AS influence
    """,
    clear="UNWIND $keys AS key MATCH (:Feature {id: key})-[i:FOUND_IN]->() DELETE i",
    write="""
    UNWIND $rows AS row
    MATCH (f:Feature {id: row.key[0]}), (y:Family {name: row.key[1]})
    CREATE (f)-[i:FOUND_IN]->(y)
    SET i.n_circuits = row.n_circuits, i.n_measured = row.n_measured, i.influence = row.influence
    """,
    amounts=(Amount("n_circuits"), Amount("n_measured"), Amount("influence")),
)

COVERS = Aggregate(
    name="COVERS",
    keys=_SETS,
    stored="""
    UNWIND $keys AS key
    MATCH (:TranscoderSet {id: key})-[v:COVERS]->(y:Family)
    RETURN [key, y.name] AS key, v.n_circuits AS n_circuits
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (:TranscoderSet {id: key})<-[:BY]-(c:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
    WITH key, y, count(c) AS n_circuits
    RETURN [key, y.name] AS key, n_circuits
    """,
    clear="UNWIND $keys AS key MATCH (:TranscoderSet {id: key})-[v:COVERS]->() DELETE v",
    write="""
    UNWIND $rows AS row
    MATCH (t:TranscoderSet {id: row.key[0]}), (y:Family {name: row.key[1]})
    CREATE (t)-[:COVERS {n_circuits: row.n_circuits}]->(y)
    """,
    amounts=(Amount("n_circuits"),),
)

_EFFECT = (
    Amount("n_circuits"),
    Amount("n_positive"),
    Amount("n_negative"),
    Amount("mean", _spread),
    Amount("m2", lambda row: row["n_circuits"] * _spread(row) ** 2),
    # The root of a sum of squares that has lost half of its digits has lost half of them, too.
    Amount("sd", lambda row: 1e3 * _spread(row)),
    Amount("sign_consistency"),
    Amount("pair"),
)

_STORED_EFFECT = ", ".join(f"d.{each.name} AS {each.name}" for each in _EFFECT)

_SET_EFFECT = "SET " + ", ".join(f"d.{each.name} = row.{each.name}" for each in _EFFECT)

_RECOMPUTED_EFFECT = f"""
    WITH *, size(ws) AS n, reduce(s = 0.0, w IN ws | s + w) / size(ws) AS mean,
         size([w IN ws WHERE w > 0]) AS positive, size([w IN ws WHERE w < 0]) AS negative
    WITH *, reduce(s = 0.0, w IN ws | s + (w - mean) * (w - mean)) AS m2
    RETURN key, n AS n_circuits, positive AS n_positive, negative AS n_negative, mean, m2,
           sqrt(m2 / n) AS sd, 1.0 * CASE WHEN positive > negative THEN positive ELSE negative END / n
             AS sign_consistency, {pair_text("f", "g")} AS pair"""

EFFECTS_BY_FAMILY = f"""
    CALL (f) {{
      CALL (f) {{
        MATCH (f)<-[:INSTANCE_OF]-(n:FeatureNode)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g:Feature),
              (n)<-[:HAS]-(c:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
        WITH g, y, c, sum(e.weight) AS w ORDER BY c.id
        RETURN g, y.name AS family, collect(w) AS ws
      }}
      WITH f, g, ws, [f.id, g.id, family] AS key
      {_RECOMPUTED_EFFECT}, g
    }}
"""
"""Of a feature f in Cypher: key and properties of each of its DRIVES_IN, and the feature g at its end."""

DRIVES = Aggregate(
    name="DRIVES",
    keys=_FEATURES,
    stored=f"""
    UNWIND $keys AS key
    MATCH (f:Feature {{id: key}})-[d:DRIVES]->(g:Feature)
    RETURN [key, g.id] AS key, {_STORED_EFFECT}
    """,
    recomputed=f"""
    UNWIND $keys AS key
    MATCH (f:Feature {{id: key}})
    CALL (f) {{
      MATCH (f)<-[:INSTANCE_OF]-(n:FeatureNode)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g:Feature),
            (n)<-[:HAS]-(c:Circuit)
      WITH g, c, sum(e.weight) AS w ORDER BY c.id
      RETURN g, collect(w) AS ws
    }}
    WITH f, g, ws, [key, g.id] AS key
    {_RECOMPUTED_EFFECT}
    """,
    clear="UNWIND $keys AS key MATCH (:Feature {id: key})-[d:DRIVES]->() DELETE d",
    write=f"""
    UNWIND $rows AS row
    MATCH (f:Feature {{id: row.key[0]}}), (g:Feature {{id: row.key[1]}})
    CREATE (f)-[d:DRIVES]->(g)
    {_SET_EFFECT}
    """,
    amounts=_EFFECT,
)

DRIVES_IN = Aggregate(
    name="DRIVES_IN",
    keys=_FEATURES,
    stored=f"""
    UNWIND $keys AS key
    MATCH (f:Feature {{id: key}})-[d:DRIVES_IN]->(g:Feature)
    RETURN [key, g.id, d.family] AS key, {_STORED_EFFECT}
    """,
    recomputed=f"""
    UNWIND $keys AS id
    MATCH (f:Feature {{id: id}})
    {EFFECTS_BY_FAMILY}
    RETURN key, {", ".join(each.name for each in _EFFECT)}
    """,
    clear="UNWIND $keys AS key MATCH (:Feature {id: key})-[d:DRIVES_IN]->() DELETE d",
    write=f"""
    UNWIND $rows AS row
    MATCH (f:Feature {{id: row.key[0]}}), (g:Feature {{id: row.key[1]}})
    CREATE (f)-[d:DRIVES_IN {{family: row.key[2]}}]->(g)
    {_SET_EFFECT}
    """,
    amounts=_EFFECT,
)

DEGREE = Aggregate(
    name="Feature.degree",
    keys=_FEATURES,
    stored="UNWIND $keys AS key MATCH (f:Feature {id: key}) RETURN [key] AS key, f.degree AS degree",
    recomputed="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})
    RETURN [key] AS key, COUNT { (f)-[:DRIVES]->() } + COUNT { (f)<-[:DRIVES]-() } AS degree
    """,
    clear="UNWIND $keys AS key MATCH (f:Feature {id: key}) REMOVE f.degree",
    write="UNWIND $rows AS row MATCH (f:Feature {id: row.key[0]}) SET f.degree = row.degree",
    amounts=(Amount("degree"),),
)

LAYER_SUMS = Aggregate(
    name="Circuit.layer_features, layer_errors",
    keys=_CIRCUITS,
    stored="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})
    WHERE c.layer_features IS NOT NULL
    UNWIND range(0, size(c.layer_features) - 1) AS layer
    UNWIND [["features", c.layer_features[layer]], ["errors", c.layer_errors[layer]]] AS each
    WITH key, layer, each
    WHERE each[1] <> 0
    RETURN [key, each[0], toString(layer)] AS key, each[1] AS influence
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})-[:HAS]->(n:FeatureNode|ErrorNode)
    WITH key, n.layer AS layer, CASE WHEN n:ErrorNode THEN "errors" ELSE "features" END AS kind,
         sum(n.influence) AS influence
    WHERE influence <> 0
    RETURN [key, kind, toString(layer)] AS key, influence
    """,
    clear="UNWIND $keys AS key MATCH (c:Circuit {id: key}) REMOVE c.layer_features, c.layer_errors",
    write="""
    UNWIND $rows AS row
    WITH row.key[0] AS key, max(toInteger(row.key[2])) AS top, collect(row) AS rows
    MATCH (c:Circuit {id: key})
    WITH c, rows, range(0, top) AS layers
    SET c.layer_features = [l IN layers | coalesce(
          head([r IN rows WHERE r.key[1] = "features" AND r.key[2] = toString(l) | r.influence]), 0.0)],
        c.layer_errors = [l IN layers | coalesce(
          head([r IN rows WHERE r.key[1] = "errors" AND r.key[2] = toString(l) | r.influence]), 0.0)]
    """,
    amounts=(Amount("influence"),),
)

# A circuit whose record did not say the model's layers has none, also when another one's did.
STAGE_FLOWS = Aggregate(
    name="Circuit.stage_flows",
    keys=_CIRCUITS,
    stored="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})
    WITH key, c.stage_flows AS flows
    WHERE flows IS NOT NULL
    UNWIND range(0, size(flows) - 1) AS i
    WITH key, i, flows[i] AS influence
    WHERE abs(influence) > 1e-9
    RETURN [key, toString(i)] AS key, influence
    """,
    recomputed=f"""
    UNWIND $keys AS key
    MATCH (c:Circuit {{id: key}})
    WHERE c.stage_flows IS NOT NULL
    {EACH_FLOW}
    WITH key, i, influence
    WHERE abs(influence) > 1e-9
    RETURN [key, toString(i)] AS key, influence
    """,
    clear="UNWIND $keys AS key MATCH (c:Circuit {id: key}) REMOVE c.stage_flows",
    write=f"""
    UNWIND $rows AS row
    WITH row.key[0] AS key, collect(row) AS rows
    MATCH (c:Circuit {{id: key}})
    SET c.stage_flows = [i IN range(0, {N_FLOWS - 1}) | coalesce(
      head([r IN rows WHERE r.key[1] = toString(i) | r.influence]), 0.0)]
    """,
    amounts=(Amount("influence"),),
)

AGGREGATES = (
    USES,
    FEATURE_SUMS,
    FOUND_IN,
    COVERS,
    DRIVES,
    DRIVES_IN,
    DEGREE,
    LAYER_SUMS,
    STAGE_FLOWS,
)
"""In the order in which they follow from each other."""
