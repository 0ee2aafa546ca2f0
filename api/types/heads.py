"""GraphQL types of what attention heads carry in one circuit."""

from typing import Self

import strawberry

from api.request.loaders import Info
from api.types.plain import CircuitFacts
from schema.questions import core as queries

NET = "parts against their edge's sign count as negative"


@strawberry.type(description="The part of an effect that one attention head carries.")
class HeadPart:
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Its number in the layer, from 0.")
    weight: float = strawberry.field(description="Its part of the effect's weight, signed.")


@strawberry.type
class EffectHeads:
    heads: list[HeadPart] = strawberry.field(
        description="The attention heads that carry most of it, the strongest first; none when the circuit "
        "was loaded without heads, or nothing of it crosses a position."
    )


def head_parts(row: queries.EffectRow) -> list[HeadPart]:
    """The parts stored with an edge, such as `3/1`."""
    places = (tuple(map(int, head.split("/"))) for head in row.heads)
    return [
        HeadPart(layer=layer, head=head, weight=weight)
        for (layer, head), weight in zip(places, row.head_weights, strict=True)
    ]


@strawberry.type(description="The influence that runs through one attention head in a circuit.")
class HeadUse:
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Its number in the layer, from 0.")
    net: float = strawberry.field(description=f"Over all effects that cross its layer; {NET}.")
    gross: float = strawberry.field(description="The same, every part counted as positive.")

    @classmethod
    def of(cls, row: queries.HeadUseRow) -> Self:
        return cls(layer=row.layer, head=row.head, net=row.net, gross=row.gross)


@strawberry.type
class CircuitHeads(CircuitFacts):
    @strawberry.field(
        description="The attention heads by the influence that runs through them, most first; none when the "
        "circuit was loaded without heads (`atlas ingest --heads`)."
    )
    async def heads(self, info: Info) -> list[HeadUse]:
        rows = await info.context.loaders.many(queries.HEADS_OF_CIRCUIT, self.id)
        return [HeadUse.of(row) for row in rows]
