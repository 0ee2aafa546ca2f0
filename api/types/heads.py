"""Attention heads: what they carry of an effect, and of one circuit."""

from typing import Self

import strawberry

from schema.questions.graph import EffectRow
from schema.questions.heads import HeadUseRow

NET = "parts against their edge's sign count as negative"


@strawberry.type(description="The part of an effect that one attention head carries.")
class HeadPart:
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Number of the head in its layer, from 0.")
    weight: float = strawberry.field(
        description="The part of the effect's weight that runs through the head, signed."
    )


def head_parts(row: EffectRow) -> list[HeadPart]:
    """The parts stored with an edge, such as `3/1`."""
    places = (tuple(map(int, head.split("/"))) for head in row.heads)
    return [
        HeadPart(layer=layer, head=head, weight=weight)
        for (layer, head), weight in zip(places, row.head_weights, strict=True)
    ]


@strawberry.type(description="The influence that runs through one attention head in a circuit.")
class HeadUse:
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Number of the head in its layer, from 0.")
    net: float = strawberry.field(
        description=f"Influence through the head over all effects that cross its layer: {NET}."
    )
    gross: float = strawberry.field(
        description="Influence through the head, with the absolute value of every part."
    )

    @classmethod
    def of(cls, row: HeadUseRow) -> Self:
        return cls(layer=row.layer, head=row.head, net=row.net, gross=row.gross)
