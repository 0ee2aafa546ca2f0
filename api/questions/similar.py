"""`similarCircuits`: circuits made of the same features, and what makes them similar."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, consider, considered_and_asked, mixed
from api.request.connection import After, Connection, First, connect, stretch, window
from api.request.inputs import CircuitSet
from api.request.loaders import Info
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered
from api.types.feature import Feature, feature_of
from schema.questions.question import Page
from schema.questions.sets import SIMILAR_CIRCUITS, SIMILAR_EDGES, SIMILAR_FEATURES, SimilarRow

CANDIDATES = 200
BUDGET = 10_000
"""Uses of its rarest features that are followed to find the candidates."""


@strawberry.enum(
    description="How similarity is measured. A feature weighs ln(circuits of its set / circuits that have "
    "it), so "
    "that what is everywhere counts little."
)
class Similarity(Enum):
    JACCARD = strawberry.enum_value(
        "jaccard",
        description="Weight of the features that both have over that of those that either has, 0 to 1.",
    )
    OVERLAP = strawberry.enum_value(
        "overlap", description="Weight of the features that both have over that of this circuit's, 0 to 1."
    )
    COSINE = strawberry.enum_value(
        "cosine", description="Cosine between the vectors of influence times weight, 0 to 1."
    )


@strawberry.type(description="A feature that makes two circuits similar.")
class SharedWeight:
    weight: float = strawberry.field(description="ln(circuits of its set / circuits that have it), above 0.")
    influence_a: float | None = strawberry.field(description="Its influence in the circuit asked about.")
    influence_b: float | None = strawberry.field(description="Its influence in the similar circuit.")
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="An effect of one feature on another that two circuits have with the same sign.")
class SharedEffect:
    weight: float = strawberry.field(
        description="ln(circuits of the set / circuits that have the effect) times the smaller of the "
        "|weights|."
    )
    weight_a: float = strawberry.field(
        description="Signed weight in the circuit asked about, over positions."
    )
    weight_b: float = strawberry.field(description="Signed weight in the similar circuit.")
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="A circuit that is similar to another one.")
class SimilarCircuit:
    similarity: float = strawberry.field(description="0 to 1, see `metric`.")
    n_common: int = strawberry.field(
        description="Features that both have, without those that all circuits have."
    )
    circuit_id: strawberry.Private[str]
    asked_id: strawberry.Private[str]

    @strawberry.field(description="The similar circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)

    @strawberry.field(description="The features that make them similar: the rarest first, then by influence.")
    async def features(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[SharedWeight]:
        where = window(info.context.limits, first, after)
        key = (self.asked_id, self.circuit_id)
        page = await info.context.loaders.page(SIMILAR_FEATURES, key, **where._asdict())
        items = [
            SharedWeight(
                feature_id=row.feature,
                weight=row.weight,
                influence_a=row.influence_a,
                influence_b=row.influence_b,
            )
            for row in page.rows
        ]
        return connect(where, page.total, items)

    @strawberry.field(description="The effects that make them similar, greatest `weight` first.")
    async def edges(self, info: Info, first: First = None, after: After = None) -> Connection[SharedEffect]:
        where = window(info.context.limits, first, after)
        key = (self.asked_id, self.circuit_id)
        page = await info.context.loaders.page(SIMILAR_EDGES, key, **where._asdict())
        items = [
            SharedEffect(
                source_id=row.source,
                target_id=row.target,
                weight=row.weight,
                weight_a=row.weight_a,
                weight_b=row.weight_b,
            )
            for row in page.rows
        ]
        return connect(where, page.total, items)


@strawberry.type(description="The circuits similar to one, the most similar first.")
class SimilarCircuits(Connection[SimilarCircuit]):
    considered: Considered = strawberry.field(
        description="The denominator: circuits (of `among` if given) made with the same transcoder set, "
        "itself "
        f"included. Ranked are the {CANDIDATES} that share most weight with it, by its rarest features."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)


@strawberry.type
class SimilarQuery:
    @strawberry.field(
        description="Which circuits are made of the same features as this one, and what makes them similar."
    )
    async def similar_circuits(
        self,
        info: Info,
        circuit: Annotated[
            strawberry.ID, argument(description="Id of a circuit. Unknown: an error (NOT_FOUND).")
        ],
        metric: Annotated[Similarity, argument(description="How it is measured.")] = Similarity.JACCARD,
        among: Annotated[CircuitSet | None, argument(description="Only circuits of this set.")] = None,
        first: First = None,
        after: After = None,
    ) -> SimilarCircuits:
        where = window(info.context.limits, first, after)
        asked = await consider(info, CircuitSet(circuits=[circuit]))
        sets = [str(each.transcoders) for each in asked.settings]

        async def ask(among: list[str] | None) -> Page[SimilarRow]:
            page: Page[SimilarRow] = await info.context.loaders.ask_page(
                SIMILAR_CIRCUITS,
                circuit=circuit,
                metric=metric.value,
                among=among,
                candidates=CANDIDATES,
                budget=BUDGET,
                **where._asdict(),
            )
            return page

        others, page = await considered_and_asked(info, among, sets, ask)
        items = [
            SimilarCircuit(
                circuit_id=row.circuit, asked_id=circuit, similarity=row.similarity, n_common=row.n_common
            )
            for row in page.rows
        ]
        return SimilarCircuits(
            considered=others,
            mixed_settings=mixed(asked, others),
            **stretch(where, page.total, items)._asdict(),
        )
