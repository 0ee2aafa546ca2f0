"""`nearestFeatures` and `similarLabels`: search by vectors, through the database's own vector index."""

from typing import Annotated

import strawberry
from strawberry import argument

from api.request.batching import Info
from api.request.connection import After, Connection, First, connect_read
from api.request.cursors import Window, window
from api.request.inputs import checked_text
from api.request.limits import Limits
from api.types.feature import Feature, feature_of
from schema.annotations.vectors import text_vectors
from schema.errors import InputError, LimitError, NotFoundError
from schema.questions.features import NEAREST_FEATURES
from schema.questions.labels import SIMILAR_LABELS
from schema.questions.question import words_of

NEAR = 1000
"""Entries of a list that can be reached by paging."""


@strawberry.type(description="A feature that writes in nearly the same direction as another.")
class NearFeature:
    cosine: float = strawberry.field(
        description="Cosine between what the two features add to the residual stream, "
        "over the layers that they write to: -1 to 1. "
        "It is exact for models of width 256 or less; "
        "for others it comes from a random projection and is off by about 0.06."
    )
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type(description="A label that is spelt like a text.")
class SimilarLabel:
    cosine: float = strawberry.field(
        description="Cosine between the hashed counts of groups of 2 to 4 letters, "
        "0 to 1: 1 for the same text, about 0 when no group is in common. "
        "It says nothing about meaning."
    )
    text: str = strawberry.field(description="Text of the label.")
    feature_id: strawberry.Private[str]

    @strawberry.field(description="The feature that has the label.")
    def feature(self, info: Info) -> Feature:
        return feature_of(info, self.feature_id)


@strawberry.type
class VectorQuery:
    @strawberry.field(
        description="Features of the same transcoder set that write in nearly the same direction. "
        "The nearest come first. "
        "Neo4j's vector index finds them, which is approximate. "
        "`atlas label` or `atlas examples` stores the directions."
    )
    async def nearest_features(
        self,
        info: Info,
        feature: Annotated[
            strawberry.ID, argument(description="Id of a feature. An unknown id is an error (NOT_FOUND).")
        ],
        first: First = None,
        after: After = None,
    ) -> Connection[NearFeature]:
        where = _near(info.context.limits, first, after)
        found = await info.context.loaders.ask(
            # One more than the page, because the feature is nearest to itself.
            NEAREST_FEATURES,
            feature=feature,
            near=where.skip + where.limit + 1,
            **where._asdict(),
        )
        if not found:
            raise NotFoundError(
                f"There is no feature {feature[:80]!r}",
                next_step="take an id from `features { nodes { id } }`",
            )
        page = found[0]
        if not page.known:
            raise InputError(
                f"The direction of the feature {feature[:80]} is not stored",
                next_step="run `atlas label` or `atlas examples` with its model and transcoders",
            )
        items = [NearFeature(cosine=row.cosine, feature_id=row.feature) for row in page.rows]
        return connect_read(where, page.total, items)

    @strawberry.field(
        description="Labels that are spelt most like a text. "
        "The nearest come first. "
        "Neo4j's vector index finds them, which is approximate. "
        "Unlike in `search`, words may be incomplete or missing. "
        "`atlas label` stores the vectors."
    )
    async def similar_labels(
        self,
        info: Info,
        text: Annotated[
            str, argument(description="A text such as a label, with at least one letter or digit.")
        ],
        first: First = None,
        after: After = None,
    ) -> Connection[SimilarLabel]:
        where = _near(info.context.limits, first, after)
        checked_text(info.context.limits, "text", text)
        words_of(text)
        page = await info.context.loaders.ask_page(
            SIMILAR_LABELS,
            vector=text_vectors([text])[0].tolist(),
            near=where.skip + where.limit,
            **where._asdict(),
        )
        items = [SimilarLabel(cosine=row.cosine, text=row.text, feature_id=row.feature) for row in page.rows]
        return connect_read(where, page.total, items)


def _near(limits: Limits, first: int | None, after: str | None) -> Window:
    """The page. Raises LimitError when it ends after the nearest `NEAR` entries."""
    where = window(limits, first, after)
    if where.skip + where.limit > NEAR:
        raise LimitError(
            f"The page ends at entry {where.skip + where.limit}; only the nearest {NEAR} can be listed",
            next_step="stop here: entries further away are not near",
        )
    return where
