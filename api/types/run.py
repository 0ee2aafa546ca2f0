"""Runs: calls of `atlas ingest` or `atlas import`."""

import strawberry

from api.types.rows import columns
from schema.questions.runs import RunRow


@strawberry.type(description="One call of `atlas ingest`.")
class Run:
    id: strawberry.ID = strawberry.field(description="Hash of settings and versions.")
    settings: str = strawberry.field(description="What was asked, as JSON.")
    versions: str = strawberry.field(description="With which versions of which packages, as JSON.")

    @classmethod
    def of(cls, row: RunRow) -> "Run":
        return cls(id=strawberry.ID(row.key), **columns(row))
