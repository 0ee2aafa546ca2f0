"""The questions of the API: the root of the GraphQL schema."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.jobs import JobQuery
from api.mutations.supernodes import SupernodeQuery
from api.questions.answers import (
    CircuitComparison,
    CircuitsSharing,
    Supernodes,
    consider,
)
from api.questions.audit import AuditQuery
from api.questions.checkpoints import CheckpointQuery
from api.questions.claims import ClaimQuery
from api.questions.components import ComponentQuery
from api.questions.contrast import ContrastQuery
from api.questions.diagnostics import DiagnosticsQuery
from api.questions.flow import FlowQuery
from api.questions.heads import HeadQuery
from api.questions.hubs import HubQuery
from api.questions.hypotheses import HypothesisQuery
from api.questions.modules import ModuleQuery
from api.questions.presence import PresenceQuery
from api.questions.search import SearchQuery
from api.questions.shared import SharedQuery
from api.questions.similar import SimilarQuery
from api.questions.structure import StructureQuery
from api.questions.tokens import TokenQuery
from api.questions.vectors import VectorQuery
from api.request.connection import After, Connection, First, connect, window
from api.request.inputs import (
    Align,
    CircuitFilter,
    CircuitOrder,
    CircuitSet,
    FeatureOrder,
    Match,
    checked_count,
    checked_list,
    checked_text,
    tags_needed,
)
from api.request.loaders import Info
from api.request.prefetch import PAGES_OF_CIRCUIT, PAGES_OF_FEATURE, page_ahead
from api.types.graph import Circuit, Feature, load_circuits, load_features
from api.types.groupings import OfAuthor, OfMethodAcross
from api.types.plain import Family
from schema.circuit.records import NodeKind
from schema.questions import core as queries
from schema.questions.question import full_text, words_of

Search = Annotated[
    str | None,
    argument(description="Words; each may be the beginning of a word. All must occur."),
]


@strawberry.type(description="Questions to the circuit atlas.")
class Query(
    SharedQuery,
    ContrastQuery,
    SimilarQuery,
    StructureQuery,
    HubQuery,
    SearchQuery,
    AuditQuery,
    HeadQuery,
    ComponentQuery,
    TokenQuery,
    ModuleQuery,
    HypothesisQuery,
    ClaimQuery,
    DiagnosticsQuery,
    FlowQuery,
    PresenceQuery,
    CheckpointQuery,
    JobQuery,
    SupernodeQuery,
    VectorQuery,
):
    @strawberry.field(description="One feature; null when no circuit in the database ever had it.")
    async def feature(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="`set@revision/layer/index`, see `features`.")],
    ) -> Feature | None:
        ahead = page_ahead(info, PAGES_OF_FEATURE)
        row = await info.context.loaders.owner_of(queries.FEATURES_BY_ID, id, ahead)
        return None if row is None else Feature.of(row)

    @strawberry.field(description="Features by label, layer and family.")
    async def features(
        self,
        info: Info,
        search: Annotated[
            str | None,
            argument(description="Words of a label; each may be the beginning of a word. All must occur."),
        ] = None,
        layer: Annotated[int | None, argument(description="Only features of this layer, from 0.")] = None,
        family: Annotated[
            str | None, argument(description="Only circuits of this family of prompts are counted.")
        ] = None,
        min_circuits: Annotated[
            int, argument(description="Only features that at least this many circuits have: 1 or more.")
        ] = 1,
        order_by: Annotated[FeatureOrder, argument(description="Which come first.")] = FeatureOrder.CIRCUITS,
        first: First = None,
        after: After = None,
    ) -> Connection[Feature]:
        limits = info.context.limits
        where = window(limits, first, after)
        search = checked_text(limits, "search", search)
        ask = info.context.loaders.ask_page
        least = checked_count("minCircuits", min_circuits, 1)
        if search is None and layer is None and family is None and order_by is FeatureOrder.CIRCUITS:
            page = await ask(queries.FEATURES_BY_COUNT, min_circuits=least, **where._asdict())
        else:
            page = await ask(
                queries.FEATURES,
                search=None if search is None else full_text(search),
                layer=layer,
                family=family,
                min_circuits=least,
                order=order_by.value,
                **where._asdict(),
            )
        return connect(where, page.total, await load_features(info, page.rows))

    @strawberry.field(description="One circuit; null when there is none of this id.")
    async def circuit(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Id of the circuit, see `circuits`.")],
    ) -> Circuit | None:
        ahead = page_ahead(info, PAGES_OF_CIRCUIT)
        row = await info.context.loaders.owner_of(queries.CIRCUITS_BY_ID, id, ahead)
        return None if row is None else Circuit.of(row)

    @strawberry.field(description="Circuits by prompt, answer, scores and provenance.")
    async def circuits(
        self,
        info: Info,
        filter: Annotated[CircuitFilter | None, argument(description="What they should be like.")] = None,
        order_by: Annotated[CircuitOrder, argument(description="Which come first.")] = CircuitOrder.FAMILY,
        first: First = None,
        after: After = None,
    ) -> Connection[Circuit]:
        limits, given = info.context.limits, filter or CircuitFilter()
        where = window(limits, first, after)
        text = checked_text(limits, "filter.text", given.text)
        tags = checked_list(limits, "filter.tags", given.tags)
        page = await info.context.loaders.ask_page(
            queries.CIRCUITS,
            filter={
                "families": checked_list(limits, "filter.families", given.families),
                "tags": tags or [],
                "min_tags": tags_needed(tags, given.tag_mode),
                "text": None if text is None else full_text(text),
                "answer": given.answer,
                "correct": given.correct,
                "min_replacement": given.min_replacement_score,
                "min_completeness": given.min_completeness_score,
                "max_error_share": given.max_error_share,
                "model": given.model,
                "transcoders": given.transcoders,
                "pair": given.pair,
                "split": given.split,
            },
            order=order_by.value,
            **where._asdict(),
        )
        return connect(where, page.total, await load_circuits(info, page.rows))

    @strawberry.field(description="Which circuits share these features, and what the features do in each.")
    async def circuits_sharing(
        self,
        info: Info,
        features: Annotated[
            list[strawberry.ID],
            argument(description="Ids of 1 to 500 features. An unknown id is an error (NOT_FOUND)."),
        ],
        mode: Annotated[
            Match, argument(description="Whether a circuit needs all of them or any.")
        ] = Match.ALL,
        min_influence: Annotated[
            float | None,
            argument(
                description="A feature counts only with at least this influence in the circuit: 0 or more."
            ),
        ] = None,
        kind: Annotated[
            NodeKind | None,
            argument(
                description="A feature counts only where it acts directly on a node of this kind: FEATURE or "
                "LOGIT."
            ),
        ] = None,
        among: Annotated[CircuitSet | None, argument(description="Only circuits of this set.")] = None,
        first: First = None,
        after: After = None,
    ) -> CircuitsSharing:
        where = window(info.context.limits, first, after)
        ids = checked_list(info.context.limits, "features", features)
        return await CircuitsSharing.ask(info, where, ids or [], mode, min_influence, kind, among)

    @strawberry.field(description="What two circuits have in common and what not.")
    async def compare_circuits(
        self,
        info: Info,
        a: Annotated[strawberry.ID, argument(description="Id of a circuit. Unknown: an error (NOT_FOUND).")],
        b: Annotated[
            strawberry.ID, argument(description="Id of another one. Unknown: an error (NOT_FOUND).")
        ],
        align: Annotated[
            Align, argument(description="How the two prompts are laid over each other.")
        ] = Align.FREE,
    ) -> CircuitComparison:
        both = await consider(info, CircuitSet(circuits=[a, b]))
        first, second = await load_circuits(info, [a, b])
        return CircuitComparison(a=first, b=second, align=align, mixed_settings=both.mixed_settings)

    @strawberry.field(
        description="Groups of features by their name, over all circuits, of one grouping: one that has the "
        "name; by label, then score."
    )
    async def supernodes(
        self,
        info: Info,
        label: Search = None,
        families: Annotated[
            list[str] | None, argument(description="Only circuits of one of these families.")
        ] = None,
        method: OfMethodAcross = None,
        author: OfAuthor = None,
        first: First = None,
        after: After = None,
    ) -> Supernodes:
        limits = info.context.limits
        label = checked_text(limits, "label", label)
        return await Supernodes.ask(
            info,
            window(limits, first, after),
            [] if label is None else words_of(label),
            checked_list(limits, "families", families),
            method,
            author,
        )

    @strawberry.field(description="The families of prompts, with counts and mean scores; by name.")
    async def families(
        self,
        info: Info,
        names: Annotated[
            list[str] | None, argument(description="Only these; names that do not exist are left out.")
        ] = None,
    ) -> list[Family]:
        names = checked_list(info.context.limits, "names", names)
        return [Family.of(row) for row in await info.context.loaders.ask(queries.FAMILIES, names=names)]
