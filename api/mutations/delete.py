"""Taking out what was loaded."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import write
from api.request.loaders import Info
from schema.errors import NotFoundError
from schema.upkeep.delete import delete_run


@strawberry.type(description="A run that is gone.")
class DeletedRun:
    id: strawberry.ID = strawberry.field(description="Its id.")
    existed: bool = strawberry.field(description="Whether it was there when it was asked for.")
    n_circuits: int = strawberry.field(description="How many circuits went with it.")


@strawberry.type
class RunMutation:
    @strawberry.mutation(
        description="Delete a run with its circuits, one transaction each. Called again it goes on, and says "
        "`existed: false` when nothing was left. Features that a person labelled stay."
    )
    async def delete_run(
        self, info: Info, id: Annotated[strawberry.ID, argument(description="Id of the run, see `runs`.")]
    ) -> DeletedRun:
        try:
            n_circuits = await write(info, lambda database: sum(1 for _ in delete_run(database, id)))
        except NotFoundError:
            return DeletedRun(id=id, existed=False, n_circuits=0)
        return DeletedRun(id=id, existed=True, n_circuits=n_circuits)
