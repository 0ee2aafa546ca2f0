"""Features, what they do in circuits, and the effects between them that recur."""

from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, RowList, connect
from api.request.inputs import MinCircuits, checked_count
from api.types.entity import looked_up_by, reference
from api.types.label import Label
from api.types.prompt import FamilyUse
from api.types.rows import columns
from api.types.transcoders import TranscoderSet
from schema.questions.checkpoints import HISTORY_OF_FEATURE
from schema.questions.circuits import CIRCUITS_BY_ID, OCCURRENCES, OccurrenceRow
from schema.questions.features import (
    CIRCUITS_OF_FEATURE,
    EXAMPLES_OF_FEATURE,
    FAMILIES_OF_FEATURE,
    FEATURES_BY_ID,
    NOTES_OF_FEATURE,
    ExampleRow,
    FeatureRow,
    UseRow,
)
from schema.questions.graph import NODES_BY_ID
from schema.questions.labels import LABELS_OF_FEATURE
from schema.questions.runs import TRANSCODERS_BY_ID
from schema.questions.structure import CIRCUITS_OF_BOTH, RECURRING_EDGES, RecurringEdgeRow

if TYPE_CHECKING:
    from api.types.circuit import Circuit
    from api.types.node import CircuitNode


def feature_of(info: Info, id: str) -> "Feature":
    return info.context.loaders.fact(FEATURES_BY_ID, id, Feature.of)


async def load_features(info: Info, ids: list[str]) -> list["Feature"]:
    """The features that exist, in the order of the ids."""
    return [Feature.of(row) for row in await info.context.loaders.all_of(FEATURES_BY_ID, ids)]


SOURCE = "from `atlas examples` or a feature file"


@strawberry.type(name="Example", description="A context that a feature fires in.")
class FeatureExample:
    id: strawberry.ID = strawberry.field(description="The feature and a hash of the context.")
    tokens: list[str] = strawberry.field(description="The context's tokens.")
    activations: list[float] = strawberry.field(description="The feature's activation on each token.")

    @classmethod
    def of(cls, row: ExampleRow) -> Self:
        return cls(**columns(row))


@strawberry.type(name="FeatureThen", description="A feature at one checkpoint of its training run.")
class FeatureAtCheckpoint:
    step: int = strawberry.field(description="Step of training, from 0.")
    checkpoint: strawberry.ID = strawberry.field(description="Id of the checkpoint, see `checkpoints`.")
    feature: strawberry.ID | None = strawberry.field(
        description="Id of the feature of this layer and index there; null when no circuit has it."
    )
    n_circuits: int = strawberry.field(description="Circuits of the checkpoint that have it.")
    n_considered: int = strawberry.field(description="Circuits of the checkpoint: the denominator.")
    influence: float | None = strawberry.field(
        description="Mean influence over the circuits that have it, 0 or more; null: none, or none known."
    )
    next_step: int | None = strawberry.field(
        description="The next later step at which a circuit has it, with which it is compared; null: none."
    )
    cosine: float | None = strawberry.field(
        description="Of what the two write, all layers together, -1 to 1: 1 when it is the same feature."
    )
    agreement: float | None = strawberry.field(
        description="Tokens on which both fire, of those on which one of them does: 0 to 1. Null: none."
    )


@strawberry.type(description="A direct effect of a node on a logit.")
class LogitEffect:
    weight: float = strawberry.field(
        description="Signed effect on the logit, the node's activation folded in."
    )
    share: float | None = strawberry.field(
        description="|weight| over that of all inputs of the logit, 0 to 1."
    )
    node_id: strawberry.Private[str]

    @strawberry.field(description="The logit's node: its token and probability.")
    def logit(self, info: Info) -> Annotated["CircuitNode", strawberry.lazy("api.types.node")]:
        node: CircuitNode = reference(info, NODES_BY_ID, self.node_id)
        return node


@strawberry.type(description="A feature at one position of one circuit.")
class Occurrence:
    position: int = strawberry.field(description="Position in the prompt, from 0.")
    position_from_end: int = strawberry.field(
        description="Positions to the end of the prompt; 0 is the last token."
    )
    token: str | None = strawberry.field(description="The token at this position.")
    activation: float | None = strawberry.field(description="Activation of the feature here.")
    influence: float | None = strawberry.field(
        description="Raw influence on the target logits in the unpruned graph, 0 or more, when known."
    )
    logits: list[LogitEffect] = strawberry.field(
        description="The logits it leads to directly (after pruning), strongest effect first."
    )

    @classmethod
    def of(cls, row: OccurrenceRow) -> "Occurrence":
        logits = [LogitEffect(node_id=each.pop("node"), **each) for each in map(dict, row.logits)]
        return cls(logits=logits, **columns(row, without=("node", "logits")))


@strawberry.type(description="What a feature does in a circuit, all its positions together.")
class FeatureUse:
    influence: float | None = strawberry.field(
        description="Summed raw influence of its nodes on the target logits, 0 or more, when known."
    )
    activation: float | None = strawberry.field(description="Highest activation among its nodes.")
    positions: list[int] = strawberry.field(description="Where it stands in the prompt, from 0.")
    circuit_id: strawberry.Private[str]
    feature_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: UseRow) -> "FeatureUse":
        return cls(
            circuit_id=row.circuit, feature_id=row.feature, **columns(row, without=("circuit", "feature"))
        )

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> Annotated["Circuit", strawberry.lazy("api.types.circuit")]:
        circuit: Circuit = reference(info, CIRCUITS_BY_ID, self.circuit_id)
        return circuit

    @strawberry.field(description="The feature.")
    def feature(self, info: Info) -> "Feature":
        return feature_of(info, self.feature_id)

    @strawberry.field(description="One entry for each position, by position.")
    async def occurrences(self, info: Info) -> list[Occurrence]:
        rows = await info.context.loaders.many(OCCURRENCES, (self.circuit_id, self.feature_id))
        return [Occurrence.of(row) for row in rows]


@strawberry.type(
    description="An effect of one feature on another that recurs over circuits, free of position."
)
class RecurringEffect:
    n_circuits: int = strawberry.field(description="Circuits that have this effect.")
    mean: float = strawberry.field(description="Mean weight over the circuits that have the effect, signed.")
    sd: float = strawberry.field(description="Standard deviation of that weight.")
    sign_consistency: float = strawberry.field(
        description="Share of the circuits in which the weight has the more frequent sign: 0.5 to 1. "
        "It is below 0.5 only when some weights are exactly 0."
    )
    feature_id: strawberry.Private[str]
    ends: strawberry.Private[tuple[str, str]]
    """Ids of the feature that acts and of the one acted on."""

    @strawberry.field(
        description="Circuits that have both features; in the others the effect could not be seen."
    )
    async def n_considered(self, info: Info) -> int:
        row = await info.context.loaders.one(CIRCUITS_OF_BOTH, self.ends, families=None)
        return 0 if row is None else row.both

    @strawberry.field(description="The feature at the other end.")
    def feature(self, info: Info) -> "Feature":
        return feature_of(info, self.feature_id)


_RECURRING = {"min_circuits": 1}
PAGES: dict[str, Listing[Any]] = {
    "circuits": Listing(CIRCUITS_OF_FEATURE),
    "drives": Listing(RECURRING_EDGES, {"direction": "out", **_RECURRING}),
    "drivenBy": Listing(RECURRING_EDGES, {"direction": "in", **_RECURRING}),
}
"""What the fields of a feature ask when they have no argument but `first` and `after`."""


@looked_up_by(FEATURES_BY_ID)
@strawberry.type(description="A feature of a transcoder set: one for all prompts.")
class Feature:
    id: strawberry.ID = strawberry.field(
        description="Transcoder set, layer and index: `set@revision/layer/index`."
    )

    layer: int = strawberry.field(description="Layer that it reads, from 0.")
    index: str = strawberry.field(
        description="Its number in its layer's dictionary, as text: those of other tools can pass 2^31."
    )
    n_circuits: int = strawberry.field(description="Circuits that have it.")
    set_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: FeatureRow) -> Self:
        return cls(
            id=strawberry.ID(row.key),
            layer=row.layer,
            index=str(row.number),
            n_circuits=row.circuits,
            set_id=row.transcoders,
        )

    @strawberry.field(description="The transcoder set it belongs to.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)

    @strawberry.field(description="Circuits made with its transcoder set: the denominator of nCircuits.")
    def n_considered(self, info: Info) -> int:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, lambda row: row.circuits)

    @strawberry.field(description="What it is said to be: labels of persons first, then by score.")
    async def labels(self, info: Info) -> list[Label]:
        rows = await info.context.loaders.many(LABELS_OF_FEATURE, self.id)
        return [Label(**columns(row)) for row in rows]

    @strawberry.field(description="The families it takes part in, highest share first.")
    async def families(self, info: Info) -> list[FamilyUse]:
        return RowList(await info.context.loaders.many(FAMILIES_OF_FEATURE, self.id), FamilyUse.of)

    @strawberry.field(
        description="Over the checkpoints of its training run, by step: when it appeared, and whether it is "
        "still the same. Empty when its transcoders belong to no checkpoint (`atlas checkpoints load`)."
    )
    async def history(self, info: Info) -> list[FeatureAtCheckpoint]:
        rows = await info.context.loaders.many(HISTORY_OF_FEATURE, self.id)
        return [FeatureAtCheckpoint(**columns(row)) for row in rows]

    @strawberry.field(description=f"Contexts that it fires in, highest activation first, {SOURCE}.")
    def examples(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureExample]:
        return connect(info, Listing(EXAMPLES_OF_FEATURE, key=self.id), first, after, FeatureExample.of)

    @strawberry.field(
        description=f"The share of a corpus's tokens that it fires on, 0 to 1, {SOURCE}; null when unknown."
    )
    async def density(self, info: Info) -> float | None:
        row = await info.context.loaders.one(NOTES_OF_FEATURE, self.id)
        return None if row is None else row.density

    @strawberry.field(description=f"The tokens whose logits it raises most, most first, {SOURCE}.")
    async def promotes(self, info: Info) -> list[str]:
        row = await info.context.loaders.one(NOTES_OF_FEATURE, self.id)
        return [] if row is None else row.promotes

    @strawberry.field(description=f"The tokens whose logits it lowers most, most first, {SOURCE}.")
    async def suppresses(self, info: Info) -> list[str]:
        row = await info.context.loaders.one(NOTES_OF_FEATURE, self.id)
        return [] if row is None else row.suppresses

    @strawberry.field(description="The circuits that have it, highest influence first.")
    def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureUse]:
        return connect(info, Listing(CIRCUITS_OF_FEATURE, key=self.id), first, after, FeatureUse.of)

    @strawberry.field(description="The features it drives directly, those of most circuits first.")
    def drives(
        self, info: Info, first: First = None, after: After = None, min_circuits: MinCircuits = 1
    ) -> Connection[RecurringEffect]:
        return self._recurring(info, "out", first, after, min_circuits)

    @strawberry.field(description="The features that drive it directly, those of most circuits first.")
    def driven_by(
        self, info: Info, first: First = None, after: After = None, min_circuits: MinCircuits = 1
    ) -> Connection[RecurringEffect]:
        return self._recurring(info, "in", first, after, min_circuits)

    def _recurring(
        self, info: Info, direction: str, first: int | None, after: str | None, min_circuits: int
    ) -> Connection[RecurringEffect]:
        asked = {"direction": direction, "min_circuits": checked_count("minCircuits", min_circuits, 1)}

        def effect(row: RecurringEdgeRow) -> RecurringEffect:
            return RecurringEffect(
                feature_id=row.feature,
                ends=(self.id, row.feature) if direction == "out" else (row.feature, self.id),
                **columns(row, without=("feature",)),
            )

        return connect(info, Listing(RECURRING_EDGES, asked, self.id), first, after, effect)
