"""What a feature does in a corpus: contexts it fires in, how often, and which tokens it promotes."""

import strawberry

from api.request.connection import After, Connection, First, connect, window
from api.request.loaders import Info
from api.types.feature_history import FeatureHistory
from schema.questions import core as queries

SOURCE = "from `atlas examples` or a feature file"


@strawberry.type(description="A context that a feature fires in.")
class Example:
    id: strawberry.ID = strawberry.field(description="The feature and a hash of the context.")
    tokens: list[str] = strawberry.field(description="The context's tokens.")
    activations: list[float] = strawberry.field(description="The feature's activation on each token.")


@strawberry.type
class FeatureExamples(FeatureHistory):
    @strawberry.field(description=f"Contexts that it fires in, highest activation first, {SOURCE}.")
    async def examples(self, info: Info, first: First = None, after: After = None) -> Connection[Example]:
        where = window(info.context.limits, first, after)
        page = await info.context.loaders.page(queries.EXAMPLES_OF_FEATURE, self.id, **where._asdict())
        examples = [
            Example(id=strawberry.ID(row.id), tokens=row.tokens, activations=row.activations)
            for row in page.rows
        ]
        return connect(where, page.total, examples)

    @strawberry.field(
        description=f"The share of a corpus's tokens that it fires on, 0 to 1, {SOURCE}; null when unknown."
    )
    async def density(self, info: Info) -> float | None:
        row = await info.context.loaders.one(queries.NOTES_OF_FEATURE, self.id)
        return None if row is None else row.density

    @strawberry.field(description=f"The tokens whose logits it raises most, most first, {SOURCE}.")
    async def promotes(self, info: Info) -> list[str]:
        row = await info.context.loaders.one(queries.NOTES_OF_FEATURE, self.id)
        return [] if row is None else row.promotes

    @strawberry.field(description=f"The tokens whose logits it lowers most, most first, {SOURCE}.")
    async def suppresses(self, info: Info) -> list[str]:
        row = await info.context.loaders.one(queries.NOTES_OF_FEATURE, self.id)
        return [] if row is None else row.suppresses
