"""Runs: calls of `atlas ingest` or `atlas import`."""

import strawberry

from api.types.rows import columns
from schema.questions.runs import RunRow


@strawberry.type(description="A run: one call of `atlas ingest` or `atlas import`.")
class Run:
    id: strawberry.ID = strawberry.field(description="Id: a hash of settings and versions.")
    settings: str = strawberry.field(description="Arguments of the call, as JSON.")
    versions: str = strawberry.field(description="Packages and their versions, as JSON.")

    @classmethod
    def of(cls, row: RunRow) -> "Run":
        return cls(id=strawberry.ID(row.key), **columns(row))
