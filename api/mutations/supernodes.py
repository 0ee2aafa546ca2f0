"""Supernodes that people make. Every change makes a new version; earlier versions are kept."""

from collections.abc import Callable
from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import Author, check_length, checked_name, write
from api.request.batching import Info
from api.request.inputs import checked_list
from api.types.node import CircuitNode, load_nodes
from api.types.supernode import Supernode, load_supernodes
from schema.annotations.supernodes import (
    NodeGroup,
    group,
    merge,
    rename,
    split,
)
from schema.database import Database
from schema.errors import ConflictError
from schema.questions.supernodes import VERSIONS_OF_SUPERNODE

SupernodeName = Annotated[str, argument(description="Name of the supernode: 1 to 200 characters.")]
CurrentId = Annotated[strawberry.ID, argument(description="Id of the current version of the supernode.")]


@strawberry.type(description="One version of a supernode that a person made.")
class SupernodeVersion:
    id: strawberry.ID = strawberry.field(description="Id of this version.")
    label: str = strawberry.field(description="Name of the supernode in this version.")
    author: str = strawberry.field(description="Author of this version.")
    made_at: str | None = strawberry.field(
        description="Time at which this version was made, ISO 8601. Null when it came from a file."
    )
    replaced_at: str | None = strawberry.field(
        description="Time at which another version replaced this one, ISO 8601. Null when it is in use."
    )
    replaces: list[strawberry.ID] = strawberry.field(
        description="Ids of the versions from which it was made."
    )
    member_ids: strawberry.Private[list[str]]

    @strawberry.field(description="The feature nodes of the supernode.")
    async def members(self, info: Info) -> list[CircuitNode]:
        return await load_nodes(info, self.member_ids)


@strawberry.input(description="One part of a supernode that is split.")
class SupernodePart:
    label: str = strawberry.field(description="Name of the part: 1 to 200 characters.")
    nodes: list[strawberry.ID] = strawberry.field(description="Ids of 1 to 500 feature nodes of the part.")


async def _supernodes(info: Info, work: Callable[[Database], list[str]]) -> list[Supernode]:
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
        description="The versions that led to a person's supernode, including the one asked about. "
        "The newest comes first. "
        "Empty when there is no supernode with this id."
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
        description="Group nodes of a circuit into a supernode. "
        "Supernodes that methods made stay as they are, "
        "and running a method again does not change this one. "
        "Repeating the call changes nothing."
    )
    async def group_supernode(
        self,
        info: Info,
        circuit: Annotated[strawberry.ID, argument(description="Id of the circuit.")],
        nodes: Annotated[
            list[strawberry.ID], argument(description="Ids of 1 to 500 feature nodes of the circuit.")
        ],
        label: SupernodeName,
        author: Author,
    ) -> Supernode:
        members = checked_list(info.context.limits, "nodes", nodes) or []
        wanted, who = NodeGroup(checked_name("label", label), tuple(members)), checked_name("author", author)
        return (await _supernodes(info, lambda database: [group(database, circuit, wanted, who)]))[0]

    @strawberry.mutation(
        description="Rename a supernode. "
        "A person's supernode gets a new version, and the earlier one is kept; "
        "a method's supernode is copied under the author's name. "
        "If the supernode was replaced meanwhile, the call fails with CONFLICT."
    )
    async def rename_supernode(
        self, info: Info, id: CurrentId, label: SupernodeName, author: Author
    ) -> Supernode:
        label, who = checked_name("label", label), checked_name("author", author)
        return (await _supernodes(info, lambda database: [rename(database, id, label, who)]))[0]

    @strawberry.mutation(
        description="Merge several supernodes of one circuit. "
        "Those of people are replaced and kept as earlier versions; those of methods stay. "
        "If one of them was replaced meanwhile, the call fails with CONFLICT."
    )
    async def merge_supernodes(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID], argument(description="Ids of the current versions of 1 to 500 supernodes.")
        ],
        label: SupernodeName,
        author: Author,
    ) -> Supernode:
        old = checked_list(info.context.limits, "ids", ids) or []
        label, who = checked_name("label", label), checked_name("author", author)
        return (await _supernodes(info, lambda database: [merge(database, old, label, who)]))[0]

    @strawberry.mutation(
        description="Split a supernode: each of its members goes into exactly one part. "
        "A person's supernode is replaced and kept as an earlier version; "
        "a method's supernode stays. "
        "If it was replaced meanwhile, the call fails with CONFLICT."
    )
    async def split_supernode(
        self,
        info: Info,
        id: CurrentId,
        parts: Annotated[list[SupernodePart], argument(description="The 1 to 500 parts.")],
        author: Author,
    ) -> list[Supernode]:
        check_length(info.context.limits, "parts", len(parts))
        groups = []
        for part in parts:
            check_length(info.context.limits, "nodes", len(part.nodes))
            groups.append(NodeGroup(checked_name("label", part.label), tuple(part.nodes)))
        who = checked_name("author", author)
        return await _supernodes(info, lambda database: split(database, id, groups, who))
