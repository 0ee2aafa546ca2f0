"""Questions about supernodes and groupings."""

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
    key: str
    circuit: str
    label: str
    position: int | None
    method: str
    author: str
    score: float | None
    members: list[str]
    influence: float | None


class SupernodeEdgeRow(NamedTuple):
    key: str
    source: str
    target: str
    weight: float
    n_effects: int


class SupernodesRow(NamedTuple):
    """A page of supernode ids, with what the labels are spread over."""

    total: int
    rows: list[str]
    n_circuits: int
    n_grouped: int


class VersionRow(NamedTuple):
    key: str
    id: str
    label: str
    author: str
    made_at: str | None
    replaced_at: str | None
    members: list[str]
    replaces: list[str]


GROUPINGS_OF_CIRCUIT = Question("groupings_of_circuit", row_of(GroupingRow))
GROUPINGS = Question("groupings", row_of(GroupingAcrossRow))
GROUPINGS_OF_SET = Question("groupings_of_set", row_of(GroupingAcrossRow))
SUPERNODES_BY_ID = lookup("supernodes_by_id", SupernodeRow)
SUPERNODES_OF_CIRCUIT = Question("supernodes_of_circuit", ids_of, refers=KeyReference(SUPERNODES_BY_ID))
SUPERNODES = Question("supernodes", row_of(SupernodesRow))
SUPERNODE_EDGES = Question("supernode_edges", row_of(SupernodeEdgeRow))
VERSIONS_OF_SUPERNODE = Question("versions_of_supernode", row_of(VersionRow))
