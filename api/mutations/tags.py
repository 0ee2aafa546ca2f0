"""`tagPrompts` and `setFamily`: tags and families that people give to prompts."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import check_length, checked_name, write
from api.request.batching import Info
from api.request.inputs import checked_list
from api.types.prompt import Prompt
from schema.annotations.families import set_family
from schema.annotations.tags import tag_prompts
from schema.errors import InputError
from schema.questions.circuits import PROMPTS_BY_ID


@strawberry.type
class TagMutation:
    @strawberry.mutation(
        description="Add each of these tags to each of these prompts. "
        "The prompts keep the tags that they have."
    )
    async def tag_prompts(
        self,
        info: Info,
        prompts: Annotated[list[strawberry.ID], argument(description="Ids of 1 to 500 prompts.")],
        tags: Annotated[list[str], argument(description="1 to 500 tags of 1 to 200 characters each.")],
    ) -> list[Prompt]:
        limits = info.context.limits
        check_length(limits, "tags", len(tags))
        ids = checked_list(limits, "prompts", prompts) or []
        names = list(dict.fromkeys(checked_name("tags", tag) for tag in tags))
        await write(info, lambda database: tag_prompts(database, ids, names, limits.prompt_tags))
        return [Prompt.of(row) for row in await info.context.loaders.all_of(PROMPTS_BY_ID, ids)]

    @strawberry.mutation(
        description="Put these prompts into a family, or take them out of their families. "
        "All circuits of a prompt move with it. Each prompt is moved in one transaction, "
        "which keeps the counts and recurring effects of both families right. "
        "Repeating an interrupted request resumes it."
    )
    async def set_family(
        self,
        info: Info,
        prompts: Annotated[list[strawberry.ID], argument(description="Ids of 1 to 500 prompts.")],
        family: Annotated[
            str | None,
            argument(
                description="Name of 1 to 200 characters of the family, which need not exist. "
                "null takes the prompts out of their families."
            ),
        ] = strawberry.UNSET,
    ) -> list[Prompt]:
        if family is strawberry.UNSET:
            raise InputError(
                "family: neither a name nor null is given",
                next_step="name the family, or give null to take the prompts out of their families",
            )
        ids = checked_list(info.context.limits, "prompts", prompts) or []
        name = None if family is None else checked_name("family", family)
        await write(info, lambda database: list(set_family(database, ids, name)))
        return [Prompt.of(row) for row in await info.context.loaders.all_of(PROMPTS_BY_ID, ids)]
