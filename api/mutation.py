"""What can be changed over the API: the root of the mutations, each in the file of its noun."""

import strawberry

from api.deleting import RunMutation
from api.grouping import SupernodeMutation
from api.jobs import JobMutation
from api.labelling import LabelMutation
from api.tagging import TagMutation


@strawberry.type(
    description="Changes, for servers with a token (`atlas serve --token-file FILE`); each may be sent again."
)
class Mutation(JobMutation, LabelMutation, SupernodeMutation, TagMutation, RunMutation):
    pass
