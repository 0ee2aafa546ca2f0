"""A circuit joins or leaves the family of its prompt: its share of DRIVES_IN, FOUND_IN and COVERS.

Loading, deleting and moving a prompt to another family use these steps, in a transaction that holds the lock
of the circuit's set. `schema.loading.aggregates` has the arithmetic.
"""

from typing import NamedTuple

from schema.database import Rows, Transaction
from schema.loading.aggregates import ADD_EFFECT, FIRST_EFFECT, MOMENTS, add_use, remove_effect, remove_use
from schema.loading.effects import EACH_DRIVES_IN, FeatureEffects

KEEP_PLAN = "CYPHER replan=skip\n"
"""Beginning of the queries of loading. Planning them takes longer than running them, and the best plan does
not depend on the stored data."""


class LostAggregates(NamedTuple):
    """Aggregates of a family that shrank so much that rounding errors show; `recompute` corrects them."""

    effects: Rows
    """Source, target and family of each DRIVES_IN."""
    uses: Rows
    """Feature and family of each FOUND_IN."""


def join(transaction: Transaction, circuit: str, family: str, effects: FeatureEffects) -> None:
    """Add a stored circuit to the aggregates of its prompt's family. circuit: id. effects: its effects."""
    transaction.run(ADD_TO_DRIVES_IN, {"p": {**effects._asdict(), "family": family}})
    transaction.run(COUNT_IN_FAMILY, {"p": {"id": circuit}})


def leave(transaction: Transaction, circuit: str, family: str, effects: FeatureEffects) -> LostAggregates:
    """Remove a stored circuit from the aggregates of its prompt's family, while the prompt is still in it.

    Call `recompute` with the result when the circuit or its prompt is no longer in the family.
    """
    parameters = {**effects._asdict(), "family": family}
    return LostAggregates(
        effects=transaction.run(_REMOVE_DRIVES_IN, {"p": parameters}),
        uses=transaction.run(_REMOVE_FOUND_IN, {"id": circuit}),
    )


def recompute(transaction: Transaction, lost: LostAggregates) -> None:
    """Recompute aggregates of families from the stored nodes and edges."""
    for text, keys in ((_RECOMPUTE_DRIVES_IN, lost.effects), (_RECOMPUTE_FOUND_IN, lost.uses)):
        if keys:
            transaction.run(text, {"keys": keys})


# -- Cypher; every value from outside is a parameter

# New relationships are created without MERGE, because the lock of the set keeps others from creating them.
ADD_TO_DRIVES_IN = f"""{KEEP_PLAN}{EACH_DRIVES_IN}
CALL (f, g, w, pair, d) {{
  WITH f, g, w, pair, d WHERE d IS NULL
  CREATE (f)-[:DRIVES_IN {{{FIRST_EFFECT}, family: $p.family}}]->(g)
}}{ADD_EFFECT}"""

COUNT_IN_FAMILY = f"""{KEEP_PLAN}
MATCH (c:Circuit {{id: $p.id}})-[:BY]->(t:TranscoderSet),
      (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(y:Family)
MERGE (t)-[v:COVERS]->(y)
SET v.n_circuits = coalesce(v.n_circuits, 0) + 1
WITH c, y
MATCH (c)-[u:USES]->(f:Feature)
MERGE (f)-[i:FOUND_IN]->(y)
{add_use("i", "u.influence")}"""

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

SET_MOMENTS = f"""
  WITH c, sum(e.weight) AS w
  RETURN collect(w) AS ws
}}
{MOMENTS}
SET d.mean = mean, d.m2 = m2, d.sd = sqrt(m2 / n)
"""
"""The end of Cypher that recomputes the moments of a DRIVES or DRIVES_IN `d` from edges `e` of circuits
`c`."""

_RECOMPUTE_DRIVES_IN = f"""
UNWIND $keys AS key
MATCH (f:Feature {{id: key.source}})-[d:DRIVES_IN {{family: key.family}}]->(g:Feature {{id: key.target}})
CALL (f, g, key) {{
  MATCH (f)<-[:INSTANCE_OF]-(n)-[e:ATTRIBUTES]->(:FeatureNode)-[:INSTANCE_OF]->(g), (n)<-[:HAS]-(c:Circuit)
  WHERE EXISTS {{ (c)-[:OF_PROMPT]->(:Prompt)-[:IN_FAMILY]->(:Family {{name: key.family}}) }}
{SET_MOMENTS}"""

_RECOMPUTE_FOUND_IN = """
UNWIND $keys AS key
MATCH (f:Feature {id: key.feature})-[i:FOUND_IN]->(y:Family {name: key.family})
CALL (f, y) {
  MATCH (y)<-[:IN_FAMILY]-()<-[:OF_PROMPT]-()-[u:USES]->(f)
  RETURN sum(u.influence) AS influence
}
SET i.influence = influence
"""
