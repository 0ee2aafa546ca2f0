"""States that a database must not be in: broken circuits and orphans. `schema.upkeep.check` looks for
them.

The rules of orphans derive from the graph model: a node of a label must have a relationship that keeps it.
"""

from graphlib import TopologicalSorter
from typing import NamedTuple

from schema.circuit.influence import MOST_LAYERS
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
            "(c:Circuit WHERE c.id IS :: STRING NOT NULL)", "(c:Circuit {id: suspect})", 1
        )


def _no_number(value: str) -> str:
    """Condition in Cypher that a value is stored and is no finite 32-bit number."""
    # NaN is not within the bound either.
    return (
        f"(NOT ({value} IS :: INTEGER | FLOAT) "
        f"OR NOT abs(coalesce(toFloatOrNull({value}), 0.0)) <= {FLOAT32_MAX!r})"
    )


_BROKEN = (
    ForbiddenState(
        "broken circuit",
        "does not have its n_nodes nodes and n_edges edges",
        """
        MATCH (c:Circuit WHERE c.id IS :: STRING NOT NULL)
        WHERE NOT c.n_nodes IS :: INTEGER NOT NULL OR NOT c.n_edges IS :: INTEGER NOT NULL
           OR coalesce(c.n_nodes, -1) <> COUNT { (c)-[:HAS]->(:Node) }
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
        MATCH (c:Circuit WHERE c.id IS :: STRING NOT NULL)
        WHERE COUNT { (c)-[:OF_PROMPT]->(:Prompt) } <> 1 OR COUNT { (c)-[:BY]->(:TranscoderSet) } <> 1
           OR COUNT { (c)-[:FROM_RUN]->(:Run) } <> 1
        WITH c.id AS key, elementId(c) AS eid, c.id AS circuit
        """,
        mend=None,
    ),
    ForbiddenState(
        "broken circuit",
        "has a weight, activation or influence that is not a finite 32-bit number",
        f"""
        MATCH (c:Circuit WHERE c.id IS :: STRING NOT NULL)
        WHERE EXISTS {{
          MATCH (c)-[:HAS]->(n:Node) WHERE {_no_number("n.activation")} OR {_no_number("n.influence")}
        }} OR EXISTS {{
          MATCH (c)-[:HAS]->(:Node)-[e:ATTRIBUTES]->() WHERE e.weight IS NULL OR {_no_number("e.weight")}
        }}
        WITH c.id AS key, elementId(c) AS eid, c.id AS circuit
        """,
        mend=None,
        scanned=True,
    ),
    ForbiddenState(
        "broken circuit",
        "has a layer, position, share or `derived` of another type than the graph model declares",
        f"""
        MATCH (c:Circuit WHERE c.id IS :: STRING NOT NULL)
        WHERE NOT (c.derived IS :: LIST<STRING NOT NULL>) OR EXISTS {{
          MATCH (c)-[:HAS]->(n:Node)
          WHERE NOT (n.layer IS :: INTEGER NOT NULL) OR NOT (n.position IS :: INTEGER NOT NULL)
             OR n:FeatureNode|ErrorNode AND NOT coalesce(n.layer < {MOST_LAYERS}, false)
        }} OR EXISTS {{
          MATCH (c)-[:HAS]->(:Node)-[e:ATTRIBUTES]->() WHERE NOT (e.share IS :: INTEGER | FLOAT)
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
        MATCH (c:Circuit WHERE c.id IS :: STRING NOT NULL)
        WITH c, [(c)-[:BY]->(t:TranscoderSet) | toStringOrNull(t.id)] AS sets
        MATCH (c)-[:HAS]->(n:FeatureNode)
        WITH c, n, sets, [(n)-[:INSTANCE_OF]->(f:Feature) | f.id] AS features,
             CASE WHEN n.component IS NULL THEN "" ELSE toStringOrNull(n.component) + "/" END
             + CASE WHEN n.layer IS :: INTEGER NOT NULL THEN toString(n.layer) END + "/"
             + CASE WHEN n.index IS :: INTEGER NOT NULL THEN toString(n.index) END AS own
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
        WITH t, coalesce(m.id, o.id, "{UNNAMED}" + coalesce(toStringOrNull(t.name), t.id)) AS id
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
    ForbiddenState(
        "broken feature",
        "does not have the layer and index that its id says",
        # An id of another form is of no node.
        """
        MATCH (f:Feature WHERE f.id IS :: STRING NOT NULL)
        WITH f, [part IN split(f.id, "/")[-2..] | toIntegerOrNull(part)] AS own
        WHERE size(own) = 2 AND own[0] IS NOT NULL AND own[1] IS NOT NULL
          AND NOT coalesce(f.layer IS :: INTEGER NOT NULL AND f.index IS :: INTEGER NOT NULL
                           AND f.layer = own[0] AND f.index = own[1], false)
        WITH f.id AS key, elementId(f) AS eid, null AS circuit
        """,
        mend="""
        UNWIND $eids AS eid
        MATCH (f:Feature) WHERE elementId(f) = eid
        WITH f, [part IN split(f.id, "/")[-2..] | toIntegerOrNull(part)] AS own
        SET f.layer = own[0], f.index = own[1]
        """,
    ),
    ForbiddenState(
        "broken model",
        "has an n_layers that is no number of layers",
        f"""
        MATCH (m:Model)
        WHERE m.n_layers IS NOT NULL
          AND NOT coalesce(m.n_layers IS :: INTEGER NOT NULL AND 0 < m.n_layers < {MOST_LAYERS}, false)
        WITH m.id AS key, elementId(m) AS eid, null AS circuit
        """,
        # The next circuit of the model that is loaded gives it its number again.
        mend="UNWIND $eids AS eid MATCH (m) WHERE elementId(m) = eid REMOVE m.n_layers",
    ),
)


_PARTS = "|".join(sorted({each.type for each in RELATIONSHIPS if each.part}))


def _nameless(label: str, key: str) -> ForbiddenState:
    """The nodes of a label that no command can name."""
    # A circuit is named in a command, and no argument is empty.
    empty = f' OR n.{key} = ""' if label == "Circuit" else ""
    return ForbiddenState(
        f"nameless {label}",
        f"its {key} is missing or no text, so that nothing can refer to it",
        f"MATCH (n:{label}) WHERE NOT (n.{key} IS :: STRING NOT NULL){empty} "
        f"WITH n.{key} AS key, elementId(n) AS eid, null AS circuit",
        # What else only this node kept is an orphan then.
        mend="UNWIND $eids AS eid MATCH (n) WHERE elementId(n) = eid "
        f"OPTIONAL MATCH (n)-[:{_PARTS}]->(part) DETACH DELETE part, n",
    )


_NAMELESS = tuple(
    _nameless(node.label, node.key)
    for node in NODES
    # A circuit that has such a node is broken.
    if node.key is not None
    and node.label != "Node"
    and next(each for each in node.properties if each.name == node.key).type == "string"
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


RULES = (*_NAMELESS, *_BROKEN, *_all_orphans())
"""In an order in which each rule can be mended after the ones before it."""
