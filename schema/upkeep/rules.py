"""States that a database must not be in: broken circuits and orphans. `schema.upkeep.check` looks for
them.

The rules of orphans derive from the graph model: a node of a label must have a relationship that keeps it.
"""

from graphlib import TopologicalSorter
from typing import NamedTuple

from schema.circuit.records import FLOAT32_MAX
from schema.loading.model_of_set import UNNAMED
from schema.model.core import NODES, RELATIONSHIPS
from schema.model.declare import RelationshipType

DELETE = "UNWIND $eids AS eid MATCH (n) WHERE elementId(n) = eid DETACH DELETE n"
"""Cypher that deletes the nodes of the element ids $eids."""


class ForbiddenState(NamedTuple):
    """One state that must not occur."""

    kind: str
    """Kind of the finding, such as `orphan`."""
    what: str
    """What is wrong."""
    find: str
    """Cypher that finds the nodes: it ends before RETURN with their `key`, their element id `eid`, and the
    id of their `circuit`, which may be null."""
    mend: str | None = DELETE
    """Cypher that corrects the nodes of the element ids $eids. None when only the circuit can be deleted."""
    scanned: bool = False
    """Whether `schema.upkeep.scan` suspects every circuit that may be in this state."""

    @property
    def find_in_suspects(self) -> str:
        """`find` for the circuits of the ids $circuits."""
        return "UNWIND $circuits AS suspect\n" + self.find.replace(
            "(c:Circuit)", "(c:Circuit {id: suspect})", 1
        )


_BROKEN = (
    ForbiddenState(
        "broken circuit",
        "does not have its n_nodes nodes and n_edges edges",
        """
        MATCH (c:Circuit)
        WHERE coalesce(c.n_nodes, -1) <> COUNT { (c)-[:HAS]->(:Node) }
           OR EXISTS { (c)-[:HAS]->(n:Node) WHERE NOT coalesce(n.id STARTS WITH c.id + "/", false) }
           OR coalesce(c.n_edges, -1)
              <> COUNT { (c)-[:HAS]->(:Node)-[:ATTRIBUTES]->(m) WHERE m.id STARTS WITH c.id + "/" }
        WITH c.id AS key, elementId(c) AS eid, c.id AS circuit
        """,
        mend=None,
        scanned=True,
    ),
    ForbiddenState(
        "broken circuit",
        "does not have exactly one prompt, set and run",
        """
        MATCH (c:Circuit)
        WHERE COUNT { (c)-[:OF_PROMPT]->(:Prompt) } <> 1 OR COUNT { (c)-[:BY]->(:TranscoderSet) } <> 1
           OR COUNT { (c)-[:FROM_RUN]->(:Run) } <> 1
        WITH c.id AS key, elementId(c) AS eid, c.id AS circuit
        """,
        mend=None,
    ),
    ForbiddenState(
        "broken circuit",
        "has a weight, activation or influence that is not a finite 32-bit number",
        # NaN is not within the bound either.
        f"""
        MATCH (c:Circuit)
        WHERE EXISTS {{
          MATCH (c)-[:HAS]->(n:Node)
          WHERE NOT abs(coalesce(n.activation, 0.0)) <= {FLOAT32_MAX!r}
             OR NOT abs(coalesce(n.influence, 0.0)) <= {FLOAT32_MAX!r}
        }} OR EXISTS {{
          MATCH (c)-[:HAS]->(:Node)-[e:ATTRIBUTES]->() WHERE NOT abs(e.weight) <= {FLOAT32_MAX!r}
        }}
        WITH c.id AS key, elementId(c) AS eid, c.id AS circuit
        """,
        mend=None,
        scanned=True,
    ),
    ForbiddenState(
        "broken node",
        "is not an instance of exactly one feature, its own",
        # The id of a feature says its set, component, layer and index. A circuit of several sets is broken
        # already.
        """
        MATCH (c:Circuit)
        WITH c, [(c)-[:BY]->(t:TranscoderSet) | t.id] AS sets
        MATCH (c)-[:HAS]->(n:FeatureNode)
        WITH c, n, sets, [(n)-[:INSTANCE_OF]->(f:Feature) | f.id] AS features,
             coalesce(n.component + "/", "") + toString(n.layer) + "/" + toString(n.index) AS own
        WHERE size(features) <> 1 OR size(sets) = 1 AND NOT coalesce(features[0] = sets[0] + "/" + own, false)
        WITH n.id AS key, elementId(n) AS eid, c.id AS circuit
        """,
        mend=None,
        scanned=True,
    ),
    ForbiddenState(
        "broken set",
        "does not belong to exactly one model",
        """
        MATCH (t:TranscoderSet) WHERE COUNT { (t)-[:FOR]->(:Model) } <> 1
        WITH t.id AS key, elementId(t) AS eid, null AS circuit
        """,
        # Loading takes the first of several models. Without one, the heads of circuits may name it.
        mend=f"""
        UNWIND $eids AS eid
        MATCH (t:TranscoderSet) WHERE elementId(t) = eid
        CALL (t) {{ OPTIONAL MATCH (t)-[:FOR]->(m:Model) RETURN m ORDER BY m.id LIMIT 1 }}
        CALL (t) {{
          OPTIONAL MATCH (t)<-[:BY]-(:Circuit)-[:RUNS_THROUGH]->(:Head)-[:OF_MODEL]->(o:Model)
          RETURN o ORDER BY o.id LIMIT 1
        }}
        WITH t, coalesce(m.id, o.id, "{UNNAMED}" + coalesce(t.name, t.id)) AS id
        CALL (t) {{ MATCH (t)-[f:FOR]->() DELETE f }}
        MERGE (m:Model {{id: id}}) ON CREATE SET m.name = id
        CREATE (t)-[:FOR]->(m)
        """,
    ),
    ForbiddenState(
        "broken feature",
        "does not belong to exactly one set",
        """
        MATCH (f:Feature) WHERE COUNT { (f)-[:IN]->(:TranscoderSet) } <> 1
        WITH f.id AS key, elementId(f) AS eid, null AS circuit
        """,
        # Its circuits are all of its set, whose id is the beginning of its own. A feature of an unknown set
        # is deleted.
        mend="""
        UNWIND $eids AS eid
        MATCH (f:Feature) WHERE elementId(f) = eid
        CALL (f) { MATCH (f)-[i:IN]->() DELETE i }
        CALL (f) {
          OPTIONAL MATCH (t:TranscoderSet) WHERE f.id STARTS WITH t.id + "/"
          RETURN t ORDER BY size(t.id) DESC LIMIT 1
        }
        FOREACH (unknown IN CASE WHEN t IS NULL THEN [f] ELSE [] END | DETACH DELETE unknown)
        WITH f, t WHERE t IS NOT NULL
        CREATE (f)-[:IN]->(t)
        """,
    ),
)


def _orphans(label: str, keepers: list[RelationshipType]) -> ForbiddenState:
    """The nodes of a label that no relationship keeps."""
    key = next(node.key for node in NODES if node.label == label)
    parts, others = [], []
    for each in keepers:
        # Labels and types are declared names, so they can be part of the text.
        if each.kept == each.target:
            parts.append(f"NOT EXISTS {{ (n)<-[:{each.type}]-(:{each.source}) }}")
            others.append(f"no {each.source} refers to")
        else:
            parts.append(f"NOT EXISTS {{ (n)-[:{each.type}]->(:{each.target}) }}")
            others.append(f"refers to no {each.target}")
    return ForbiddenState(
        "orphan",
        f"a {label} that " + " and ".join(others),
        f"MATCH (n:{label}) WHERE {' AND '.join(parts)} "
        f"WITH n.{key} AS key, elementId(n) AS eid, null AS circuit",
    )


_UNUSED_FEATURE = ForbiddenState(
    "orphan",
    "a Feature that no circuit has and no person labelled",
    "MATCH (n:Feature) WHERE NOT EXISTS { (n)<-[:INSTANCE_OF]-() } "
    'AND NOT EXISTS { (n)<-[:LABELS]-(:Label {method: "person"}) } '
    "WITH n.id AS key, elementId(n) AS eid, null AS circuit",
)

_OLD_ENTRY = ForbiddenState(
    "orphan",
    "an Entry of a circuit that was deleted",
    "MATCH (n:Entry)<-[:LISTS]-(:Run) "
    'WHERE n.outcome <> "refused" AND NOT EXISTS { (n)-[:GAVE]->(:Circuit) } '
    "WITH n.id AS key, elementId(n) AS eid, null AS circuit",
)


def _all_orphans() -> list[ForbiddenState]:
    """The rules of orphans. Deleting an orphan can make new orphans, which a later rule finds."""
    kept: dict[str, list[RelationshipType]] = {}
    for each in RELATIONSHIPS:
        if each.kept is not None:
            kept.setdefault(each.kept, []).append(each)
    keepers = {
        label: {each.source if each.kept == each.target else each.target for each in found}
        for label, found in kept.items()
    }
    order = TopologicalSorter({**keepers, "Feature": {"Node"}}).static_order()
    found = [
        _UNUSED_FEATURE if label == "Feature" else _orphans(label, kept[label])
        for label in order
        if label in kept or label == "Feature"
    ]
    return [*found, _OLD_ENTRY]


RULES = (*_BROKEN, *_all_orphans())
"""In an order in which each rule can be mended after the ones before it."""
