"""`similarCircuits`: circuits made of the same features, and what makes them similar."""

from enum import Enum
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider, counted_and_ids, mixed
from api.request.batching import Info, Later, Listing
from api.request.connection import After, Connection, First, connect, source_of
from api.request.inputs import CircuitSet
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered, MixedSetting
from api.types.feature import Feature, feature_of
from schema.questions.question import Page
from schema.questions.sets import (
    SIMILAR_CIRCUITS,
    SIMILAR_EDGES,
    SIMILAR_FEATURES,
    SimilarEdgeRow,
    SimilarFeatureRow,
    SimilarRow,
)

CANDIDATES = 200
"""Circuits that are ranked."""
BUDGET = 10_000
"""Uses of the circuit's rarest features that are followed to find the candidates."""


@strawberry.enum(
    description="Measure of similarity. "
    "The weight of a feature is ln(circuits of its set / circuits that have it), "
    "so that features of all circuits do not count."
)
class Similarity(Enum):
    JACCARD = strawberry.enum_value(
        "jaccard",
        description="Weight of the features that both circuits have / "
        "weight of those that either has, 0 to 1.",
    )
    OVERLAP = strawberry.enum_value(
        "overlap",
        description="Weight of the features that both circuits have / "
        "weight of the features of the circuit asked about, 0 to 1.",
    )
    COSINE = strawberry.enum_value(
        "cosine", description="Cosine between the circuits' vectors of influence times weight, 0 to 1."
    )


@strawberry.type(description="A feature that makes two circuits similar.")
class SharedWeight:
    weight: float = strawberry.field(description="ln(circuits of its set / circuits that have it), above 0.")
    influence_a: float | None = strawberry.field(
        description="Influence of the feature in the circuit asked about, 0 or more. Null when unknown."
    )
    influence_b: float | None = strawberry.field(
        description="Influence of the feature in the similar circuit, 0 or more. Null when unknown."
    )
    feature_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: SimilarFeatureRow) -> "SharedWeight":
        return cls(
            feature_id=row.feature,
            weight=row.weight,
            influence_a=row.influence_a,
            influence_b=row.influence_b,
        )

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="An effect of one feature on another that two circuits have with the same sign.")
class SharedEffect:
    weight: float = strawberry.field(
        description="ln(circuits of the set / circuits that have the effect) "
        "times the smaller of the two |weights|, 0 or more."
    )
    weight_a: float = strawberry.field(
        description="Signed weight in the circuit asked about, summed over positions."
    )
    weight_b: float = strawberry.field(
        description="Signed weight in the similar circuit, summed over positions."
    )
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: SimilarEdgeRow) -> "SharedEffect":
        return cls(
            source_id=row.source,
            target_id=row.target,
            weight=row.weight,
            weight_a=row.weight_a,
            weight_b=row.weight_b,
        )

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature that is acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="A circuit that is similar to another one.")
class SimilarCircuit:
    similarity: float | None = strawberry.field(
        description="Similarity by the chosen `metric`, 0 to 1. Null for the cosine when an influence in one "
        "of the circuits is unknown."
    )
    n_common: int = strawberry.field(
        description="Number of features that both circuits have. "
        "Features that all circuits have do not count."
    )
    circuit_id: strawberry.Private[str]
    asked_id: strawberry.Private[str]

    @strawberry.field(description="The similar circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)

    @strawberry.field(
        description="The features that make the circuits similar. "
        "The rarest come first, then those with the most influence."
    )
    def features(self, info: Info, first: First = None, after: After = None) -> Connection[SharedWeight]:
        listing = Listing(SIMILAR_FEATURES, key=(self.asked_id, self.circuit_id))
        return connect(info, listing, first, after, SharedWeight.of)

    @strawberry.field(
        description="The effects that make the circuits similar. Those with the greatest `weight` come first."
    )
    def edges(self, info: Info, first: First = None, after: After = None) -> Connection[SharedEffect]:
        listing = Listing(SIMILAR_EDGES, key=(self.asked_id, self.circuit_id))
        return connect(info, listing, first, after, SharedEffect.of)


@strawberry.type(description="The circuits that are similar to one circuit. The most similar come first.")
class SimilarCircuits(Connection[SimilarCircuit]):
    asked: strawberry.Private[Considered]
    """The circuit asked about, as a set of one."""
    counted: strawberry.Private[Later[Considered]]

    @strawberry.field(
        description="The circuits made with the same transcoder set, "
        "including the circuit asked about, and of `among` if it is given: the denominator. "
        f"Only the {CANDIDATES} circuits "
        "that share the most weight among the rarest features are ranked."
    )
    async def considered(self) -> Considered:
        return await self.counted

    @strawberry.field(description=MIXED)
    async def mixed_settings(self) -> bool:
        return bool(mixed(self.asked, await self.counted))

    @strawberry.field(description=WHAT_IS_MIXED)
    async def mixed(self) -> list[MixedSetting]:
        return mixed(self.asked, await self.counted)


@strawberry.type
class SimilarQuery:
    @strawberry.field(
        description="Circuits that are made of the same features as this one, and what makes them similar."
    )
    async def similar_circuits(
        self,
        info: Info,
        circuit: Annotated[
            strawberry.ID,
            argument(description="Id of the circuit to compare with. An unknown id is an error (NOT_FOUND)."),
        ],
        metric: Annotated[Similarity, argument(description="Measure of similarity.")] = Similarity.JACCARD,
        among: Annotated[
            CircuitSet | None,
            argument(
                description="Only circuits of this set. Left out: all circuits of the same transcoder set."
            ),
        ] = None,
        first: First = None,
        after: After = None,
    ) -> SimilarCircuits:
        itself = await consider(info, CircuitSet(circuits=[circuit]))
        counted, ids = await counted_and_ids(info, among, [str(each.transcoders) for each in itself.settings])
        asked = {
            "circuit": circuit,
            "metric": metric.value,
            "among": ids,
            "candidates": CANDIDATES,
            "budget": BUDGET,
        }

        def entries(page: Page[SimilarRow]) -> list[SimilarCircuit]:
            return [
                SimilarCircuit(
                    circuit_id=row.circuit, asked_id=circuit, similarity=row.similarity, n_common=row.n_common
                )
                for row in page.rows
            ]

        return SimilarCircuits(
            asked=itself,
            counted=counted,
            source=source_of(info, Listing(SIMILAR_CIRCUITS, asked), first, after, entries),
        )
