"""`families`: the families of prompts, with counts and mean scores."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.request.batching import Info
from api.request.connection import RowList
from api.request.inputs import checked_list
from api.types.prompt import OVER_CIRCUITS, Family
from schema.questions.circuits import FAMILIES


@strawberry.type
class FamilyQuery:
    @strawberry.field(description="Families of prompts, by name, with counts and mean scores.")
    async def families(
        self,
        info: Info,
        names: Annotated[
            list[str] | None,
            argument(description="Only families with these names. Unknown names are left out of the answer."),
        ] = None,
    ) -> list[Family]:
        names = checked_list(info.context.limits, "names", names)
        loaders = info.context.loaders
        means = any(map(loaders.may_read, OVER_CIRCUITS))
        rows = await loaders.ask(FAMILIES, names=names, means=means, tags=loaders.may_read("tags"))
        return RowList(rows, Family.of)
