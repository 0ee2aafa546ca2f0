"""The mutations of the API: the root of what can be changed, each mutation in the file of its noun."""

import strawberry
from strawberry.tools import merge_types

from api.mutations.delete import RunMutation
from api.mutations.jobs import JobMutation
from api.mutations.labels import LabelMutation
from api.mutations.supernodes import SupernodeMutation
from api.mutations.tags import TagMutation

Mutation = strawberry.type(
    merge_types("Mutation", (JobMutation, LabelMutation, SupernodeMutation, TagMutation, RunMutation)),
    description="Changes to the atlas. They need a server with a token (`atlas serve --token-file FILE`). "
    "Each can be repeated safely.",
)
