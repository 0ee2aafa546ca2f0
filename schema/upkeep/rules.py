"""States that a database must not be in: broken circuits and orphans. `schema.upkeep.check` looks for
them."""

from typing import NamedTuple


class ForbiddenState(NamedTuple):
    """One state that must not occur."""

    kind: str
    """Kind of the finding, such as `orphan`."""
    what: str
    """What is wrong, and what to do when `atlas check --repair` cannot correct it."""
    find: str
    """Cypher that finds the nodes: it ends before RETURN with their `key` and their element id `eid`."""
    mend: bool = True
    """Whether deleting the node corrects the state."""


# The order matters: deleting an orphan can make new orphans, which a later rule finds.
RULES = (
    ForbiddenState(
        "broken circuit",
        "does not have its n_nodes nodes and n_edges edges; run `atlas delete --circuit` and load it again",
        """
        MATCH (c:Circuit)
        WHERE c.n_nodes <> COUNT { (c)-[:HAS]->(:Node) }
           OR c.n_edges <> COUNT { (c)-[:HAS]->(:Node)-[:ATTRIBUTES]->(m) WHERE m.id STARTS WITH c.id + "/" }
        WITH c.id AS key, elementId(c) AS eid
        """,
        mend=False,
    ),
    ForbiddenState(
        "broken circuit",
        "does not have exactly one prompt, set and run; run `atlas delete --circuit` and load it again",
        """
        MATCH (c:Circuit)
        WHERE COUNT { (c)-[:OF_PROMPT]->(:Prompt) } <> 1 OR COUNT { (c)-[:BY]->(:TranscoderSet) } <> 1
           OR COUNT { (c)-[:FROM_RUN]->(:Run) } <> 1
        WITH c.id AS key, elementId(c) AS eid
        """,
        mend=False,
    ),
    ForbiddenState(
        "broken node",
        "is not an instance of exactly one feature; delete its circuit and load it again",
        """
        MATCH (n:FeatureNode) WHERE COUNT { (n)-[:INSTANCE_OF]->(:Feature) } <> 1
        WITH n.id AS key, elementId(n) AS eid
        """,
        mend=False,
    ),
    ForbiddenState(
        "broken feature",
        "does not belong to exactly one set",
        """
        MATCH (f:Feature) WHERE COUNT { (f)-[:IN]->(:TranscoderSet) } <> 1
        WITH f.id AS key, elementId(f) AS eid
        """,
        mend=False,
    ),
    ForbiddenState(
        "broken set",
        "does not belong to exactly one model",
        """
        MATCH (t:TranscoderSet) WHERE COUNT { (t)-[:FOR]->(:Model) } <> 1
        WITH t.id AS key, elementId(t) AS eid
        """,
        mend=False,
    ),
    ForbiddenState(
        "orphan",
        "a node of no circuit",
        "MATCH (n:Node) WHERE NOT EXISTS { (n)<-[:HAS]-(:Circuit) } WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a supernode of no circuit",
        "MATCH (n:Supernode) WHERE NOT EXISTS { (n)<-[:HAS]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a concept that no supernode means",
        "MATCH (n:Concept) WHERE NOT EXISTS { (n)<-[:MEANS]-(:Supernode) } "
        "WITH n.label AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a head that no circuit runs through",
        "MATCH (n:Head) WHERE NOT EXISTS { (n)<-[:RUNS_THROUGH]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "component effects of no circuit",
        "MATCH (n:ComponentEffects) WHERE NOT EXISTS { (n)<-[:ABLATED]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a prompt of no circuit",
        "MATCH (n:Prompt) WHERE NOT EXISTS { (n)<-[:OF_PROMPT]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a family of no prompt",
        "MATCH (n:Family) WHERE NOT EXISTS { (n)<-[:IN_FAMILY]-(:Prompt) } "
        "WITH n.name AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a tag of no prompt",
        "MATCH (n:Tag) WHERE NOT EXISTS { (n)<-[:TAGGED]-(:Prompt) } WITH n.name AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "a feature that no circuit has and no person labelled",
        "MATCH (n:Feature) WHERE NOT EXISTS { (n)<-[:INSTANCE_OF]-() } "
        'AND NOT EXISTS { (n)<-[:LABELS]-(:Label {method: "person"}) } WITH n.id AS key, elementId(n) AS eid',
    ),
    ForbiddenState(
        "orphan",
        "a label of no feature",
        "MATCH (n:Label) WHERE NOT EXISTS { (n)-[:LABELS]->(:Feature) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "an example of no feature",
        "MATCH (n:Example) WHERE NOT EXISTS { (n)-[:EXAMPLE_OF]->(:Feature) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    ForbiddenState(
        "orphan",
        "an entry of no run, or of a circuit that was deleted",
        "MATCH (n:Entry) WHERE NOT EXISTS { (n)<-[:LISTS]-(:Run) } "
        'OR (n.outcome <> "refused" AND NOT EXISTS { (n)-[:GAVE]->(:Circuit) }) '
        "WITH n.id AS key, elementId(n) AS eid",
    ),
)
