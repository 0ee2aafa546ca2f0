"""Fields that the interventions of claims and of hypotheses share."""

import strawberry


@strawberry.type(description="One prompt under edits, beside random features.")
class MeasuredPrompt:
    prompt: str = strawberry.field(description="Text of the prompt.")
    token: str = strawberry.field(
        description="The next token whose logit was measured: the circuit's answer for claims, the expected "
        "token for hypotheses."
    )
    edits: list[str] = strawberry.field(
        description="Kind and edit, such as `ablate 3/17@5`. Supernodes are replaced by their features."
    )
    effect: float = strawberry.field(
        description="Change of the token's logit, less the mean change over the vocabulary."
    )
    null_mean: float = strawberry.field(
        description="Mean effect of the draws of random features, which have the same layers and positions "
        "and write vectors of the same length."
    )
    null_sd: float = strawberry.field(description="Standard deviation of the draws' effects.")
    n_null: int = strawberry.field(description="Number of draws of random features.")
    n_edited: int = strawberry.field(
        description="Activations that the edits changed. 0 means that all edited features were silent."
    )
