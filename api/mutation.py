"""What can be changed over the API: the root of the mutations, each in the file of its noun."""

import strawberry

from api.mutations.delete import RunMutation
from api.mutations.jobs import JobMutation
from api.mutations.labels import LabelMutation
from api.mutations.supernodes import SupernodeMutation
from api.mutations.tags import TagMutation


@strawberry.type(
    description="Changes to the atlas. "
    "They need a server with a token (`atlas serve --token-file FILE`). "
    "Each can be repeated safely."
)
class Mutation(JobMutation, LabelMutation, SupernodeMutation, TagMutation, RunMutation):
    pass
