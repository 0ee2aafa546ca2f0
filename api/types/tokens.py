"""What each token of a prompt gives each output candidate."""

from typing import Self

import strawberry

from schema.circuit.flow import FlowRow
from schema.circuit.token_paths import token_parts, tokens_of


@strawberry.type(description="What one token of the prompt gives one output candidate.")
class TokenPart:
    position: int = strawberry.field(description="In the prompt, 0-based, the special first token included.")
    token: str | None = strawberry.field(description="Its text.")
    weight: float = strawberry.field(description="Summed over all paths of the pruned graph, signed.")


@strawberry.type(description="One output candidate, split: the five parts sum to `total`, but for rounding.")
class OutputParts:
    logit: str | None = strawberry.field(description="Text of the output candidate.")
    probability: float | None = strawberry.field(description="The model's probability.")
    tokens: list[TokenPart] = strawberry.field(description="Tokens that the graph kept, by position.")
    errors: float = strawberry.field(description="What comes from error nodes, over all paths.")
    other: float = strawberry.field(description="What comes from other sources that are nodes.")
    biases_and_pruned: float = strawberry.field(
        description="What comes from biases of features and from effects on them that were pruned away."
    )
    total: float = strawberry.field(description="Sum of the logit's kept inputs.")


@strawberry.type(description="Input tokens against output candidates, exact in the pruned graph.")
class TokenAttribution:
    outputs: list[OutputParts] = strawberry.field(description="The most probable candidate first.")

    @classmethod
    def of(cls, row: FlowRow) -> Self:
        tokens = tokens_of(row)
        return cls(
            outputs=[
                OutputParts(
                    logit=parts.logit.token,
                    probability=parts.logit.probability,
                    tokens=[
                        TokenPart(position=node.position, token=node.token, weight=weight)
                        for node, weight in zip(tokens, parts.tokens, strict=True)
                    ],
                    errors=parts.errors,
                    other=parts.other,
                    biases_and_pruned=parts.biases_and_pruned,
                    total=parts.total,
                )
                for parts in token_parts(row)
            ]
        )
