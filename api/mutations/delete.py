"""`deleteRun`: deletes a run with its circuits."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import write
from api.request.batching import Info
from schema.errors import NotFoundError
from schema.upkeep.delete import delete_run


@strawberry.type(description="A run that was deleted.")
class DeletedRun:
    id: strawberry.ID = strawberry.field(description="Id of the run.")
    existed: bool = strawberry.field(
        description="Whether the run was in the database when the deletion began."
    )
    n_circuits: int = strawberry.field(description="Number of circuits that were deleted with it.")


@strawberry.type
class RunMutation:
    @strawberry.mutation(
        description="Delete a run with its circuits, one transaction for each circuit. "
        "Repeating an interrupted deletion resumes it; "
        "when nothing was left, the answer is `existed: false`. "
        "Refused (CONFLICT) while another process loads or deletes circuits of the run. "
        "Features that a person labelled stay."
    )
    async def delete_run(
        self,
        info: Info,
        id: Annotated[strawberry.ID, argument(description="Id of the run, as `runs` gives it.")],
    ) -> DeletedRun:
        try:
            n_circuits = await write(
                info, lambda database: sum(each.n_circuits for each in delete_run(database, id))
            )
        except NotFoundError:
            return DeletedRun(id=id, existed=False, n_circuits=0)
        return DeletedRun(id=id, existed=True, n_circuits=n_circuits)
