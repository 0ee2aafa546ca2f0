"""Features, what they do in circuits, and the effects between them that recur."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from api.request.batching import Info, Listing, PageOf
from api.request.connection import After, Connection, CountedConnection, First, RowList, connect, source_of
from api.request.inputs import CountBy, MinCircuits, checked_count
from api.types.counting import CountByArgument, units_of
from api.types.entity import reference
from api.types.label import Label
from api.types.prompt import FamilyUse
from api.types.rows import columns
from api.types.transcoders import TranscoderSet, pages
from schema.circuit.neuronpedia_pages import feature_url
from schema.questions.checkpoints import HISTORY_OF_FEATURE
from schema.questions.circuits import CIRCUITS_BY_ID
from schema.questions.features import (
    CIRCUITS_OF_FEATURE,
    EXAMPLES_OF_FEATURE,
    FAMILIES_OF_FEATURE,
    FEATURES_BY_ID,
    NOTES_OF_FEATURE,
    OCCURRENCES,
    ExampleRow,
    FeatureRow,
    OccurrenceRow,
    UseRow,
)
from schema.questions.graph import NODES_BY_ID
from schema.questions.labels import LABELS_OF_FEATURE
from schema.questions.question import Page
from schema.questions.runs import TRANSCODERS_BY_ID
from schema.questions.structure import (
    CIRCUITS_OF_BOTH,
    RECURRING_EDGES,
    RECURRING_EDGES_BY_UNIT,
    RecurringEdgeRow,
)

if TYPE_CHECKING:
    from api.types.circuit import Circuit
    from api.types.node import CircuitNode


def feature_of(info: Info, id: str) -> "Feature":
    return info.context.loaders.fact(FEATURES_BY_ID, id, Feature.of)


async def load_features(info: Info, ids: list[str]) -> list["Feature"]:
    """The features that exist, in the order of the ids."""
    return [Feature.of(row) for row in await info.context.loaders.all_of(FEATURES_BY_ID, ids)]


SOURCE = "from `atlas examples` or a feature file"


@strawberry.type(name="Example", description="A context in which a feature is active.")
class FeatureExample:
    id: strawberry.ID = strawberry.field(description="Id of the feature and a hash of the context.")
    tokens: list[str] = strawberry.field(description="Tokens of the context.")
    activations: list[float] = strawberry.field(
        description="Activation of the feature on each token of the context."
    )

    @classmethod
    def of(cls, row: ExampleRow) -> Self:
        return cls(**columns(row))


@strawberry.type(name="FeatureThen", description="A feature at one checkpoint of its training run.")
class FeatureAtCheckpoint:
    step: int = strawberry.field(description="Step of training, from 0.")
    checkpoint: strawberry.ID = strawberry.field(description="Id of the checkpoint (see `checkpoints`).")
    feature: strawberry.ID | None = strawberry.field(
        description="Id of the feature with this layer and index in the checkpoint's transcoder set. "
        "Null when no circuit has it."
    )
    n_circuits: int = strawberry.field(
        description="Number of circuits of the checkpoint that have the feature."
    )
    n_considered: int = strawberry.field(
        description="Number of circuits of the checkpoint: the denominator of nCircuits."
    )
    influence: float | None = strawberry.field(
        description="Mean influence over the circuits that have the feature, 0 or more. Null when no "
        "circuit has it or its influence is unknown."
    )
    next_step: int | None = strawberry.field(
        description="The next later step at which a circuit has the feature. `cosine` and `agreement` "
        "compare with this step. Null when there is none."
    )
    cosine: float | None = strawberry.field(
        description="Cosine between the decoder vectors of the feature at the two steps, over all layers "
        "together: -1 to 1. It is 1 when the feature did not change. Null when there is no later step."
    )
    agreement: float | None = strawberry.field(
        description="Number of tokens on which the feature is active at both steps, over the number on "
        "which it is active at one of them or both: 0 to 1. Null when there is no later step."
    )


@strawberry.type(description="A direct effect of a node on a logit.")
class LogitEffect:
    weight: float = strawberry.field(
        description="Signed effect on the logit. It includes the activation of the node."
    )
    share: float | None = strawberry.field(
        description="|weight| over the summed |weight| of all inputs of the logit, 0 to 1. Null when unknown."
    )
    node_id: strawberry.Private[str]

    @strawberry.field(description="The logit node, with its token and probability.")
    def logit(self, info: Info) -> Annotated["CircuitNode", strawberry.lazy("api.types.node")]:
        node: CircuitNode = reference(info, NODES_BY_ID, self.node_id)
        return node


@strawberry.type(description="A feature at one position of one circuit.")
class Occurrence:
    position: int = strawberry.field(description="Position in the prompt, from 0.")
    position_from_end: int = strawberry.field(
        description="Distance from the end of the prompt: 0 is the last token."
    )
    token: str | None = strawberry.field(description="The token at this position.")
    activation: float | None = strawberry.field(description="Activation of the feature at this position.")
    influence: float | None = strawberry.field(
        description="Influence on the target logits in the unpruned graph, 0 or more. Null when unknown."
    )
    logits: list[LogitEffect] = strawberry.field(
        description="The logits on which the feature acts directly after pruning. The "
        "strongest effect comes first."
    )

    @classmethod
    def of(cls, row: OccurrenceRow) -> "Occurrence":
        logits = [LogitEffect(node_id=each.node, weight=each.weight, share=each.share) for each in row.logits]
        return cls(logits=logits, **columns(row, without=("node", "logits")))


@strawberry.type(description="What a feature does in a circuit, over all its positions.")
class FeatureUse:
    influence: float | None = strawberry.field(
        description="Influence of the feature's nodes on the target logits, summed over positions: 0 "
        "or more. Null when unknown."
    )
    activation: float | None = strawberry.field(
        description="Highest activation among the feature's nodes in the circuit."
    )
    positions: list[int] = strawberry.field(description="Positions of the feature in the prompt, from 0.")
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

    @strawberry.field(description="The feature at each of its positions, ordered by position.")
    async def occurrences(self, info: Info) -> list[Occurrence]:
        rows = await info.context.loaders.many(OCCURRENCES, (self.circuit_id, self.feature_id))
        return [Occurrence.of(row) for row in rows]


@strawberry.type(
    description="A recurring effect of one feature on another, over all positions of all circuits. "
    "Numbers of circuits count what `countBy` names: by default prompts, so that all circuits of a prompt "
    "are one. The weight in a prompt is the mean over its circuits."
)
class RecurringEffect:
    n_circuits: int = strawberry.field(description="Number of circuits that have this effect.")
    mean: float = strawberry.field(description="Mean weight over the circuits that have the effect, signed.")
    sd: float = strawberry.field(
        description="Standard deviation of the weight over the circuits that have the effect."
    )
    sign_consistency: float = strawberry.field(
        description="Share of the circuits in which the weight has the more frequent sign: 0.5 to 1. It "
        "is below 0.5 only when some weights are exactly 0."
    )
    feature_id: strawberry.Private[str]
    ends: strawberry.Private[tuple[str, str]]
    """Ids of the feature that acts and of the one acted on."""
    units: strawberry.Private[dict[str, str] | None]

    @strawberry.field(
        description="Number of circuits that have both features: the denominator of nCircuits. Other "
        "circuits cannot show the effect."
    )
    async def n_considered(self, info: Info) -> int:
        row = await info.context.loaders.one(CIRCUITS_OF_BOTH, self.ends, families=None, units=self.units)
        return 0 if row is None else row.both

    @strawberry.field(description="The feature at the other end of the effect.")
    def feature(self, info: Info) -> "Feature":
        return feature_of(info, self.feature_id)


async def _recurring_listing(
    info: Info, direction: str, count_by: CountBy = CountBy.PROMPTS, min_circuits: int = 1
) -> Listing[Any]:
    """The effects of, or on, a feature, without its key. direction: out or in."""
    asked = {"direction": direction, "min_circuits": min_circuits}
    units = (await units_of(info, count_by)).of_all_effects
    if units is None:
        return Listing(RECURRING_EDGES, asked)
    return Listing(RECURRING_EDGES_BY_UNIT, {**asked, "units": units})


PAGES: dict[str, PageOf] = {
    "circuits": Listing(CIRCUITS_OF_FEATURE),
    "drives": partial(_recurring_listing, direction="out"),
    "drivenBy": partial(_recurring_listing, direction="in"),
}
"""What the fields of a feature ask when they have no argument but `first` and `after`."""


@strawberry.type(
    description="A feature of a transcoder set. All circuits of the set share one object for each feature."
)
class Feature:
    id: strawberry.ID = strawberry.field(
        description="Id: transcoder set, layer and index, written `set@revision/layer/index`."
    )

    layer: int = strawberry.field(description="Layer that the feature reads, from 0.")
    index: str = strawberry.field(
        description="Number of the feature in the dictionary of its layer. It is text because numbers of "
        "other tools can exceed 2^31."
    )
    n_circuits: int = strawberry.field(
        description="Number of circuits that have the feature: circuits, whatever `countBy` says."
    )
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

    @strawberry.field(description="The transcoder set of the feature.")
    def transcoders(self, info: Info) -> TranscoderSet:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, TranscoderSet.of)

    @strawberry.field(
        description="Number of circuits made with the feature's transcoder set: the denominator of nCircuits."
    )
    def n_considered(self, info: Info) -> int:
        return info.context.loaders.fact(TRANSCODERS_BY_ID, self.set_id, lambda row: row.circuits)

    @strawberry.field(
        description="Address of the feature's page on neuronpedia.org. Null when it is unknown whether the "
        "feature has one."
    )
    def neuronpedia_url(self, info: Info) -> str | None:
        # An id is `set/layer/index`, or `set/component/layer/index`.
        component, _, _ = str(self.id)[len(self.set_id) + 1 :].rpartition(f"{self.layer}/{self.index}")
        url: str | None = info.context.loaders.fact(
            TRANSCODERS_BY_ID,
            self.set_id,
            lambda row: feature_url(pages(row), self.layer, int(self.index), component.rstrip("/") or None),
        )
        return url

    @strawberry.field(
        description="Labels of the feature. Labels of people come first, then those with the highest score."
    )
    async def labels(self, info: Info) -> list[Label]:
        rows = await info.context.loaders.many(LABELS_OF_FEATURE, self.id)
        return [Label(**columns(row)) for row in rows]

    @strawberry.field(
        description="The prompt families whose circuits have the feature. The highest share comes first."
    )
    async def families(self, info: Info) -> list[FamilyUse]:
        return RowList(await info.context.loaders.many(FAMILIES_OF_FEATURE, self.id), FamilyUse.of)

    @strawberry.field(
        description="The feature at each checkpoint of its training run, ordered by step: when it "
        "appeared, and how much it changed. Empty when its transcoder set belongs to no checkpoint "
        "(`atlas checkpoints load`)."
    )
    async def history(self, info: Info) -> list[FeatureAtCheckpoint]:
        rows = await info.context.loaders.many(HISTORY_OF_FEATURE, self.id)
        return [FeatureAtCheckpoint(**columns(row)) for row in rows]

    @strawberry.field(
        description=f"Contexts in which the feature is active, {SOURCE}. The highest activation comes first."
    )
    def examples(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureExample]:
        return connect(info, Listing(EXAMPLES_OF_FEATURE, key=self.id), first, after, FeatureExample.of)

    @strawberry.field(
        description=f"Share of a corpus's tokens on which the feature is active, {SOURCE}: 0 to 1. "
        "Null when unknown."
    )
    async def density(self, info: Info) -> float | None:
        row = await info.context.loaders.one(NOTES_OF_FEATURE, self.id)
        return None if row is None else row.density

    @strawberry.field(
        description=f"Tokens whose logits the feature raises the most, {SOURCE}. The strongest comes first."
    )
    async def promotes(self, info: Info) -> list[str]:
        row = await info.context.loaders.one(NOTES_OF_FEATURE, self.id)
        return [] if row is None else row.promotes

    @strawberry.field(
        description=f"Tokens whose logits the feature lowers the most, {SOURCE}. The strongest comes first."
    )
    async def suppresses(self, info: Info) -> list[str]:
        row = await info.context.loaders.one(NOTES_OF_FEATURE, self.id)
        return [] if row is None else row.suppresses

    @strawberry.field(description="The circuits that have the feature. The highest influence comes first.")
    def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[FeatureUse]:
        return connect(info, Listing(CIRCUITS_OF_FEATURE, key=self.id), first, after, FeatureUse.of)

    @strawberry.field(
        description="The features that this feature drives directly. Effects in the most circuits come first."
    )
    async def drives(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        min_circuits: MinCircuits = 1,
        count_by: CountByArgument = CountBy.PROMPTS,
    ) -> CountedConnection[RecurringEffect]:
        return await self._recurring(info, "out", first, after, min_circuits, count_by)

    @strawberry.field(
        description="The features that drive this feature directly. Effects in the most circuits come first."
    )
    async def driven_by(
        self,
        info: Info,
        first: First = None,
        after: After = None,
        min_circuits: MinCircuits = 1,
        count_by: CountByArgument = CountBy.PROMPTS,
    ) -> CountedConnection[RecurringEffect]:
        return await self._recurring(info, "in", first, after, min_circuits, count_by)

    async def _recurring(
        self,
        info: Info,
        direction: str,
        first: int | None,
        after: str | None,
        min_circuits: int,
        count_by: CountBy,
    ) -> CountedConnection[RecurringEffect]:
        least = checked_count("minCircuits", min_circuits, 1)
        listing = replace(await _recurring_listing(info, direction, count_by, least), key=self.id)

        def effects(page: Page[RecurringEdgeRow]) -> list[RecurringEffect]:
            return [
                RecurringEffect(
                    feature_id=row.feature,
                    ends=(self.id, row.feature) if direction == "out" else (row.feature, self.id),
                    units=listing.parameters.get("units"),
                    **columns(row, without=("feature",)),
                )
                for row in page.rows
            ]

        return CountedConnection(counted_by=count_by, source=source_of(info, listing, first, after, effects))
