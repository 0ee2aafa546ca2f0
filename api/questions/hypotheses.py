"""`hypotheses`: expected effects of edits, registered before their test, with the result of the test."""

import strawberry

from api.questions.interventions import MeasuredPrompt
from api.request.batching import Info
from api.types.rows import columns
from schema.evidence.false_discovery import LEVEL
from schema.evidence.hypotheses import (
    HYPOTHESES,
    INTERVENTIONS_OF_HYPOTHESIS,
    CorrectedHypothesis,
    corrected_hypotheses,
)


@strawberry.type(description="One held-out prompt under the edits of a hypothesis.")
class HypothesisIntervention(MeasuredPrompt):
    pass


@strawberry.type(description="What edits are expected to do, registered before the only test.")
class Hypothesis:
    id: strawberry.ID = strawberry.field(description="Id, as `atlas hypothesis add` printed it.")
    question: str = strawberry.field(description="The claim, in words.")
    edits: list[str] = strawberry.field(description="Kind and edit, such as `ablate 3/17@5`.")
    prediction: str = strawberry.field(
        description="What the edits are expected to do to the logit of the expected token: `lowers` or "
        "`raises`."
    )
    n_prompts: int = strawberry.field(description="Number of held-out prompts that test the hypothesis.")
    n_formed_on: int = strawberry.field(
        description="Number of prompts that the hypothesis was formed on; none of them tests it."
    )
    registered_at: str = strawberry.field(description="Time of the registration, ISO 8601.")
    tested_at: str | None = strawberry.field(
        description="Time of the test, ISO 8601; null before the test, as all numbers of the test."
    )
    mean_effect: float | None = strawberry.field(
        description="Mean change of the expected tokens' logits over the prompts, each less the mean over "
        "the vocabulary."
    )
    null_mean: float | None = strawberry.field(description="Mean effect of the draws of random features.")
    draws: int | None = strawberry.field(description="Number of draws of random features.")
    p: float | None = strawberry.field(
        description="Share of draws whose mean effect is at least as large in the predicted direction, the "
        "test itself counted as one draw. Above 0, at most 1."
    )
    q: float | None = strawberry.field(
        description="The p-value corrected for all `nTested` hypotheses (Benjamini and Hochberg), 0 to 1."
    )
    n_tested: int = strawberry.field(
        description="Number of hypotheses that were tested, whatever came out of them."
    )
    survived: bool | None = strawberry.field(description=f"Whether q is at most {LEVEL}.")

    @classmethod
    def of(cls, corrected: CorrectedHypothesis) -> "Hypothesis":
        return cls(
            q=corrected.q,
            n_tested=corrected.n_tested,
            survived=corrected.survived,
            **corrected.hypothesis._asdict(),
        )

    @strawberry.field(description="The interventions of the test, one for each held-out prompt.")
    async def interventions(self, info: Info) -> list[HypothesisIntervention]:
        rows = await info.context.loaders.many(INTERVENTIONS_OF_HYPOTHESIS, self.id)
        return [HypothesisIntervention(**columns(row)) for row in rows]


@strawberry.type
class HypothesisQuery:
    @strawberry.field(
        description="Every registered hypothesis, the oldest first, whether it survived its test, failed it, "
        "or waits for it."
    )
    async def hypotheses(self, info: Info) -> list[Hypothesis]:
        rows = await info.context.loaders.ask(HYPOTHESES)
        return [Hypothesis.of(each) for each in corrected_hypotheses(rows)]
