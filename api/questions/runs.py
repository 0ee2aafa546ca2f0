"""`runs`: the calls of `atlas ingest` and `atlas import`, with the number of their circuits."""

import strawberry

from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect
from api.types.rows import columns
from api.types.run import Run
from schema.questions.runs import RUNS, MadeRow


@strawberry.type(description="One call of `atlas ingest` or `atlas import`, and the number of its circuits.")
class RunMade(Run):
    n_circuits: int = strawberry.field(
        description="Number of circuits in the database that come from this run."
    )

    @classmethod
    def made_of(cls, row: MadeRow) -> "RunMade":
        return cls(id=strawberry.ID(row.key), **columns(row))


@strawberry.type
class RunQuery:
    @strawberry.field(
        description="The calls of `atlas ingest` and `atlas import`. Those with the most circuits come first."
    )
    def runs(self, info: Info, first: First = None, after: After = None) -> Connection[RunMade]:
        return connect(info, Listing(RUNS), first, after, RunMade.made_of)
