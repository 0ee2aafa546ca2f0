"""Declarations of what people add to circuits: the earlier versions of their supernodes."""

from schema.model.declare import NodeType, P, RelationshipType

FORMER_SUPERNODE = NodeType(
    "FormerSupernode",
    "A person's supernode that a newer version replaced. It is kept unchanged, and only the history of the "
    "newer versions shows it.",
    (
        P("id", "string", "The id that the supernode had."),
        P("label", "string", "Name of the group."),
        P("position", "integer?", "Position of the members, from 0. Absent if they have several positions."),
        P("method", "string", "How the group was made: person."),
        P("author", "string", "Name of the person who made the group."),
        P("score", "float?", "Score from the file that the group came from. Absent if there is none."),
        P("made_at", "datetime?", "Time in UTC when the group was made. Absent if it came from a file."),
        P("replaced_at", "datetime", "Time in UTC when a newer version replaced the group."),
    ),
)

PEOPLE_NODES = (FORMER_SUPERNODE,)
PEOPLE_RELATIONSHIPS = (
    RelationshipType(
        "HAD", "Circuit", "FormerSupernode", "A supernode of a circuit that was replaced.", part=True
    ),
    RelationshipType("GROUPS", "FormerSupernode", "Node", "A member of a former supernode."),
    RelationshipType("REPLACES", "Supernode", "FormerSupernode", "The version that a supernode replaced."),
    RelationshipType(
        "REPLACES", "FormerSupernode", "FormerSupernode", "The version that a former supernode replaced."
    ),
)
