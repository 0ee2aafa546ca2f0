"""The questions of the API: the root of the GraphQL schema, each question in the file of its noun."""

import strawberry
from strawberry.tools import merge_types

from api.mutations.jobs import JobQuery
from api.mutations.supernodes import SupernodeQuery
from api.questions.audit import AuditQuery
from api.questions.checkpoints import CheckpointQuery
from api.questions.circuits import CircuitQuery
from api.questions.claims import ClaimQuery
from api.questions.compare import CompareQuery
from api.questions.components import ComponentQuery
from api.questions.contrast import ContrastQuery
from api.questions.diagnostics import DiagnosticsQuery
from api.questions.drives_logit import LogitQuery
from api.questions.families import FamilyQuery
from api.questions.features import FeatureQuery
from api.questions.flow import FlowQuery
from api.questions.heads import HeadQuery
from api.questions.hubs import HubQuery
from api.questions.hypotheses import HypothesisQuery
from api.questions.modules import ModuleQuery
from api.questions.motifs import MotifQuery
from api.questions.paths import PathQuery
from api.questions.presence import PresenceQuery
from api.questions.recurring_edges import RecurringEdgeQuery
from api.questions.runs import RunQuery
from api.questions.search import SearchQuery
from api.questions.shared import SharedQuery
from api.questions.sharing import SharingQuery
from api.questions.similar import SimilarQuery
from api.questions.supernodes import SupernodesQuery
from api.questions.tokens import TokenQuery
from api.questions.vectors import VectorQuery

Query = strawberry.type(
    merge_types(
        "Query",
        (
            SharedQuery,
            ContrastQuery,
            SimilarQuery,
            RecurringEdgeQuery,
            PathQuery,
            MotifQuery,
            HubQuery,
            LogitQuery,
            SearchQuery,
            AuditQuery,
            RunQuery,
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
            CircuitQuery,
            FeatureQuery,
            SharingQuery,
            CompareQuery,
            SupernodesQuery,
            FamilyQuery,
        ),
    ),
    description="Questions to the circuit atlas.",
)
