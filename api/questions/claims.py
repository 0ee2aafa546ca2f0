"""`claims`: what edits do to the answers of circuits, as graphs predict it and as measured."""

import asyncio
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.questions.interventions import MeasuredPrompt
from api.request.batching import Info
from api.request.connection import After, Connection, First, connect_read
from api.request.cursors import window
from api.request.inputs import SetNames, checked_list
from api.types.circuit import Circuit, circuit_of
from api.types.rows import columns
from schema.evidence.claims import (
    CLAIMS,
    INTERVENTIONS_OF_CLAIM,
    ClaimInterventionRow,
    CorrectedClaim,
    corrected_claims,
    edits_a_feature,
)
from schema.evidence.false_discovery import LEVEL


@strawberry.type(description="What edits did to one node of a circuit.")
class NodeChange:
    node: strawberry.ID = strawberry.field(
        description="Id of the node: a logit node, or a feature node downstream of the edits."
    )
    predicted: float | None = strawberry.field(
        description="Change that the pruned graph predicts; null when the graph has none of the edited "
        "features."
    )
    measured: float = strawberry.field(
        description="Measured change: of a logit, less the mean over the vocabulary; of a feature's "
        "pre-activation."
    )


@strawberry.type(description="One circuit under the edits of a claim.")
class ClaimIntervention(MeasuredPrompt):
    predicted: float | None = strawberry.field(
        description="Change of the answer's logit that the pruned graph predicts; null when the graph has "
        "none of the edited features."
    )
    p: float = strawberry.field(
        description="Share of draws with at least this effect in either direction, the intervention itself "
        "counted as one draw. Above 0, at most 1."
    )
    changes: list[NodeChange] = strawberry.field(
        description="Changes of the circuit's logits and of the ten features with the largest predicted "
        "changes, or the largest measured changes when nothing is predicted."
    )
    circuit_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: ClaimInterventionRow) -> "ClaimIntervention":
        changes = [NodeChange(**each._asdict()) for each in row.changes]
        return cls(circuit_id=row.circuit, changes=changes, **columns(row, without=("circuit", "changes")))

    @strawberry.field(description="The circuit; null when it was deleted after the measurement.")
    def circuit(self, info: Info) -> Circuit | None:
        if self.circuit_id is None:
            return None
        return circuit_of(info, self.circuit_id)


@strawberry.type(description="What edits do to the answers of circuits, predicted and measured.")
class Claim:
    id: strawberry.ID = strawberry.field(description="Hash of everything that the claim says.")
    edits: list[str] = strawberry.field(
        description="Kind and edit as asked for. {LABEL|METHOD} stands for the features of supernodes of one "
        "way of grouping."
    )
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    family: str | None = strawberry.field(
        description="Name of the family whose circuits were asked for; null when circuits or a prompt were "
        "named."
    )
    freeze: str = strawberry.field(
        description="What was held at its recorded value: `nothing`, `attention` or `everything`."
    )
    constrained: str | None = strawberry.field(
        description="Layers whose MLPs were held, such as `0-3`; null when none were."
    )
    writes: str | None = strawberry.field(
        description="Layers that the edits wrote to; null means all layers."
    )
    draws: int = strawberry.field(description="Number of draws of random features.")
    seed: int = strawberry.field(description="Seed of the draws.")
    n_circuits: int = strawberry.field(description="Number of circuits that were measured.")
    predicted: float | None = strawberry.field(
        description="Mean change of the answers' logits that the graphs predict; null when no graph has the "
        "edited features."
    )
    effect: float = strawberry.field(
        description="Mean measured change of the answers' logits, each less the mean over the vocabulary."
    )
    null_mean: float = strawberry.field(description="Mean effect of the draws of random features.")
    null_sd: float = strawberry.field(description="Standard deviation of the draws' mean effects.")
    p: float = strawberry.field(
        description="Share of draws whose mean effect is at least as large in the predicted direction, or in "
        "either direction when nothing is predicted. The claim itself counts as one draw. Above 0, at most 1."
    )
    q: float = strawberry.field(
        description="The p-value corrected for all `nMeasured` claims (Benjamini and Hochberg), 0 to 1."
    )
    n_measured: int = strawberry.field(
        description="Number of claims in the database, whatever came out of them."
    )
    survived: bool = strawberry.field(
        description="Whether the graphs predict a change, the measured change has the predicted "
        f"direction, and q is at most {LEVEL}."
    )
    measured_at: str = strawberry.field(description="Time of the measurement, ISO 8601.")

    @classmethod
    def of(cls, corrected: CorrectedClaim) -> "Claim":
        return cls(
            q=corrected.q,
            n_measured=corrected.n_measured,
            survived=corrected.survived,
            **corrected.claim._asdict(),
        )

    @strawberry.field(description="Each circuit under the edits, by id.")
    async def interventions(self, info: Info) -> list[ClaimIntervention]:
        rows = await info.context.loaders.many(INTERVENTIONS_OF_CLAIM, self.id)
        return [ClaimIntervention.of(row) for row in rows]


@strawberry.type
class ClaimQuery:
    @strawberry.field(
        description="Which claims about interventions survived? Every claim that `atlas intervene --keep` or "
        "`requestClaim` measured is listed, whatever came out, the smallest p-value first."
    )
    async def claims(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only claims about these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
        ids: Annotated[
            list[strawberry.ID] | None,
            argument(description="Only these claims. Unknown ids are left out."),
        ] = None,
        survived: Annotated[
            bool | None,
            argument(
                description="true: only claims that survived. false: only claims that did not. null: both."
            ),
        ] = None,
        features: Annotated[
            list[strawberry.ID] | None,
            argument(
                description="Only claims with an edit that names one of these features. Unknown ids are left "
                "out."
            ),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Claim]:
        where = window(info.context.limits, first, after)
        families = checked_list(info.context.limits, "families", families)
        sets, _ = await asyncio.gather(set_ids(info, transcoders), require_known(info, families=families))
        (found,) = await info.context.loaders.ask(
            CLAIMS,
            ids=checked_list(info.context.limits, "ids", ids),
            families=families,
            transcoders=sets,
        )
        claims = corrected_claims(found, survived)
        if features is not None:
            wanted = frozenset(checked_list(info.context.limits, "features", features) or ())
            claims = [each for each in claims if edits_a_feature(each.claim, wanted)]
        page = claims[where.skip : where.skip + where.limit]
        return connect_read(where, len(claims), [Claim.of(each) for each in page])
