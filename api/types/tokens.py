"""Token attribution: the contribution of each token of a prompt to each output candidate."""

from typing import Self

import strawberry

from schema.circuit.flow import FlowRow
from schema.circuit.token_paths import token_parts, tokens_of


@strawberry.type(description="Contribution of one token of the prompt to one output candidate.")
class TokenPart:
    position: int = strawberry.field(
        description="Position in the prompt, from 0. A special first token counts."
    )
    token: str | None = strawberry.field(description="Exact text of the token, with its leading space.")
    weight: float = strawberry.field(
        description="Contribution in units of the logit, signed, summed over all paths of the pruned graph."
    )


@strawberry.type(
    description="One output candidate, split into contributions. Tokens, errors, other nodes, biases and "
    "pruned effects sum to `total`, apart from rounding."
)
class OutputParts:
    logit: str | None = strawberry.field(description="Text of the output candidate.")
    probability: float | None = strawberry.field(
        description="Probability that the model gives the output candidate, 0 to 1."
    )
    tokens: list[TokenPart] = strawberry.field(
        description="Contributions of the tokens that pruning kept, ordered by position."
    )
    errors: float = strawberry.field(description="Contribution of the error nodes, over all paths.")
    other: float = strawberry.field(
        description="Contribution of nodes of other kinds, such as those that other tools add."
    )
    biases_and_pruned: float = strawberry.field(
        description="Contribution of the features' biases and of effects on features that were pruned away."
    )
    total: float = strawberry.field(description="Sum of the logit's inputs that pruning kept.")


@strawberry.type(
    description="Contributions of the input tokens to the output candidates. They are "
    "exact for the pruned graph."
)
class TokenAttribution:
    outputs: list[OutputParts] = strawberry.field(
        description="The output candidates. The most probable one comes first."
    )

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
