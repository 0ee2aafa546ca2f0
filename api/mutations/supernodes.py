"""Supernodes that people make: every change is a new version, and the earlier ones are kept."""

from collections.abc import Callable
from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import Author, checked_all, checked_name, write
from api.request.inputs import checked_list
from api.request.loaders import Info
from api.types.node import CircuitNode, load_nodes
from api.types.supernode import Supernode, load_supernodes
from schema.annotations.supernodes import (
    VERSIONS_OF_SUPERNODE,
    Group,
    group,
    merge,
    rename,
    split,
)
from schema.database import Database
from schema.errors import ConflictError

Name = Annotated[str, argument(description="What it is called: 1 to 200 characters.")]
OneId = Annotated[strawberry.ID, argument(description="Id of the supernode, as it is now.")]


@strawberry.type(description="A version of a person's supernode.")
class SupernodeVersion:
    id: strawberry.ID = strawberry.field(description="Id of this version.")
    label: str = strawberry.field(description="What it was called.")
    author: str = strawberry.field(description="By whom.")
    made_at: str | None = strawberry.field(description="When, ISO 8601; null: it came from a file.")
    replaced_at: str | None = strawberry.field(description="When another replaced it; null: it is in use.")
    replaces: list[strawberry.ID] = strawberry.field(description="The versions it was made from.")
    member_ids: strawberry.Private[list[str]]

    @strawberry.field(description="Its feature nodes.")
    async def members(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.member_ids)


@strawberry.input(description="A part of a supernode that is split.")
class SupernodePart:
    label: str = strawberry.field(description="What the part is called: 1 to 200 characters.")
    nodes: list[strawberry.ID] = strawberry.field(description="Ids of its feature nodes.")


async def _made(info: Info, work: Callable[[Database], list[str]]) -> list[Supernode]:
    ids = await write(info, work)
    found = await load_supernodes(info, ids)
    if len(found) < len(ids):
        raise ConflictError(
            "Somebody replaced the supernode at the same moment",
            next_step="read the circuit's supernodes again",
        )
    return found


@strawberry.type
class SupernodeQuery:
    @strawberry.field(
        description="The versions that led to a person's supernode, itself included, the newest first; empty "
        "when there is none of this id."
    )
    async def supernode_history(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Id of any version.")],
    ) -> list[SupernodeVersion]:
        return [
            SupernodeVersion(
                id=strawberry.ID(row.id),
                label=row.label,
                author=row.author,
                made_at=row.made_at,
                replaced_at=row.replaced_at,
                replaces=[strawberry.ID(each) for each in row.replaces],
                member_ids=row.members,
            )
            for row in await info.context.loaders.many(VERSIONS_OF_SUPERNODE, id)
        ]


@strawberry.type
class SupernodeMutation:
    @strawberry.mutation(
        description="Group nodes of a circuit into a supernode. It stands beside those of methods "
        "and is not touched when they run again. The same call again changes nothing."
    )
    async def group_supernode(
        self,
        info: Info,
        circuit: Annotated[strawberry.ID, argument(description="Id of the circuit.")],
        nodes: Annotated[list[strawberry.ID], argument(description="Ids of 1 to 500 of its nodes.")],
        label: Name,
        author: Author,
    ) -> Supernode:
        members = checked_list(info.context.limits, "nodes", nodes) or []
        wanted, who = Group(checked_name("label", label), tuple(members)), checked_name("author", author)
        return (await _made(info, lambda database: [group(database, circuit, wanted, who)]))[0]

    @strawberry.mutation(
        description="Give a supernode another name: a new version of a person's, whose earlier one is kept; "
        "of a method's, a copy with the author's name beside it. Fails with CONFLICT when it was replaced "
        "meanwhile."
    )
    async def rename_supernode(self, info: Info, id: OneId, label: Name, author: Author) -> Supernode:
        label, who = checked_name("label", label), checked_name("author", author)
        return (await _made(info, lambda database: [rename(database, id, label, who)]))[0]

    @strawberry.mutation(
        description="Make one supernode of several of one circuit. Those of people are replaced and kept as "
        "earlier versions, those of methods stay. Fails with CONFLICT when one was replaced meanwhile."
    )
    async def merge_supernodes(
        self,
        info: Info,
        ids: Annotated[list[strawberry.ID], argument(description="Ids of the supernodes, as they are now.")],
        label: Name,
        author: Author,
    ) -> Supernode:
        old = checked_list(info.context.limits, "ids", ids) or []
        label, who = checked_name("label", label), checked_name("author", author)
        return (await _made(info, lambda database: [merge(database, old, label, who)]))[0]

    @strawberry.mutation(
        description="Make several supernodes of one: each of its members goes into exactly one part. A "
        "person's is replaced and kept as an earlier version, a method's stays. Fails with CONFLICT as above."
    )
    async def split_supernode(
        self,
        info: Info,
        id: OneId,
        parts: Annotated[list[SupernodePart], argument(description="The parts, 1 to 500.")],
        author: Author,
    ) -> list[Supernode]:
        checked_all(info.context.limits, "parts", len(parts))
        groups = []
        for part in parts:
            checked_all(info.context.limits, "nodes", len(part.nodes))
            groups.append(Group(checked_name("label", part.label), tuple(part.nodes)))
        who = checked_name("author", author)
        return await _made(info, lambda database: split(database, id, groups, who))
