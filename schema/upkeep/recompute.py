"""The aggregates recomputed from the stored nodes and edges, for `atlas check` and its repairs.

Each `Aggregate` is a value that holds the Cypher to list its keys, to read what is stored, to recompute it,
and to write it. Both the stored and the recomputed rows have a `key`, which is a list of keys, and the
amounts by name.

A stored value can have any type. Where nodes and edges are recomputed, what is no number counts as absent;
`schema.upkeep.rules` names the circuit that has it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from schema.circuit.influence import MOST_LAYERS, N_FLOWS, STAGE_FLOW_ROWS
from schema.database import Transaction
from schema.loading.aggregates import RECOMPUTED_EFFECT, RECOMPUTED_USES
from schema.loading.effects import pair_text


def _each_of(values: str) -> str:
    """Cypher that gives place and number of each element of a stored list of numbers.

    When the stored value is no list of numbers, the place is a text that no list gives, and the number null.
    values: name of the variable.
    """
    return f"""UNWIND CASE
      WHEN {values} IS :: LIST<INTEGER NOT NULL | FLOAT NOT NULL> NOT NULL
      THEN [i IN range(0, size({values}) - 1) | [toString(i), {values}[i]]]
      ELSE [["not a list of numbers", null]] END AS each"""


def rounding(size: Any, scale: Any) -> Any:
    """The largest difference that rounding explains; of numbers or of columns of them.

    size: absolute value of the recomputed number. scale: size of the numbers that were summed.
    """
    return 1e-7 * (size + scale) + 1e-12


class Amount(NamedTuple):
    """One property of an aggregate, and how far rounding may change it."""

    name: str
    scale: Callable[[dict[str, Any]], float] = lambda row: 0.0
    """Size of the numbers that were summed, from the recomputed row. Rounding errors are proportional to
    it."""

    def tolerance(self, row: dict[str, Any]) -> float:
        """The largest difference that rounding explains, for a recomputed row of finite numbers."""
        scale = self.scale(row)
        found: float = rounding(abs(row[self.name]), scale if math.isfinite(scale) else 0.0)
        return found


class Aggregate(NamedTuple):
    """The Cypher that compares and repairs one aggregate."""

    name: str
    """Name in findings."""
    of: str
    """Label of the nodes whose ids are the keys: Feature, Circuit or TranscoderSet."""
    stored: str
    """Gives the stored rows of $keys."""
    recomputed: str
    """Gives the rows of $keys as the nodes and edges determine them."""
    clear: str
    """Removes the stored values of $keys."""
    write: str
    """Writes $rows, which `recomputed` gave."""
    amounts: tuple[Amount, ...]
    """The properties that are compared."""

    @property
    def keys(self) -> str:
        """Cypher that gives the next $limit keys after $after."""
        # The label is a declared name, so it can be part of the text.
        return f"MATCH (n:{self.of}) WHERE n.id > $after RETURN n.id AS key ORDER BY n.id LIMIT $limit"


def _spread(row: dict[str, Any]) -> float:
    """The root mean square of the effects of a DRIVES; infinity where the numbers are too large."""
    return math.hypot(math.sqrt(row["m2"] / row["n_circuits"]), row["mean"])


USES = Aggregate(
    name="USES",
    of="Circuit",
    stored="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})-[u:USES]->(f:Feature)
    RETURN [key, f.id] AS key, u.influence AS influence, u.activation AS activation, u.positions AS positions
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})-[:HAS]->(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
    WITH key, f, toFloatOrNull(n.influence) AS influence, toFloatOrNull(n.activation) AS activation,
         toIntegerOrNull(n.position) AS position
    ORDER BY position
    WITH key, f, sum(influence) AS influence, count(influence) AS measured, max(activation) AS activation,
         collect(position) AS positions
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
    of="Feature",
    stored="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})
    RETURN [key] AS key, f.n_circuits AS n_circuits, f.n_measured AS n_measured, f.influence AS influence
    """,
    recomputed=f"""
    UNWIND $keys AS key
    MATCH (f:Feature {{id: key}})
    OPTIONAL MATCH (f)<-[u:USES]-()
    RETURN [key] AS key, {RECOMPUTED_USES}
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
    of="Feature",
    stored="""
    UNWIND $keys AS key
    MATCH (f:Feature {id: key})-[i:FOUND_IN]->(y:Family)
    RETURN [key, y.name] AS key, i.n_circuits AS n_circuits, i.n_measured AS n_measured,
           i.influence AS influence
    """,
    recomputed=f"""
    UNWIND $keys AS key
    MATCH (f:Feature {{id: key}})<-[u:USES]-(:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
    WITH key, y, {RECOMPUTED_USES}
    RETURN [key, y.name] AS key, n_circuits, n_measured, influence
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
    of="TranscoderSet",
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
    Amount("m2", lambda row: row["n_circuits"] * _spread(row) * _spread(row)),
    # When m2 is nearly 0, its rounding error is large compared with it, and the root makes the error larger.
    Amount("sd", lambda row: 1e3 * _spread(row)),
    Amount("sign_consistency"),
    Amount("pair"),
)

_STORED_EFFECT = ", ".join(f"d.{each.name} AS {each.name}" for each in _EFFECT)

_SET_EFFECT = "SET " + ", ".join(f"d.{each.name} = row.{each.name}" for each in _EFFECT)

_RECOMPUTED_EFFECT = f"""
    {RECOMPUTED_EFFECT}
    RETURN key, n AS n_circuits, positive AS n_positive, negative AS n_negative, mean, m2, sd,
           sign_consistency, {pair_text("f", "g")} AS pair"""

EFFECTS_BY_FAMILY = f"""
    CALL (f) {{
      CALL (f) {{
        MATCH (f)<-[:INSTANCE_OF]-(n:FeatureNode)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g:Feature),
              (n)<-[:HAS]-(c:Circuit)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
        WITH g, y, c, sum(toFloatOrNull(e.weight)) AS w ORDER BY c.id
        RETURN g, y.name AS family, collect(w) AS ws
      }}
      WITH f, g, ws, [f.id, g.id, family] AS key
      {_RECOMPUTED_EFFECT}, g
    }}
"""
"""Key and properties of each DRIVES_IN of a feature `f` in Cypher, and the feature `g` at its end."""

DRIVES = Aggregate(
    name="DRIVES",
    of="Feature",
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
      WITH g, c, sum(toFloatOrNull(e.weight)) AS w ORDER BY c.id
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
    of="Feature",
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
    of="Feature",
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
    of="Circuit",
    stored="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})
    UNWIND ["features", "errors"] AS kind
    WITH key, kind, CASE kind WHEN "features" THEN c.layer_features ELSE c.layer_errors END AS sums
    WHERE sums IS NOT NULL
    """
    + _each_of("sums")
    + """
    WITH key, kind, each
    WHERE each[1] IS NULL OR each[1] <> 0
    RETURN [key, kind, each[0]] AS key, each[1] AS influence
    """,
    recomputed="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})
    // Of a kind that has nodes, one influence is known at least.
    WHERE all(kind IN ["FeatureNode", "ErrorNode"] WHERE
      NOT EXISTS { (c)-[:HAS]->(n:Node) WHERE kind IN labels(n) }
      OR EXISTS { (c)-[:HAS]->(n:Node) WHERE kind IN labels(n) AND toFloatOrNull(n.influence) IS NOT NULL })
    MATCH (c)-[:HAS]->(n:FeatureNode|ErrorNode)
    WHERE n.layer IS :: INTEGER NOT NULL AND 0 <= n.layer < """
    + str(MOST_LAYERS)
    + """
    WITH key, n.layer AS layer, CASE WHEN n:ErrorNode THEN "errors" ELSE "features" END AS kind,
         sum(toFloatOrNull(n.influence)) AS influence
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

# Only circuits that have the property are compared. A circuit whose record lacked the number of layers has no
# flows, even when another circuit gave the model its number of layers later.
STAGE_FLOWS = Aggregate(
    name="Circuit.stage_flows",
    of="Circuit",
    stored="""
    UNWIND $keys AS key
    MATCH (c:Circuit {id: key})
    WITH key, c.stage_flows AS flows
    WHERE flows IS NOT NULL
    """
    + _each_of("flows")
    + """
    WITH key, each
    WHERE each[1] IS NULL OR NOT abs(each[1]) <= 1e-9
    RETURN [key, each[0]] AS key, each[1] AS influence
    """,
    recomputed=f"""
    UNWIND $keys AS key
    MATCH (c:Circuit {{id: key}})
    WHERE c.stage_flows IS NOT NULL
    {STAGE_FLOW_ROWS}
    WITH key, i, influence
    WHERE NOT abs(influence) <= 1e-9
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
"""The aggregates in an order in which each one depends only on earlier ones."""


def rewrite(transaction: Transaction, aggregate: Aggregate, keys: Sequence[str]) -> None:
    """Write the recomputed values of some keys. The transaction must hold the locks of all sets."""
    rows = transaction.run(aggregate.recomputed, {"keys": list(keys)})
    transaction.run(aggregate.clear, {"keys": list(keys)})
    transaction.run(aggregate.write, {"rows": rows})
