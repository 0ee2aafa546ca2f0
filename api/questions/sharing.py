"""`circuitsSharing`: the circuits that share features, and what the features do in each."""

import asyncio
from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, counted_and_ids, require_known
from api.request.batching import Info, Later, Listing
from api.request.connection import After, Connection, First, source_of
from api.request.inputs import CircuitSet, CountBy, Match, checked_list, node_label
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered, MixedSetting
from api.types.counting import CountByArgument, units_of
from api.types.feature import FeatureUse, load_features
from schema.circuit.records import NodeKind
from schema.errors import InputError
from schema.questions.features import CIRCUITS_SHARING, SharingRow, SharingRows


@strawberry.type(description="A circuit that has some or all of the features asked for.")
class CircuitSharing:
    n_features: int = strawberry.field(description="Number of the features asked for that the circuit has.")
    influence: float | None = strawberry.field(
        description="Influence of these features in this circuit, summed: 0 or more. "
        "Null when the influence of all of them is unknown."
    )
    uses: list[FeatureUse] = strawberry.field(
        description="What each of these features does in the circuit: positions, "
        "activation, influence and the logits that it reaches."
    )
    circuit_id: strawberry.Private[str]

    @classmethod
    def of(cls, row: SharingRow) -> "CircuitSharing":
        return cls(
            circuit_id=row.circuit,
            n_features=len(row.uses),
            influence=row.influence,
            uses=[FeatureUse.of(use) for use in row.uses],
        )

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(
    description="The circuits that share features. "
    "Those with the most of the features come first, "
    "then those with the greatest summed influence."
)
class CircuitsSharing(Connection[CircuitSharing]):
    counted: strawberry.Private[Later[Considered]]

    @strawberry.field(
        description="Number of units that have the features: of the circuits in the list, each prompt "
        "(or what `countBy` says) counts once. The denominator is `considered.nUnits`."
    )
    async def n_units(self) -> int:
        page: SharingRows = (await self.source.read).page
        return page.n_units

    @strawberry.field(
        description="The circuits made with the features' transcoder sets, "
        "and of `among` if it is given: the denominator."
    )
    async def considered(self) -> Considered:
        return await self.counted

    @strawberry.field(description=MIXED)
    async def mixed_settings(self) -> bool:
        return bool((await self.counted).mixed)

    @strawberry.field(description=WHAT_IS_MIXED)
    async def mixed(self) -> list[MixedSetting]:
        return (await self.counted).mixed

    @classmethod
    async def ask(
        cls,
        info: Info,
        features: list[str],
        mode: Match,
        min_influence: float | None,
        kind: NodeKind | None,
        among: CircuitSet | None,
        count_by: CountBy,
        first: int | None,
        after: str | None,
    ) -> "CircuitsSharing":
        if kind not in (None, NodeKind.FEATURE, NodeKind.LOGIT):
            raise InputError(
                f"kind: features do not act on nodes of kind {kind.name}", next_step="give FEATURE or LOGIT"
            )
        loaded = await load_features(info, features)
        if len(loaded) < len(features):
            await require_known(info, features=features)
        sets = sorted({each.set_id for each in loaded})

        (counted, circuits), units = await asyncio.gather(
            counted_and_ids(info, among, sets), units_of(info, count_by)
        )

        async def in_units() -> Considered:
            return units.counted(await counted, sets if circuits is None else None)

        asked = {
            "features": features,
            "needed": len(features) if mode is Match.ALL else 1,
            "min_influence": min_influence,
            "kind": node_label(kind),
            "circuits": circuits,
            "units": units.of_circuits(circuits),
        }

        def entries(page: SharingRows) -> list[CircuitSharing]:
            return [CircuitSharing.of(row) for row in page.rows]

        return cls(
            counted=Later(in_units),
            source=source_of(info, Listing(CIRCUITS_SHARING, asked), first, after, entries),
        )


@strawberry.type
class SharingQuery:
    @strawberry.field(description="Circuits that share these features, and what the features do in each.")
    async def circuits_sharing(
        self,
        info: Info,
        features: Annotated[
            list[strawberry.ID],
            argument(description="Ids of 1 to 500 features. An unknown id is an error (NOT_FOUND)."),
        ],
        mode: Annotated[
            Match, argument(description="Whether a circuit needs all of the features or at least one.")
        ] = Match.ALL,
        min_influence: Annotated[
            float | None,
            argument(
                description="Only features whose influence in the circuit is at least this count: 0 or more."
            ),
        ] = None,
        kind: Annotated[
            NodeKind | None,
            argument(
                description="Only features that act directly on a node of this kind in the circuit count: "
                "FEATURE or LOGIT."
            ),
        ] = None,
        among: Annotated[
            CircuitSet | None,
            argument(
                description="Only circuits of this set. "
                "Left out: all circuits of the features' transcoder sets."
            ),
        ] = None,
        count_by: CountByArgument = CountBy.PROMPTS,
        first: First = None,
        after: After = None,
    ) -> CircuitsSharing:
        ids = checked_list(info.context.limits, "features", features)
        return await CircuitsSharing.ask(
            info, ids or [], mode, min_influence, kind, among, count_by, first, after
        )
