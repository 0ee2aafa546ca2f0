"""`claims`: what edits do to circuits, as graphs predict it and as it was measured."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect
from api.request.inputs import checked_list
from api.types.circuit import Circuit, circuit_of
from api.types.rows import columns
from schema.evidence.claims import CLAIMS, INTERVENTIONS_OF_CLAIM, LEVEL, MeasuredRow


@strawberry.type(description="What edits did to one node of a circuit.")
class NodeChange:
    node: strawberry.ID = strawberry.field(
        description="Id of the node: a logit, or a feature downstream of the edits."
    )
    predicted: float | None = strawberry.field(
        description="By the pruned graph; null: it lacks the edited features."
    )
    measured: float = strawberry.field(
        description="Of a logit, less the vocabulary's mean; of a feature's pre-activation."
    )


@strawberry.type(description="One circuit under the edits of a claim.")
class ClaimIntervention:
    prompt: str = strawberry.field(description="Its text.")
    token: str = strawberry.field(description="The answer, whose logit was measured.")
    edits: list[str] = strawberry.field(
        description="Kind and edit, such as `ablate 3/17@5`; supernodes by their features."
    )
    predicted: float | None = strawberry.field(
        description="Change of the answer's logit by the pruned graph; null: it lacks the edited features."
    )
    effect: float = strawberry.field(description="Measured change, less the mean over the vocabulary.")
    null_mean: float = strawberry.field(
        description="Mean effect of random features of the same layers and positions that write as much."
    )
    null_sd: float = strawberry.field(description="Its standard deviation over draws.")
    n_null: int = strawberry.field(description="Draws of random features.")
    p: float = strawberry.field(description="Share of draws with as large an effect, itself counted.")
    n_edited: int = strawberry.field(description="Activations that the edits changed; 0: all were silent.")
    changes: list[NodeChange] = strawberry.field(
        description="The circuit's logits, and the features with the largest predicted changes."
    )
    circuit_id: strawberry.Private[str | None]

    @classmethod
    def of(cls, row: MeasuredRow) -> "ClaimIntervention":
        changes = [NodeChange(**each._asdict()) for each in row.changes]
        return cls(circuit_id=row.circuit, changes=changes, **columns(row, without=("circuit", "changes")))

    @strawberry.field(description="The circuit; null when it was deleted since.")
    def circuit(self, info: Info) -> Circuit | None:
        if self.circuit_id is None:
            return None
        return circuit_of(info, self.circuit_id)


@strawberry.type(description="What edits do to the answers of circuits, predicted and measured.")
class Claim:
    id: strawberry.ID = strawberry.field(description="Hash of everything that was asked.")
    edits: list[str] = strawberry.field(
        description="Kind and edit as asked; {LABEL|METHOD} stands for the features of supernodes, of one "
        "grouping."
    )
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    family: str | None = strawberry.field(description="When the circuits of a family were asked for.")
    freeze: str = strawberry.field(description="What was held: `nothing`, `attention` or `everything`.")
    constrained: str | None = strawberry.field(description="Layers whose MLPs were held, such as `0-3`.")
    writes: str | None = strawberry.field(description="Layers that the edits wrote to; null: all.")
    draws: int = strawberry.field(description="Draws of random features.")
    seed: int = strawberry.field(description="Of these.")
    n_circuits: int = strawberry.field(description="Circuits that were measured.")
    predicted: float | None = strawberry.field(
        description="Mean change of the answers' logits by the graphs; null: none has the edited features."
    )
    effect: float = strawberry.field(description="Mean measured change, less the mean over the vocabulary.")
    null_mean: float = strawberry.field(description="The same of random features.")
    null_sd: float = strawberry.field(description="Its standard deviation over draws.")
    p: float = strawberry.field(
        description="Share of draws that do as much in the predicted direction, itself counted; either way "
        "when nothing is predicted."
    )
    q: float = strawberry.field(description="p corrected for all `nMeasured` claims (Benjamini-Hochberg).")
    n_measured: int = strawberry.field(description="Claims in the database, whatever came out.")
    survived: bool = strawberry.field(
        description=f"Whether the graphs predict a change, it goes that way, and q is at most {LEVEL}."
    )
    measured_at: str = strawberry.field(description="When, ISO 8601.")

    @strawberry.field(description="Each circuit under the edits, by id.")
    async def interventions(self, info: Info) -> list[ClaimIntervention]:
        rows = await info.context.loaders.many(INTERVENTIONS_OF_CLAIM, self.id)
        return [ClaimIntervention.of(row) for row in rows]


@strawberry.type
class ClaimQuery:
    @strawberry.field(
        description="Which claims about interventions survived? The ledger that `atlas intervene --keep` "
        "writes: every claim that was measured, whichever way it fell, the least p first."
    )
    async def claims(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only claims about these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
        ids: Annotated[
            list[strawberry.ID] | None, argument(description="Only these claims; unknown ones are left out.")
        ] = None,
        survived: Annotated[
            bool | None, argument(description="Only those that survived, or only those that did not.")
        ] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Claim]:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        asked = {
            "ids": checked_list(info.context.limits, "ids", ids),
            "families": families,
            "survived": survived,
            "level": LEVEL,
        }
        return connect(info, Listing(CLAIMS, asked), first, after, lambda row: Claim(**row._asdict()))
