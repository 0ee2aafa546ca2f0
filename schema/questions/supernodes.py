"""Questions about supernodes, their versions, and the ways in which features are grouped into them."""

from typing import NamedTuple

from schema.questions.question import KeyReference, Question, ids_of, lookup, row_of


class GroupingRow(NamedTuple):
    """A way in which a circuit's features are grouped into supernodes."""

    key: str
    method: str
    authors: list[str]
    n_supernodes: int
    n_members: int
    share: float | None


class GroupingAcrossRow(NamedTuple):
    """A way in which features of several circuits are grouped."""

    method: str
    authors: list[str]
    n_supernodes: int
    n_circuits: int


class SupernodeRow(NamedTuple):
    """The properties of a supernode."""

    key: str
    """Id of the supernode."""
    circuit: str
    label: str
    position: int | None
    """Position of all members; None when they are at several positions."""
    method: str
    author: str
    """Name of the person, or of the program that made it."""
    score: float | None
    members: list[str]
    """Ids of nodes."""
    influence: float | None
    """Sum of the members' influences; None when one of them is unknown."""


class SupernodeEdgeRow(NamedTuple):
    """The direct effects of the members of one supernode on those of another, added up."""

    key: str
    source: str
    target: str
    weight: float
    n_effects: int
    """Number of these effects."""


class SupernodesRow(NamedTuple):
    """A page of supernode ids, and how many circuits have them."""

    total: int
    rows: list[str]
    n_circuits: int
    n_grouped: int


class VersionRow(NamedTuple):
    """A version of a person's supernode."""

    key: str
    """Id of the supernode that was asked about."""
    id: str
    """Id of this version."""
    label: str
    author: str
    made_at: str | None
    """ISO 8601; None when it is not recorded."""
    replaced_at: str | None
    """ISO 8601; None for the current version."""
    members: list[str]
    """Ids of nodes."""
    replaces: list[str]
    """Ids of the versions that this one replaced."""


GROUPINGS_OF_CIRCUIT = Question("groupings_of_circuit", row_of(GroupingRow))
GROUPINGS = Question("groupings", row_of(GroupingAcrossRow))
GROUPINGS_OF_SET = Question("groupings_of_set", row_of(GroupingAcrossRow))
SUPERNODES_BY_ID = lookup("supernodes_by_id", SupernodeRow)
SUPERNODES_OF_CIRCUIT = Question("supernodes_of_circuit", ids_of, refers=KeyReference(SUPERNODES_BY_ID))
SUPERNODES = Question("supernodes", row_of(SupernodesRow))
SUPERNODE_EDGES = Question("supernode_edges", row_of(SupernodeEdgeRow))
VERSIONS_OF_SUPERNODE = Question("versions_of_supernode", row_of(VersionRow))
