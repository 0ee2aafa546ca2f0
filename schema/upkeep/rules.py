"""What must not be in a database: broken circuits and orphans, one rule each, for `schema.upkeep.check`."""

from typing import NamedTuple


class Rule(NamedTuple):
    """Something that must not be there."""

    kind: str
    what: str
    find: str
    """Cypher whose rows have `key` and `n` as `node` to delete; ends before RETURN."""
    mend: bool = True
    """Whether deleting it puts things right."""


# In this order: what a mended orphan leaves behind is found by a later rule.
RULES = (
    Rule(
        "broken circuit",
        "has not the nodes or edges that it counts; `atlas delete --circuit` it and load it again",
        """
        MATCH (c:Circuit)
        WHERE c.n_nodes <> COUNT { (c)-[:HAS]->(:Node) }
           OR c.n_edges <> COUNT { (c)-[:HAS]->(:Node)-[:ATTRIBUTES]->(m) WHERE m.id STARTS WITH c.id + "/" }
        WITH c.id AS key, elementId(c) AS eid
        """,
        mend=False,
    ),
    Rule(
        "broken circuit",
        "has not one prompt, set and run; `atlas delete --circuit` it and load it again",
        """
        MATCH (c:Circuit)
        WHERE COUNT { (c)-[:OF_PROMPT]->(:Prompt) } <> 1 OR COUNT { (c)-[:BY]->(:TranscoderSet) } <> 1
           OR COUNT { (c)-[:FROM_RUN]->(:Run) } <> 1
        WITH c.id AS key, elementId(c) AS eid
        """,
        mend=False,
    ),
    Rule(
        "broken node",
        "is an instance of no feature, or of several; delete its circuit and load it again",
        """
        MATCH (n:FeatureNode) WHERE COUNT { (n)-[:INSTANCE_OF]->(:Feature) } <> 1
        WITH n.id AS key, elementId(n) AS eid
        """,
        mend=False,
    ),
    Rule(
        "broken feature",
        "belongs to no set, or to several",
        """
        MATCH (f:Feature) WHERE COUNT { (f)-[:IN]->(:TranscoderSet) } <> 1
        WITH f.id AS key, elementId(f) AS eid
        """,
        mend=False,
    ),
    Rule(
        "broken set",
        "is for no model, or for several",
        """
        MATCH (t:TranscoderSet) WHERE COUNT { (t)-[:FOR]->(:Model) } <> 1
        WITH t.id AS key, elementId(t) AS eid
        """,
        mend=False,
    ),
    Rule(
        "orphan",
        "a node of no circuit",
        "MATCH (n:Node) WHERE NOT EXISTS { (n)<-[:HAS]-(:Circuit) } WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a supernode of no circuit",
        "MATCH (n:Supernode) WHERE NOT EXISTS { (n)<-[:HAS]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a concept that no supernode means",
        "MATCH (n:Concept) WHERE NOT EXISTS { (n)<-[:MEANS]-(:Supernode) } "
        "WITH n.label AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a head that no circuit runs through",
        "MATCH (n:Head) WHERE NOT EXISTS { (n)<-[:RUNS_THROUGH]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "effects of the components of no circuit",
        "MATCH (n:ComponentEffects) WHERE NOT EXISTS { (n)<-[:ABLATED]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a prompt of no circuit",
        "MATCH (n:Prompt) WHERE NOT EXISTS { (n)<-[:OF_PROMPT]-(:Circuit) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a family of no prompt",
        "MATCH (n:Family) WHERE NOT EXISTS { (n)<-[:IN_FAMILY]-(:Prompt) } "
        "WITH n.name AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a tag of no prompt",
        "MATCH (n:Tag) WHERE NOT EXISTS { (n)<-[:TAGGED]-(:Prompt) } WITH n.name AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "a feature that no circuit has and no person labelled",
        "MATCH (n:Feature) WHERE NOT EXISTS { (n)<-[:INSTANCE_OF]-() } "
        'AND NOT EXISTS { (n)<-[:LABELS]-(:Label {method: "person"}) } WITH n.id AS key, elementId(n) AS eid',
    ),
    Rule(
        "orphan",
        "a label of no feature",
        "MATCH (n:Label) WHERE NOT EXISTS { (n)-[:LABELS]->(:Feature) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "an example of no feature",
        "MATCH (n:Example) WHERE NOT EXISTS { (n)-[:EXAMPLE_OF]->(:Feature) } "
        "WITH n.id AS key, elementId(n) AS eid",
    ),
    Rule(
        "orphan",
        "an entry of no run, or of a circuit that is gone",
        "MATCH (n:Entry) WHERE NOT EXISTS { (n)<-[:LISTS]-(:Run) } "
        'OR (n.outcome <> "refused" AND NOT EXISTS { (n)-[:GAVE]->(:Circuit) }) '
        "WITH n.id AS key, elementId(n) AS eid",
    ),
)
