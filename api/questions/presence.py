"""`presence`: whether circuits kept a feature, pruned it, never selected it, or never had it active."""

from enum import Enum
from typing import Annotated, NamedTuple

import strawberry
from strawberry import argument

from api.questions.considered import MIXED, WHAT_IS_MIXED, consider
from api.request.batching import Info
from api.request.connection import After, Connection, First, connect_known
from api.request.inputs import CircuitSet, checked_list
from api.types.circuit import Circuit, load_circuits
from api.types.considered import Considered, MixedSetting
from schema.errors import InputError, NotFoundError
from schema.loading.properties import LAYERS
from schema.questions.runs import TRANSCODERS_BY_ID
from schema.questions.sets import PRESENCE


@strawberry.enum(description="State of a feature in a circuit.")
class Presence(Enum):
    KEPT = strawberry.enum_value("kept", description="The feature has nodes in the circuit.")
    PRUNED = strawberry.enum_value(
        "pruned",
        description="The feature was active and was attributed from, "
        "but pruning removed it at every position.",
    )
    UNSELECTED = strawberry.enum_value(
        "unselected",
        description="The feature was active, but was left out before attribution (`maxFeatureNodes`).",
    )
    INACTIVE = strawberry.enum_value(
        "inactive", description="The feature was active at no position: a true zero."
    )
    UNKNOWN = strawberry.enum_value(
        "unknown", description="The feature was not kept, and the circuit's file does not say why."
    )
    OTHER_SET = strawberry.enum_value(
        "other_set",
        description="The circuit was made with another transcoder set, which does not have the feature.",
    )


@strawberry.type(description="States of one feature in the circuits of a set.")
class FeaturePresence:
    feature: strawberry.ID = strawberry.field(description="Id of the feature, as it was asked for.")
    found: strawberry.Private[dict[str, list[str]]]

    @strawberry.field(
        description="Number of circuits in a state. Over all states, it sums to the circuits considered."
    )
    def n_circuits(self, state: Annotated[Presence, argument(description="The state to count.")]) -> int:
        return len(self.found.get(str(state.value), []))

    @strawberry.field(description="The circuits in a state, by id.")
    def circuits(
        self,
        info: Info,
        state: Annotated[Presence, argument(description="The state of the feature in the circuits.")],
        first: First = None,
        after: After = None,
    ) -> Connection[Circuit]:
        ids = self.found.get(str(state.value), [])
        return connect_known(info, ids, first, after, load_circuits)


@strawberry.type(description="States of features in the circuits of a set.")
class PresenceAnswer:
    considered: Considered = strawberry.field(
        description="The circuits that were looked at: the denominator."
    )
    mixed_settings: bool = strawberry.field(description=MIXED)
    mixed: list[MixedSetting] = strawberry.field(description=WHAT_IS_MIXED)
    features: list[FeaturePresence] = strawberry.field(
        description="The features, in the order in which they were asked for."
    )


@strawberry.type
class PresenceQuery:
    @strawberry.field(
        description="Absent is not zero: whether each circuit kept a feature, pruned it away, "
        "never selected it, whether it was inactive there, or whether that is unknown. "
        "The features may also be ones that no circuit kept."
    )
    async def presence(
        self,
        info: Info,
        features: Annotated[
            list[strawberry.ID],
            argument(
                description="Ids of 1 to 500 features, `set/layer/index`, as `features` lists them. "
                "An unknown transcoder set is an error (NOT_FOUND)."
            ),
        ],
        among: Annotated[
            CircuitSet | None, argument(description="Only circuits of this set. Left out: all circuits.")
        ] = None,
    ) -> PresenceAnswer:
        wanted = checked_list(info.context.limits, "features", features) or []
        asked = await _located(info, wanted)
        considered = await consider(info, among)
        found: dict[str, dict[str, list[str]]] = {each: {} for each in wanted}
        for row in await info.context.loaders.ask(
            PRESENCE, features=[each._asdict() for each in asked], circuits=considered.ids
        ):
            found[row.feature][row.state] = row.circuits
        return PresenceAnswer(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            mixed=considered.mixed,
            features=[
                FeaturePresence(feature=strawberry.ID(each), found=states) for each, states in found.items()
            ],
        )


class _FeatureId(NamedTuple):
    """A feature, as `presence.cypher` takes it."""

    id: str
    set: str
    """Id of the transcoder set."""
    number: int | None
    """Index and layer as one number; None when no list of pruned features can hold the feature."""


async def _located(info: Info, features: list[str]) -> list[_FeatureId]:
    """The parts of features' ids: `set/layer/index`, or `set/component/layer/index`.

    The id of a transcoder set may hold slashes, so the database tells where it ends. Raises InputError for an
    id that is malformed, NotFoundError for a transcoder set that the database does not have.
    """
    parts = {feature: feature.split("/") for feature in features}
    for feature, each in parts.items():
        if len(each) < 3 or not all(part.isdecimal() for part in each[-2:]):
            raise InputError(
                f"features: {feature[:80]!r} is not the id of a feature",
                next_step="write it as set/layer/index; `features` lists ids",
            )
    sets = {"/".join(each[:end]) for each in parts.values() for end in (-2, -3) if len(each) + end > 0}
    known = {row.key for row in await info.context.loaders.all_of(TRANSCODERS_BY_ID, sorted(sets))}
    return [_feature_id(feature, each, known) for feature, each in parts.items()]


def _feature_id(feature: str, parts: list[str], known: set[str]) -> _FeatureId:
    layer, index = map(int, parts[-2:])
    whole, without_component = "/".join(parts[:-2]), "/".join(parts[:-3])
    if whole in known:
        # Circuits list pruned features by number, which has room for these layers and indices.
        number = index * LAYERS + layer if layer < LAYERS and index < 2**53 else None
        return _FeatureId(feature, whole, number)
    if without_component in known:
        return _FeatureId(feature, without_component, None)
    raise NotFoundError(
        f"The database has no transcoder set {whole[:80]!r}", next_step="take an id that `features` lists"
    )
