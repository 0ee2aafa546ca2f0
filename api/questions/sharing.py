"""`circuitsSharing`: the circuits that share features, and what the features do in each."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, considered_and_asked, require_known
from api.request.connection import After, Connection, First, Window, stretch, window
from api.request.inputs import CircuitSet, Match, checked_list, node_label
from api.request.loaders import Info
from api.types.circuit import Circuit, circuit_of
from api.types.considered import Considered
from api.types.feature import FeatureUse, load_features
from schema.circuit.records import NodeKind
from schema.errors import InputError
from schema.questions.circuits import CIRCUITS_SHARING, SharingRow
from schema.questions.features import UseRow
from schema.questions.question import Page


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

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(
    description="The circuits that share features. "
    "Those with the most of the features come first, "
    "then those with the greatest summed influence."
)
class CircuitsSharing(Connection[CircuitSharing]):
    considered: Considered = strawberry.field(
        description="The circuits made with the features' transcoder sets, "
        "and of `among` if it is given: the denominator."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)

    @classmethod
    async def ask(
        cls,
        info: Info,
        where: Window,
        features: list[str],
        mode: Match,
        min_influence: float | None,
        kind: NodeKind | None,
        among: CircuitSet | None,
    ) -> "CircuitsSharing":
        if kind not in (None, NodeKind.FEATURE, NodeKind.LOGIT):
            raise InputError(
                f"kind: features do not act on nodes of kind {kind.name}", next_step="give FEATURE or LOGIT"
            )
        loaded = await load_features(info, features)
        if len(loaded) < len(features):
            await require_known(info, features=features)
        sets = sorted({each.set_id for each in loaded})

        async def ask(circuits: list[str] | None) -> Page[SharingRow]:
            page: Page[SharingRow] = await info.context.loaders.ask_page(
                CIRCUITS_SHARING,
                features=features,
                needed=len(features) if mode is Match.ALL else 1,
                min_influence=min_influence,
                kind=node_label(kind),
                circuits=circuits,
                **where._asdict(),
            )
            return page

        considered, page = await considered_and_asked(info, among, sets, ask)
        items = [
            CircuitSharing(
                circuit_id=row.circuit,
                n_features=len(row.uses),
                influence=row.influence,
                uses=[FeatureUse.of(UseRow(**use)) for use in row.uses],
            )
            for row in page.rows
        ]
        return cls(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            **stretch(where, page.total, items)._asdict(),
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
        first: First = None,
        after: After = None,
    ) -> CircuitsSharing:
        where = window(info.context.limits, first, after)
        ids = checked_list(info.context.limits, "features", features)
        return await CircuitsSharing.ask(info, where, ids or [], mode, min_influence, kind, among)
