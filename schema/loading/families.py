"""Circuits join or leave the families of their prompts: their share of DRIVES_IN, FOUND_IN and COVERS.

Loading, deleting and moving a prompt to another family use these steps, in a transaction that holds the lock
of the circuit's set. `schema.loading.aggregates` has the arithmetic.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from schema.database import Rows, Transaction
from schema.loading.aggregates import MOMENTS, add_effects, add_uses, remove_effect, remove_use
from schema.loading.effects import EACH_DRIVES_IN, EACH_DRIVES_IN_OF_GROUP, FeatureEffects
from schema.loading.shares import FamilyShare, Share, merged_effects, merged_uses

KEEP_PLAN = "CYPHER replan=skip\n"
"""Beginning of the queries of loading. Planning them takes longer than running them, and the best plan does
not depend on the stored data."""


class LostAggregates(NamedTuple):
    """Aggregates of a family that shrank so much that rounding errors show; `recompute` corrects them."""

    effects: Rows
    """Source, target and family of each DRIVES_IN."""
    uses: Rows
    """Feature and family of each FOUND_IN."""


def join(transaction: Transaction, joining: Iterable[FamilyShare]) -> None:
    """Add stored circuits to the aggregates of the families of their prompts."""
    of_family: dict[str, list[Share]] = defaultdict(list)
    for each in joining:
        of_family[each.family].append(each.share)
    for family, shares in of_family.items():
        transaction.run(ADD_TO_DRIVES_IN, {"p": {**merged_effects(shares), "family": family}})
        sets = Counter(share.transcoders for share in shares if share.transcoders is not None)
        parameters = {
            "family": family,
            "sets": [{"id": id_, "n": n} for id_, n in sets.items()],
            "uses": merged_uses(shares),
        }
        transaction.run(COUNT_IN_FAMILY, {"p": parameters})


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
ADD_TO_DRIVES_IN = (
    KEEP_PLAN
    + EACH_DRIVES_IN_OF_GROUP
    + add_effects("(f)-[:DRIVES_IN {properties, family: $p.family}]->(g)", "FINISH")
)

COUNT_IN_FAMILY = f"""{KEEP_PLAN}
MATCH (y:Family {{name: $p.family}})
CALL (y) {{
  UNWIND $p.sets AS row
  MATCH (t:TranscoderSet {{id: row.id}})
  MERGE (t)-[v:COVERS]->(y)
  SET v.n_circuits = coalesce(v.n_circuits, 0) + row.n
}}
UNWIND $p.uses AS row
MATCH (f:Feature {{id: row.feature}})
MERGE (f)-[i:FOUND_IN]->(y)
{add_uses("i")}"""

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
  WITH c, sum(toFloatOrNull(e.weight)) AS w
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
  RETURN 1.0 * sum(toFloatOrNull(u.influence)) AS influence
}
SET i.influence = influence
"""
