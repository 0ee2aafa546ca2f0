"""Supernodes: groups of a circuit's features that play one role, and the ways in which they were grouped."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Protocol, Self, TypeVar

import strawberry

from api.request.batching import Info
from api.types.entity import reference
from api.types.node import CircuitNode, load_nodes
from api.types.rows import columns
from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.supernodes import GROUPINGS_OF_CIRCUIT, SUPERNODES_BY_ID, SupernodeEdgeRow, SupernodeRow

if TYPE_CHECKING:
    from api.types.circuit import Circuit


@strawberry.type(
    description="A grouping of a circuit's features: the supernodes of one method and author. People may "
    "edit each other's supernodes, so the supernodes of all people (method `person`) are one grouping."
)
class Grouping:
    method: str = strawberry.field(description="Method that made the supernodes, for example `person`.")
    authors: list[str] = strawberry.field(
        description="Authors of the supernodes, ordered by name. Only groupings of people have several."
    )
    n_supernodes: int = strawberry.field(description="Number of supernodes in the grouping.")
    n_members: int = strawberry.field(
        description="Number of feature nodes that are in at least one of the supernodes."
    )
    share: float | None = strawberry.field(
        description="Share of the influence of the circuit's feature nodes that the members "
        "hold, 0 to 1. Null when unknown."
    )


@strawberry.type(
    description="A grouping of the features of several circuits: the supernodes of one method and author. "
    "The supernodes of all people are one grouping."
)
class GroupingAcross:
    method: str = strawberry.field(description="Method that made the supernodes, for example `person`.")
    authors: list[str] = strawberry.field(
        description="Authors of the supernodes, ordered by name. Only groupings of people have several."
    )
    n_supernodes: int = strawberry.field(
        description="Number of supernodes of the grouping, among the supernodes asked for."
    )
    n_circuits: int = strawberry.field(
        description="Number of circuits that have at least one of these supernodes."
    )


_FIRST = (
    "Only groupings of this method (see `groupings`). The first grouping that fits is used. "
    "Without method and author it is the first of all groupings: "
    "a scored one, such as that of `atlas supernodes`, which "
)
_ONE = (
    ", before any grouping without scores. "
    "Supernodes of two groupings are never mixed. Empty when no grouping fits."
)

OfMethod = Annotated[str | None, strawberry.argument(description=f"{_FIRST}holds the most influence{_ONE}")]
OfMethodAcross = Annotated[
    str | None, strawberry.argument(description=f"{_FIRST}the most circuits have{_ONE}")
]
OfAuthor = Annotated[
    str | None,
    strawberry.argument(
        description="Only groupings that this author contributed to. In the grouping of people, only "
        "this author's supernodes."
    ),
]


class _Way(Protocol):
    @property
    def method(self) -> str: ...

    @property
    def authors(self) -> list[str]: ...


Way = TypeVar("Way", bound=_Way)


def first_fitting(rows: Sequence[Way], method: str | None, author: str | None) -> Way | None:
    """The first grouping of this method and author; None when none fits."""
    for row in rows:
        if method in (None, row.method) and (author is None or author in row.authors):
            return row
    return None


def author_of(row: _Way, author: str | None) -> str | None:
    """Whose supernodes of the grouping are meant; None: those of all its authors."""
    if author is not None:
        return author
    (one, *others) = row.authors
    return None if others else one


async def grouping_key(
    info: Info, circuit: str, method: str | None, author: str | None
) -> tuple[str, str, str | None]:
    """Circuit, method and author (None: all) of the first grouping that fits; of none when none does."""
    rows = await info.context.loaders.many(GROUPINGS_OF_CIRCUIT, circuit)
    row = first_fitting(rows, method, author)
    return (circuit, method or "", author) if row is None else (circuit, row.method, author_of(row, author))


def supernode_of(info: Info, id: str) -> "Supernode":
    return info.context.loaders.fact(SUPERNODES_BY_ID, id, Supernode.of)


async def load_supernodes(info: Info, ids: list[str]) -> list["Supernode"]:
    """The supernodes that exist, in the order of the ids."""
    return [Supernode.of(row) for row in await info.context.loaders.all_of(SUPERNODES_BY_ID, ids)]


@strawberry.type(description="A supernode: features of one circuit that play one role.")
class Supernode:
    id: strawberry.ID = strawberry.field(description="Id of the supernode, unique in the database.")
    label: str = strawberry.field(
        description="Label that names the role. Supernodes of many circuits can have the same label."
    )
    position: int | None = strawberry.field(
        description="Position in the prompt, from 0. Null when the supernode covers several positions."
    )
    method: str = strawberry.field(description="Method that made the supernode, for example `person`.")
    author: str = strawberry.field(description="Author of the supernode.")
    score: float | None = strawberry.field(
        description="Score that the method gives. For `roles-v2` it is the share of the circuit's feature "
        "influence that the supernode holds, 0 to 1. Null when the method gives no score."
    )
    influence: float | None = strawberry.field(
        description="Sum of the members' influence, 0 or more. Null when a member's influence is unknown."
    )
    circuit_id: strawberry.Private[str]
    member_ids: strawberry.Private[list[str]]

    @classmethod
    def of(cls, row: SupernodeRow) -> "Supernode":
        return cls(
            id=strawberry.ID(row.key),
            circuit_id=row.circuit,
            member_ids=row.members,
            **columns(row, without=("circuit", "members")),
        )

    @strawberry.field(description="The circuit of the supernode.")
    def circuit(self, info: Info) -> Annotated["Circuit", strawberry.lazy("api.types.circuit")]:
        circuit: Circuit = reference(info, CIRCUITS_BY_ID, self.circuit_id)
        return circuit

    @strawberry.field(description="The nodes of the supernode. The highest influence comes first.")
    async def members(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.member_ids)


@strawberry.type(
    description="The direct effects of the members of one supernode on the members of another "
    "supernode of the same grouping, added up. Supernodes of people may share members; an effect "
    "then counts in each of them."
)
class SupernodeEffect:
    weight: float = strawberry.field(description="Sum of the signed direct effects.")
    n_effects: int = strawberry.field(description="Number of direct effects that were added up.")
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: SupernodeEdgeRow) -> Self:
        return cls(source_id=row.source, target_id=row.target, **columns(row, without=("source", "target")))

    @strawberry.field(description="The supernode that acts.")
    def source(self, info: Info) -> Supernode:
        return supernode_of(info, self.source_id)

    @strawberry.field(description="The supernode that is acted on.")
    def target(self, info: Info) -> Supernode:
        return supernode_of(info, self.target_id)
