"""`labelFeature`: labels that people give to features."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.mutations.writing import Author, checked_name, write
from api.request.batching import Info
from api.types.feature import Feature, load_features
from schema.annotations.labels import label_feature


@strawberry.type
class LabelMutation:
    @strawberry.mutation(
        description="Label a feature. "
        "Its other labels stay, by programs and by people. "
        "Repeating a label of the same author changes nothing."
    )
    async def label_feature(
        self,
        info: Info,
        feature: Annotated[strawberry.ID, argument(description="Id of the feature, as `features` gives it.")],
        text: Annotated[str, argument(description="Text of the label: 1 to 200 characters.")],
        author: Author,
    ) -> Feature:
        text, author = checked_name("text", text), checked_name("author", author)
        await write(info, lambda database: label_feature(database, feature, text, author))
        return (await load_features(info, [feature]))[0]
