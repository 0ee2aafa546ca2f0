"""Jobs: circuits, and claims about them, asked for over the API, which the ingest service computes."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from enum import Enum
from typing import Annotated

import orjson
import strawberry
from strawberry import argument

from api.mutations.writing import Author, checked_all, checked_name, write
from api.questions.considered import require_known
from api.request.connection import After, Connection, First, connect, window
from api.request.inputs import checked_count, checked_list, checked_text
from api.request.loaders import Info
from api.types.circuit import Circuit, load_circuits
from api.types.rows import columns
from schema.circuit.edit_grammar import parse_edit
from schema.database import Database
from schema.errors import InputError, LimitError, NotFoundError
from schema.evidence.claims import CIRCUITS_TO_TEST
from schema.jobs import JOBS, JOBS_BY_ID, JobRow, JobState, Wanted, request

MOST = 500
"""Circuits of a family that a claim is measured on."""
MOST_DRAWS = 999
POLL_S = 0.5
"""How often a subscription looks at its job, in seconds: it is another process that writes it."""

strawberry.enum(JobState, description="Where a job is; it ends as DONE or FAILED.")


@strawberry.enum(description="What is held at its recorded value while edits act.")
class Held(Enum):
    NOTHING = "nothing"
    ATTENTION = "attention"
    EVERYTHING = "everything"


Id = Annotated[strawberry.ID, argument(description="Id of the job, as `requestCircuits` gave it.")]


@strawberry.type(description="Circuits, or a claim about circuits, that somebody asked for.")
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
    transcoders: strawberry.ID | None = strawberry.field(
        description="Id of the set that it is for; null: the one of the worker that takes it."
    )
    measured: strawberry.ID | None = strawberry.field(
        description="Id of the claim that it gave, for `claims(ids: …)`; null: it was asked for circuits, or "
        "is not done."
    )
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
        transcoders: Annotated[
            strawberry.ID | None,
            argument(description="Id of the transcoder set they are for; null: that of whichever worker."),
        ] = None,
    ) -> Job:
        limits = info.context.limits
        checked_all(limits, "prompts", len(prompts))
        checked_text(limits, "transcoders", transcoders)
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
        return await _requested(
            info, lambda database: request(database, wanted, author, transcoders=transcoders)
        )

    @strawberry.mutation(
        description="Ask for a claim of the ledger: what edits do to the answers of circuits that are there, "
        "beside what their graphs predict and random features. `atlas ingest --watch` measures it; `claims` "
        "has it then. The same again by the same author is the same job."
    )
    async def request_claim(
        self,
        info: Info,
        edits: Annotated[
            list[str],
            argument(
                description="1 to 500, each kind and edit as `atlas intervene` takes them, such as "
                "`ablate 3/17@all` or `swap {texas}:{california}@last`; {LABEL} names supernodes, of the "
                "first of their groupings, {LABEL|METHOD} of another."
            ),
        ],
        author: Author,
        circuits: Annotated[
            list[strawberry.ID] | None, argument(description="These circuits; or else name a family.")
        ] = None,
        family: Annotated[
            str | None, argument(description="The circuits of this family, 500 at most.")
        ] = None,
        transcoders: Annotated[
            strawberry.ID | None,
            argument(description="Id of their transcoder set; needed when they are of several."),
        ] = None,
        freeze: Annotated[Held, argument(description="What is held at its recorded value.")] = Held.NOTHING,
        constrained: Annotated[
            str | None, argument(description="Layers whose MLPs are held but for the edits, such as `0-3`.")
        ] = None,
        writes: Annotated[
            str | None, argument(description="Layers that the edits write to; null: all.")
        ] = None,
        draws: Annotated[int, argument(description="Draws of random features: 1 to 999.")] = 99,
        seed: Annotated[int, argument(description="Of these.")] = 0,
    ) -> Job:
        limits = info.context.limits
        checked_all(limits, "edits", len(edits))
        for value in (*edits, family, transcoders, constrained, writes):
            checked_text(limits, "edits", value)
        for edit in edits:
            parse_edit(edit)
        author = checked_name("author", author)
        if checked_count("draws", draws, 1) > MOST_DRAWS:
            raise LimitError(f"draws: {draws} are over the limit of {MOST_DRAWS}", next_step="ask for fewer")
        if (circuits is None) == (family is None):
            raise InputError("circuits, family: name one of the two", next_step="give circuits, or a family")
        ids = checked_list(limits, "circuits", circuits)
        await require_known(info, families=None if family is None else [family])
        found = await info.context.loaders.ask(
            CIRCUITS_TO_TEST, transcoders=transcoders, circuits=ids, family=family, prompt=None, limit=MOST
        )
        missing = sorted(set(ids or ()) - {row.circuit for row in found})
        if missing or not found:
            what = f"the circuit {missing[0]!r}" if missing else "such a circuit"
            raise NotFoundError(f"The database does not have {what}", next_step="see `circuits`")
        if len(sets := sorted({row.transcoders for row in found})) > 1:
            raise InputError(
                f"The circuits are of {len(sets)} transcoder sets, {sets[0]} and {sets[1]} among them",
                next_step="name one with transcoders",
            )
        claim = {
            "edits": edits,
            "circuits": [row.circuit for row in found],
            "family": family,
            "freeze": freeze.value,
            "constrained": constrained,
            "writes": writes,
            "draws": draws,
            "seed": seed,
        }
        text = orjson.dumps(claim).decode()
        wanted = [Wanted(row.prompt) for row in found]
        return await _requested(
            info, lambda database: request(database, wanted, author, transcoders=sets[0], claim=text)
        )


async def _requested(info: Info, ask: Callable[[Database], str]) -> Job:
    key = await write(info, ask)
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
