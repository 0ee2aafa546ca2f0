"""Attention heads: what they carry of an effect, and of one circuit."""

from typing import Self

import strawberry

from schema.questions.graph import EffectRow
from schema.questions.heads import HeadUseRow

NET = "parts against their edge's sign count as negative"


@strawberry.type(description="The part of an effect that one attention head carries.")
class HeadPart:
    layer: int = strawberry.field(description="Layer of the head, from 0.")
    head: int = strawberry.field(description="Its number in the layer, from 0.")
    weight: float = strawberry.field(description="Its part of the effect's weight, signed.")


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
    head: int = strawberry.field(description="Its number in the layer, from 0.")
    net: float = strawberry.field(description=f"Over all effects that cross its layer; {NET}.")
    gross: float = strawberry.field(description="The same, every part counted as positive.")

    @classmethod
    def of(cls, row: HeadUseRow) -> Self:
        return cls(layer=row.layer, head=row.head, net=row.net, gross=row.gross)
