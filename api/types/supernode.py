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
    description="A way in which a circuit's features are grouped: the supernodes of one method and author. "
    "People change each other's supernodes, so those of all people (`person`) are one grouping."
)
class Grouping:
    method: str = strawberry.field(description="How its supernodes were made, for example `person`.")
    authors: list[str] = strawberry.field(description="Who made them, by name; several only of people.")
    n_supernodes: int = strawberry.field(description="How many supernodes.")
    n_members: int = strawberry.field(description="Feature nodes that are in any of them.")
    share: float | None = strawberry.field(
        description="Share of the influence of all the circuit's feature nodes that these members hold, 0 to "
        "1, when known."
    )


@strawberry.type(
    description="A way in which features of several circuits are grouped: the supernodes of one method and "
    "author, those of all people together."
)
class GroupingAcross:
    method: str = strawberry.field(description="How its supernodes were made, for example `person`.")
    authors: list[str] = strawberry.field(description="Who made them, by name; several only of people.")
    n_supernodes: int = strawberry.field(description="How many supernodes, of those asked for.")
    n_circuits: int = strawberry.field(description="Circuits that have any of them.")


_FIRST = (
    "Only of groupings of this method, see `groupings`; the first there that fits is taken. Without method "
    "and author that is the first of all: the scored one, such as that of `atlas supernodes`, that "
)
_ONE = ", before one without scores. Supernodes of two groupings are never mixed; empty when none fits."

OfMethod = Annotated[str | None, strawberry.argument(description=f"{_FIRST}holds most influence{_ONE}")]
OfMethodAcross = Annotated[str | None, strawberry.argument(description=f"{_FIRST}most circuits have{_ONE}")]
OfAuthor = Annotated[
    str | None,
    strawberry.argument(description="Only of groupings of this author; of people's, only this author's."),
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


@strawberry.type(description="Features of one circuit that play one role.")
class Supernode:
    id: strawberry.ID = strawberry.field(description="Unique in the database.")
    label: str = strawberry.field(description="The role; supernodes of many circuits can share it.")
    position: int | None = strawberry.field(
        description="Position in the prompt, from 0, when it is tied to one."
    )
    method: str = strawberry.field(description="How it was made, for example `person`.")
    author: str = strawberry.field(description="Who made it.")
    score: float | None = strawberry.field(
        description="What its method says of it: of `roles-v2` the share of the circuit's feature influence "
        "that it holds, 0 to 1. Null when a method gives none."
    )
    influence: float | None = strawberry.field(
        description="Sum of the members' influence; null when none is known."
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

    @strawberry.field(description="The circuit it belongs to.")
    def circuit(self, info: Info) -> Annotated["Circuit", strawberry.lazy("api.types.circuit")]:
        circuit: Circuit = reference(info, CIRCUITS_BY_ID, self.circuit_id)
        return circuit

    @strawberry.field(description="Its nodes, highest influence first.")
    async def members(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.member_ids)


@strawberry.type(
    description="All direct effects of the members of one supernode on those of another of its grouping, "
    "added up. Where people's supernodes share members, an effect counts in each."
)
class SupernodeEffect:
    weight: float = strawberry.field(description="Sum of the signed direct effects.")
    n_effects: int = strawberry.field(description="How many effects were added up.")
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: SupernodeEdgeRow) -> Self:
        return cls(source_id=row.source, target_id=row.target, **columns(row, without=("source", "target")))

    @strawberry.field(description="Where the effects come from.")
    def source(self, info: Info) -> Supernode:
        return supernode_of(info, self.source_id)

    @strawberry.field(description="What they act on.")
    def target(self, info: Info) -> Supernode:
        return supernode_of(info, self.target_id)
