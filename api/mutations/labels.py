"""Labels that people give to features."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import Author, checked_name, write
from api.request.loaders import Info
from api.types.feature import Feature, load_features
from schema.annotations.labels import label_feature


@strawberry.type
class LabelMutation:
    @strawberry.mutation(
        description="Say what a feature is. Other labels stay, those of programs and those of people; "
        "the same "
        "label by the same author again changes nothing."
    )
    async def label_feature(
        self,
        info: Info,
        feature: Annotated[strawberry.ID, argument(description="Id of the feature, see `features`.")],
        text: Annotated[str, argument(description="The label: 1 to 200 characters.")],
        author: Author,
    ) -> Feature:
        text, author = checked_name("text", text), checked_name("author", author)
        await write(info, lambda database: label_feature(database, feature, text, author))
        return (await load_features(info, [feature]))[0]
