"""Jobs: circuits asked for over the API, which the ingest service computes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated

import orjson
import strawberry
from strawberry import argument

from api.connection import After, Connection, First, connect, window
from api.inputs import checked_text
from api.loaders import Info
from api.types import Circuit, load_circuits
from api.types_plain import columns
from api.writing import Author, checked_all, checked_name, write
from schema.errors import InputError, NotFoundError
from schema.jobs import JOBS, JOBS_BY_ID, JobRow, JobState, Wanted, request

POLL_S = 0.5
"""How often a subscription looks at its job, in seconds: it is another process that writes it."""

strawberry.enum(JobState, description="Where a job is; it ends as DONE or FAILED.")
Id = Annotated[strawberry.ID, argument(description="Id of the job, as `requestCircuits` gave it.")]


@strawberry.type(description="Circuits that somebody asked for.")
class Job:
    id: strawberry.ID = strawberry.field(description="Hash of the prompts and of who asked.")
    state: JobState = strawberry.field(description="Where it is.")
    n_prompts: int = strawberry.field(description="Prompts whose circuits were asked for.")
    n_done: int = strawberry.field(
        description="Of these, finished: loaded, there already, or refused. Each attempt counts from 0."
    )
    problems: list[str] = strawberry.field(description="What was wrong with single prompts.")
    error: str | None = strawberry.field(description="Why the last attempt failed.")
    asked_by: str = strawberry.field(description="Who asked.")
    asked_at: str = strawberry.field(description="When, ISO 8601.")
    attempts: int = strawberry.field(
        description="How often a worker took it and did not hand it back in good order; after 3 it is failed."
    )
    taken_by: str | None = strawberry.field(description="The worker that has it: host, process, number.")
    taken_until: str | None = strawberry.field(
        description="When another worker may take it, ISO 8601; the one that has it moves this on."
    )
    ended_at: str | None = strawberry.field(description="When it was done or failed, ISO 8601.")
    prompts: list[str] = strawberry.field(description="The texts of the prompts.")
    circuit_ids: strawberry.Private[list[str]]

    @classmethod
    def of(cls, row: JobRow) -> "Job":
        return cls(
            id=strawberry.ID(row.key),
            state=JobState(row.state),
            prompts=[orjson.loads(line)["prompt"] for line in row.prompts],
            circuit_ids=row.circuits,
            **columns(row, without=("state", "prompts", "circuits")),
        )

    @strawberry.field(description="The circuits that it gave, when it is done.")
    async def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[Circuit]:
        where = window(info.context.limits, first, after)
        ids = self.circuit_ids[where.skip : where.skip + where.limit]
        return connect(where, len(self.circuit_ids), await load_circuits(info, ids))


@strawberry.input(description="A prompt whose circuit is asked for.")
class PromptInput:
    prompt: str = strawberry.field(description="The text: 1 to 2000 characters.")
    family: str | None = strawberry.field(default=None, description="The kind of task, such as arithmetic.")
    tags: list[str] | None = strawberry.field(default=None, description="Any number of tags.")
    expected: str | None = strawberry.field(default=None, description="The expected next token.")
    target: str | None = strawberry.field(
        default=None,
        description="What to attribute instead of the most probable next tokens: a token, or JSON such as "
        '`{"difference": ["a", "b"]}`, as `atlas ingest --target` takes it.',
    )


async def _job(info: Info, key: str) -> JobRow | None:
    rows = await info.context.loaders.ask(JOBS_BY_ID, keys=[key])
    return rows[0] if rows else None


@strawberry.type
class JobQuery:
    @strawberry.field(description="One job; null when there is none of this id.")
    async def job(self, info: Info, id: Id) -> Job | None:
        row = await info.context.loaders.one(JOBS_BY_ID, id)
        return None if row is None else Job.of(row)

    @strawberry.field(description="Jobs, the newest first.")
    async def jobs(
        self,
        info: Info,
        state: Annotated[JobState | None, argument(description="Only jobs in this state.")] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Job]:
        where = window(info.context.limits, first, after)
        asked = None if state is None else state.value
        page = await info.context.loaders.ask_page(JOBS, state=asked, **where._asdict())
        return connect(where, page.total, [Job.of(row) for row in page.rows])


@strawberry.type
class JobMutation:
    @strawberry.mutation(
        description="Ask for the circuits of prompts: `atlas ingest --watch` computes them, with its "
        "model and "
        "settings. The same prompts by the same author again are the same job; when that failed, or its "
        "circuits were deleted, it is queued again."
    )
    async def request_circuits(
        self,
        info: Info,
        prompts: Annotated[list[PromptInput], argument(description="1 to 500 prompts.")],
        author: Author,
    ) -> Job:
        limits = info.context.limits
        checked_all(limits, "prompts", len(prompts))
        author = checked_name("author", author)
        wanted = []
        for number, each in enumerate(prompts):
            if not each.prompt.strip():
                raise InputError(f"prompts[{number}]: no text", next_step="give it at least one character")
            for value in (each.prompt, each.target):
                checked_text(limits, f"prompts[{number}]", value)
            given = (each.family, each.expected, *(each.tags or ()))
            for name in given:
                if name is not None:
                    checked_name(f"prompts[{number}]", name)
            tags = tuple(dict.fromkeys(each.tags or ()))
            wanted.append(Wanted(each.prompt, each.family, tags, each.expected, each.target))
        key = await write(info, lambda database: request(database, wanted, author))
        row = await _job(info, key)
        if row is None:
            raise NotFoundError(f"The job {key} is gone", next_step="ask for it again")
        return Job.of(row)


@strawberry.type(description="What is told as it happens, over graphql-transport-ws.")
class Subscription:
    @strawberry.subscription(
        description="A job now, then whenever it changes, until it is done or failed. Looked at every "
        "half second."
    )
    async def job(self, info: Info, id: Id) -> AsyncGenerator[Job, None]:
        seen = None
        while True:
            # A subscription outlives the time that one request has.
            info.context.loaders = info.context.loaders.again()
            row = await _job(info, id)
            if row is None:
                raise NotFoundError(f"The database has no job {id!r}", next_step="see `jobs`")
            # That the lease was renewed is no news.
            now = row._replace(taken_until=None)
            if now != seen:
                seen = now
                yield Job.of(row)
            if row.state in (JobState.DONE, JobState.FAILED):
                return
            await asyncio.sleep(POLL_S)
