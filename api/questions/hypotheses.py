"""Claims about features that were registered before their test, and what came of them."""

import strawberry

from api.request.batching import Info
from api.types.rows import columns
from schema.evidence.hypotheses import HYPOTHESES, INTERVENTIONS_OF_HYPOTHESIS, LEVEL


@strawberry.type(description="One held-out prompt under the edits of a hypothesis.")
class HypothesisIntervention:
    prompt: str = strawberry.field(description="Its text.")
    token: str = strawberry.field(description="The expected token, whose logit was measured.")
    edits: list[str] = strawberry.field(description="Kind and edit, such as `ablate 3/17@5`.")
    effect: float = strawberry.field(description="Change of its logit, less the mean over the vocabulary.")
    null_mean: float = strawberry.field(
        description="Mean effect of random features of the same layers and positions that write as much."
    )
    null_sd: float = strawberry.field(description="Its standard deviation over draws.")
    n_null: int = strawberry.field(description="Draws of random features.")
    n_edited: int = strawberry.field(description="Activations that the edits changed; 0: all were silent.")


@strawberry.type(description="What an intervention is expected to do, registered before its only test.")
class Hypothesis:
    id: strawberry.ID = strawberry.field(description="Its id, as `atlas hypothesis add` gave it.")
    question: str = strawberry.field(description="The claim, in words.")
    edits: list[str] = strawberry.field(description="Kind and edit, such as `ablate 3/17@5`.")
    prediction: str = strawberry.field(description="`lowers` or `raises` the expected token's logit.")
    n_prompts: int = strawberry.field(description="Held-out prompts that test it.")
    n_formed_on: int = strawberry.field(description="Prompts it was formed on; none of them tests it.")
    registered_at: str = strawberry.field(description="When, ISO 8601.")
    tested_at: str | None = strawberry.field(description="When; null: not yet, and so all that follows.")
    mean_effect: float | None = strawberry.field(description="Mean effect over the prompts.")
    null_mean: float | None = strawberry.field(description="The same of random features.")
    draws: int | None = strawberry.field(description="Draws of random features.")
    p: float | None = strawberry.field(
        description="Share of draws with as much effect in the predicted direction, the test itself counted."
    )
    q: float | None = strawberry.field(
        description="p corrected for all `nTested` hypotheses (Benjamini-Hochberg)."
    )
    n_tested: int = strawberry.field(description="Hypotheses tested, whatever came out.")
    survived: bool | None = strawberry.field(description=f"Whether q is at most {LEVEL}.")

    @strawberry.field(description="The interventions of its test, one for each prompt.")
    async def interventions(self, info: Info) -> list[HypothesisIntervention]:
        rows = await info.context.loaders.many(INTERVENTIONS_OF_HYPOTHESIS, self.id)
        return [HypothesisIntervention(**columns(row)) for row in rows]


@strawberry.type
class HypothesisQuery:
    @strawberry.field(
        description="Every hypothesis that was registered, in that order: those that failed and those not "
        "tested yet too."
    )
    async def hypotheses(self, info: Info) -> list[Hypothesis]:
        rows = await info.context.loaders.ask(HYPOTHESES, level=LEVEL)
        return [Hypothesis(**row._asdict()) for row in rows]
