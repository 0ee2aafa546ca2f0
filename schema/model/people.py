"""Declarations of what people say of circuits: earlier versions of their supernodes."""

from schema.model.declare import NodeType, P, RelationshipType

FORMER_SUPERNODE = NodeType(
    "FormerSupernode",
    "A supernode of a person that another version replaced: kept as it was, and part of no answer but the "
    "history of those that followed it.",
    (
        P("id", "string", "as it was"),
        P("label", "string", "what it was called"),
        P("position", "integer?", "when all members stand at one"),
        P("method", "string", "person"),
        P("author", "string", "by whom"),
        P("score", "float?", "when it came from a file that had one"),
        P("made_at", "datetime?", "when; absent: it came from a file"),
        P("replaced_at", "datetime", "when it was replaced"),
    ),
)

PEOPLE_NODES = (FORMER_SUPERNODE,)
PEOPLE_RELATIONSHIPS = (
    RelationshipType("HAD", "Circuit", "FormerSupernode", "Its supernodes that were replaced."),
    RelationshipType("GROUPS", "FormerSupernode", "Node", "Its members."),
    RelationshipType("REPLACES", "Supernode", "FormerSupernode", "What it was made from."),
    RelationshipType("REPLACES", "FormerSupernode", "FormerSupernode", "What it was made from."),
)
