"""GraphQL types of the answers across prompts, each with its denominator, and how they are found."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import strawberry

from api.request.connection import After, Connection, First, Window, connect, stretch, window
from api.request.inputs import Align, CircuitSet, Match, checked_list, node_label, tags_needed
from api.request.loaders import Info
from api.types.graph import (
    Circuit,
    Feature,
    FeatureUse,
    Supernode,
    circuit_of,
    feature_of,
    load_features,
    load_supernodes,
)
from api.types.groupings import GroupingAcross, author_of, first_fitting
from api.types.plain import Considered, columns
from schema.circuit.records import NodeKind
from schema.errors import InputError, NotFoundError
from schema.questions import core as queries
from schema.questions.question import Page

Answer = TypeVar("Answer")

MIXED = (
    "True when circuits of different transcoder sets or thresholds were compared: what is absent may "
    "only have been pruned under stricter settings, or not exist in the other set."
)


async def require_known(info: Info, **names: list[str] | None) -> None:
    """Raises NotFoundError naming the circuits, features, families and tags the database does not know."""
    asked = {kind: names.get(kind) or [] for kind in ("circuits", "features", "families", "tags")}
    unknown = await info.context.loaders.ask(queries.UNKNOWN, **asked)
    if unknown:
        listed = ", ".join(f"{row.kind} {row.name[:80]!r}" for row in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise NotFoundError(
            f"The database has no {listed}{more}",
            next_step="ask `families`, `circuits` or `features` for what there is, or leave it out",
        )


async def consider(
    info: Info, among: CircuitSet | None, *, transcoders: list[str] | None = None, ids: bool = True
) -> Considered:
    """The circuits of the set; with `transcoders`, only those made with one of these transcoder sets.

    ids: whether to bring the circuits' ids too; of all circuits there are many, and few questions need them.
    Raises NotFoundError when the set names a circuit, family or tag that the database does not have.
    """
    limits, given = info.context.limits, among or CircuitSet()
    circuits = checked_list(limits, "circuits", given.circuits)
    families = checked_list(limits, "families", given.families)
    tags = checked_list(limits, "tags", given.tags)
    asked = info.context.loaders.ask(
        queries.CONSIDERED,
        circuits=circuits,
        families=families,
        tags=tags or [],
        min_tags=tags_needed(tags, given.tag_mode),
        transcoders=transcoders,
        ids=ids,
    )
    if families or tags:
        rows, _ = await asyncio.gather(
            asked, require_known(info, circuits=circuits, families=families, tags=tags)
        )
        return Considered.of(rows)
    found = Considered.of(await asked)
    if found.n_circuits < len(circuits or ()):
        await require_known(info, circuits=circuits)
    return found


async def considered_and_asked(
    info: Info,
    among: CircuitSet | None,
    transcoders: list[str],
    ask: Callable[[list[str] | None], Coroutine[None, None, Answer]],
) -> tuple[Considered, Answer]:
    """The denominator, and the answer of `ask` to the ids of its circuits.

    ask: gets None when the set is not narrowed: then it need not wait for the circuits to be counted.
    Raises what `consider` raises.
    """
    if among is None:
        counted = consider(info, None, transcoders=transcoders, ids=False)
        return await asyncio.gather(counted, ask(None))
    considered = await consider(info, among, transcoders=transcoders)
    return considered, await ask(considered.ids)


def mixed(*sets: Considered) -> bool:
    """Whether the circuits of all sets together differ in their settings."""
    return len({each.key for considered in sets for each in considered.settings}) > 1


@strawberry.type(description="A circuit that has features that were asked for.")
class CircuitSharing:
    n_features: int = strawberry.field(description="How many of the features asked for it has.")
    influence: float | None = strawberry.field(
        description="Summed influence of these features in this circuit; null when a file lacks it."
    )
    uses: list[FeatureUse] = strawberry.field(
        description="What each of them does in it: positions, activation, influence, logits reached."
    )
    circuit_id: strawberry.Private[str]

    @strawberry.field(description="The circuit.")
    def circuit(self, info: Info) -> Circuit:
        return circuit_of(info, self.circuit_id)


@strawberry.type(
    description="The circuits that share features: those with most of them first, then by summed influence."
)
class CircuitsSharing(Connection[CircuitSharing]):
    considered: Considered = strawberry.field(
        description="The denominator: circuits (of `among` if given) made with the features' transcoder sets."
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

        async def ask(circuits: list[str] | None) -> Page[queries.SharingRow]:
            page: Page[queries.SharingRow] = await info.context.loaders.ask_page(
                queries.CIRCUITS_SHARING,
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
                uses=[FeatureUse.of(queries.UseRow(**use)) for use in row.uses],
            )
            for row in page.rows
        ]
        return cls(
            considered=considered,
            mixed_settings=considered.mixed_settings,
            **stretch(where, page.total, items)._asdict(),
        )


@strawberry.type(description="The supernodes of a name and of one grouping, in all circuits.")
class Supernodes(Connection[Supernode]):
    n_circuits: int = strawberry.field(description="Circuits that have one of these supernodes.")
    n_considered: int = strawberry.field(
        description="Circuits (of the families, if given) grouped in this way: others could have none."
    )
    grouping: GroupingAcross | None = strawberry.field(
        description="The grouping that they are of; null: none fits."
    )
    groupings: list[GroupingAcross] = strawberry.field(
        description="The groupings that have supernodes of this name, in circuits of the families, if given: "
        "the scored ones first, then those that most circuits have."
    )

    @classmethod
    async def ask(
        cls,
        info: Info,
        where: Window,
        words: list[str],
        families: list[str] | None,
        method: str | None,
        author: str | None,
    ) -> "Supernodes":
        loaders = info.context.loaders
        rows = await loaders.ask(queries.GROUPINGS, words=words, families=families)
        mine = first_fitting(rows, method, author)
        if mine is None and words:
            # None has the name: of one that could have it, so that the answer says of how many circuits.
            could = first_fitting(
                await loaders.ask(queries.GROUPINGS, words=[], families=families), method, author
            )
            mine = could and could._replace(n_supernodes=0, n_circuits=0)
        page = await loaders.ask_page(
            queries.SUPERNODES,
            words=words,
            method="" if mine is None else mine.method,
            author=author if mine is None else author_of(mine, author),
            families=families,
            **where._asdict(),
        )
        return cls(
            grouping=None if mine is None else GroupingAcross(**columns(mine)),
            groupings=[GroupingAcross(**columns(row)) for row in rows],
            n_circuits=page.n_circuits,
            n_considered=page.n_grouped,
            **stretch(where, page.total, await load_supernodes(info, page.rows))._asdict(),
        )


@strawberry.type(description="A feature in two circuits; null: a circuit lacks it.")
class ComparedFeature:
    influence_a: float | None = strawberry.field(description="Its influence in circuit a.")
    influence_b: float | None = strawberry.field(description="Its influence in circuit b.")
    difference: float | None = strawberry.field(
        description="influenceA - influenceB; null unless both circuits have it."
    )
    activation_a: float | None = strawberry.field(description="Its highest activation in circuit a.")
    activation_b: float | None = strawberry.field(description="Its highest activation in circuit b.")
    place: int | None = strawberry.field(
        description="Where the two are aligned: position from 0, or from the end; null when aligned freely."
    )
    positions_a: list[int] = strawberry.field(description="Where it stands in the prompt of a, from 0.")
    positions_b: list[int] = strawberry.field(description="Where it stands in the prompt of b, from 0.")
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature, with its labels.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(
    description="The effect of one feature on another in two circuits, what aligns added up. What a circuit "
    "lacks is null."
)
class ComparedEffect:
    weight_a: float | None = strawberry.field(description="Summed signed weight in circuit a.")
    weight_b: float | None = strawberry.field(description="Summed signed weight in circuit b.")
    difference: float | None = strawberry.field(description="weightA - weightB; null unless both have it.")
    source_place: int | None = strawberry.field(
        description="Where the source is aligned: position from 0, or from the end; null when aligned freely."
    )
    target_place: int | None = strawberry.field(description="The same of the target.")
    source_id: strawberry.Private[str]
    target_id: strawberry.Private[str]

    @strawberry.field(description="The feature that acts.")
    def source(self, info: Info) -> Feature:
        return feature_of(info, self.source_id)

    @strawberry.field(description="The feature acted on.")
    def target(self, info: Info) -> Feature:
        return feature_of(info, self.target_id)


@strawberry.type(description="Two circuits side by side.")
class CircuitComparison:
    a: Circuit = strawberry.field(description="The first circuit.")
    b: Circuit = strawberry.field(description="The second circuit.")
    align: Align = strawberry.field(description="How features and effects are aligned.")
    mixed_settings: bool = strawberry.field(description=MIXED)

    @strawberry.field(description="Features that only circuit a has, highest influence first.")
    async def features_only_in_a(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return await self._features(info, "a", first, after)

    @strawberry.field(description="Features that only circuit b has, highest influence first.")
    async def features_only_in_b(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return await self._features(info, "b", first, after)

    @strawberry.field(description="Features that both circuits have, greatest difference of influence first.")
    async def features_in_both(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedFeature]:
        return await self._features(info, "both", first, after)

    @strawberry.field(description="Effects that only circuit a has, greatest |weight| first.")
    async def edges_only_in_a(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "a", first, after)

    @strawberry.field(description="Effects that only circuit b has, greatest |weight| first.")
    async def edges_only_in_b(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "b", first, after)

    @strawberry.field(description="Effects that both circuits have, greatest difference of weight first.")
    async def edges_in_both(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "both", first, after)

    @strawberry.field(
        description="Effects that both have, with opposite signs; greatest difference of weight first."
    )
    async def edges_flipped(
        self, info: Info, first: First = None, after: After = None
    ) -> Connection[ComparedEffect]:
        return await self._edges(info, "flipped", first, after)

    async def _features(
        self, info: Info, part: str, first: int | None, after: str | None
    ) -> Connection[ComparedFeature]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.ask_page(
            queries.COMPARE_FEATURES,
            a=self.a.id,
            b=self.b.id,
            align=self.align.value,
            part=part,
            **where._asdict(),
        )
        items = [
            ComparedFeature(feature_id=row.feature, **columns(row, without=("feature",))) for row in page.rows
        ]
        return connect(where, page.total, items)

    async def _edges(
        self, info: Info, part: str, first: int | None, after: str | None
    ) -> Connection[ComparedEffect]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.ask_page(
            queries.COMPARE_EDGES,
            a=self.a.id,
            b=self.b.id,
            align=self.align.value,
            part=part,
            **where._asdict(),
        )
        items = [
            ComparedEffect(
                source_id=row.source, target_id=row.target, **columns(row, without=("source", "target"))
            )
            for row in page.rows
        ]
        return connect(where, page.total, items)
