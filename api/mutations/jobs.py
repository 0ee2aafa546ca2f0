"""Jobs: circuits, and claims about circuits, that clients request and the ingest service computes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import Enum
from typing import Annotated, NamedTuple

import orjson
import strawberry
from strawberry import argument

from api.mutations.writing import Author, check_length, checked_name, write
from api.questions.considered import require_known
from api.request.batching import Info, Listing
from api.request.connection import After, Connection, First, connect, connect_known
from api.request.inputs import checked_count, checked_list, checked_text
from api.request.limits import Limits
from api.types.circuit import Circuit, load_circuits
from api.types.enumeration import described
from api.types.rows import columns
from schema.circuit.edit_grammar import parse_edit
from schema.database import Database
from schema.errors import InputError, LimitError, NotFoundError
from schema.evidence.claims import CIRCUITS_TO_TEST
from schema.jobs import JobState, MostPrompts, RequestedPrompt, cancel, request
from schema.questions.jobs import JOBS, JOBS_BY_ID, JobRow

MOST_CIRCUITS = 500
"""Circuits of a family on which a claim is measured."""
MOST_DRAWS = 999
"""Draws of random features in one claim."""

described(
    JobState,
    "State of a job. A job ends as DONE or FAILED.",
    QUEUED="The job waits for a worker.",
    RUNNING="A worker computes the job.",
    DONE="The job is finished, and gave at least one circuit or its claim.",
    FAILED="The job gave nothing, or somebody cancelled it: `error` says why.",
)


@strawberry.enum(name="Held", description="What is frozen at its recorded value while the edits act.")
class FrozenParts(Enum):
    NOTHING = strawberry.enum_value("nothing", description="Attention patterns, MLPs and norms all react.")
    ATTENTION = strawberry.enum_value(
        "attention", description="Attention patterns are frozen; MLPs and norms react."
    )
    EVERYTHING = strawberry.enum_value(
        "everything", description="Attention patterns, MLPs and norms are frozen."
    )


JobId = Annotated[
    strawberry.ID, argument(description="Id of the job, as `requestCircuits` or `requestClaim` gave it.")
]


@strawberry.type(description="Circuits, or a claim about circuits, that somebody requested.")
class Job:
    id: strawberry.ID = strawberry.field(description="Hash of the request and its author.")
    state: JobState = strawberry.field(description="State of the job.")
    n_prompts: int = strawberry.field(description="Number of prompts whose circuits were requested.")
    n_done: int = strawberry.field(
        description="Number of these prompts that are finished: "
        "loaded, already in the database, or refused. "
        "Each attempt counts from 0."
    )
    problems: list[str] = strawberry.field(
        description="What was wrong with single prompts, one sentence for each."
    )
    error: str | None = strawberry.field(
        description="Why the last attempt failed. Null when it did not fail."
    )
    asked_by: str = strawberry.field(description="Author of the request.")
    asked_at: str = strawberry.field(description="Time of the request, ISO 8601.")
    attempts: int = strawberry.field(
        description="Number of times that a worker took the job without handing it back in good order. "
        "After 3, the job has failed."
    )
    taken_by: str | None = strawberry.field(
        description="The worker that holds the job: host, process, number. Null when no worker holds it."
    )
    taken_until: str | None = strawberry.field(
        description="Time at which another worker may take the job, ISO 8601. "
        "The worker that holds the job keeps moving this on. "
        "Null when no worker holds it."
    )
    ended_at: str | None = strawberry.field(
        description="Time at which the job was done or failed, ISO 8601. Null before."
    )
    transcoders: strawberry.ID | None = strawberry.field(
        description="Id of the transcoder set that the job needs. Null: the set of whichever worker takes it."
    )
    measured: strawberry.ID | None = strawberry.field(
        description="Id of the claim that the job measured, for `claims(ids: …)`. "
        "Null when circuits were requested, or the job is not done."
    )
    prompts: list[str] = strawberry.field(description="Texts of the prompts.")
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

    @strawberry.field(description="The circuits that the job made. Empty until it is done.")
    def circuits(self, info: Info, first: First = None, after: After = None) -> Connection[Circuit]:
        return connect_known(info, self.circuit_ids, first, after, load_circuits)


@strawberry.input(description="A prompt whose circuit is requested.")
class PromptInput:
    prompt: str = strawberry.field(description="Text of the prompt: 1 to 2000 characters.")
    family: str | None = strawberry.field(
        default=None, description="Prompt family: the kind of task, such as arithmetic."
    )
    tags: list[str] | None = strawberry.field(default=None, description="Tags of the prompt.")
    expected: str | None = strawberry.field(
        default=None, description="The expected answer, of one token or several."
    )
    accepted: list[str] | None = strawberry.field(
        default=None, description="Further answers that are right too; only with `expected`."
    )
    target: str | None = strawberry.field(
        default=None,
        description="What to attribute instead of the most probable next tokens: a token, "
        'or JSON such as `{"difference": ["a", "b"]}`, in the form of `atlas ingest --target`.',
    )

    def checked(self, limits: Limits, name: str) -> RequestedPrompt:
        """The prompt as a job holds it. Raises InputError or LimitError.

        name: of the argument, for messages.
        """
        if not self.prompt.strip():
            raise InputError(f"{name}: the text is empty", next_step="give it at least one character")
        for text in (self.prompt, self.target):
            checked_text(limits, name, text)
        for each in (self.family, self.expected, *(self.accepted or ()), *(self.tags or ())):
            if each is not None:
                checked_name(name, each)
        if self.accepted and self.expected is None:
            raise InputError(
                f"{name}: `accepted` without `expected`", next_step="give the first as `expected`"
            )
        tags = tuple(dict.fromkeys(self.tags or ()))
        if len(tags) > limits.prompt_tags:
            raise LimitError(
                f"{name}: {len(tags)} tags are over the limit of {limits.prompt_tags}", next_step="give fewer"
            )
        expected = (self.expected, *self.accepted) if self.expected and self.accepted else self.expected
        return RequestedPrompt(self.prompt, self.family, tags, expected, self.target)


async def _job(info: Info, key: str) -> JobRow | None:
    rows = await info.context.loaders.ask(JOBS_BY_ID, keys=[key])
    return rows[0] if rows else None


@strawberry.type
class JobQuery:
    @strawberry.field(description="One job. Null when there is no job with this id.")
    async def job(self, info: Info, id: JobId) -> Job | None:
        row = await info.context.loaders.one(JOBS_BY_ID, id)
        return None if row is None else Job.of(row)

    @strawberry.field(description="Jobs. The newest come first.")
    def jobs(
        self,
        info: Info,
        state: Annotated[JobState | None, argument(description="Only jobs in this state.")] = None,
        first: First = None,
        after: After = None,
    ) -> Connection[Job]:
        asked = {"state": None if state is None else state.value}
        return connect(info, Listing(JOBS, asked), first, after, Job.of)


@strawberry.type
class JobMutation:
    @strawberry.mutation(
        description="Request the circuits of prompts. "
        "`atlas ingest --watch` computes them with its model and settings. "
        "Repeating a request of the same author returns the same job; "
        "the job is queued again if it failed or its circuits were deleted."
    )
    async def request_circuits(
        self,
        info: Info,
        prompts: Annotated[list[PromptInput], argument(description="1 to 500 prompts.")],
        author: Author,
        transcoders: Annotated[
            strawberry.ID | None,
            argument(
                description="Id of the transcoder set to use. "
                "Null: the set of whichever worker takes the job."
            ),
        ] = None,
    ) -> Job:
        limits = info.context.limits
        check_length(limits, "prompts", len(prompts))
        checked_text(limits, "transcoders", transcoders)
        author = checked_name("author", author)
        wanted = [each.checked(limits, f"prompts[{number}]") for number, each in enumerate(prompts)]
        return await _requested(
            info,
            lambda database: request(
                database, wanted, author, transcoders=transcoders, most=_most_prompts(limits)
            ),
        )

    @strawberry.mutation(
        description="Request a claim for the ledger of interventions: "
        "what edits do to the answers of stored circuits, "
        "compared with the prediction of their graphs and with random features. "
        "`atlas ingest --watch` measures it, and `claims` then lists it. "
        "Repeating a request of the same author returns the same job."
    )
    async def request_claim(
        self,
        info: Info,
        edits: Annotated[
            list[str],
            argument(
                description="1 to 500 edits in the form of `atlas intervene`, "
                "such as `ablate 3/17@all` or `swap {texas}:{california}@last`. "
                "{LABEL} names supernodes of a circuit's first grouping, "
                "{LABEL|METHOD} those of another grouping."
            ),
        ],
        author: Author,
        circuits: Annotated[
            list[strawberry.ID] | None,
            argument(description="Ids of 1 to 500 circuits. Give either `circuits` or `family`."),
        ] = None,
        family: Annotated[
            str | None,
            argument(
                description="The circuits of this family; of a larger family, the first 500. "
                "Give either `circuits` or `family`. "
                "An unknown name is an error (NOT_FOUND)."
            ),
        ] = None,
        transcoders: Annotated[
            strawberry.ID | None,
            argument(
                description="Id of the circuits' transcoder set. Needed when the circuits belong to several."
            ),
        ] = None,
        freeze: Annotated[
            FrozenParts, argument(description="What is frozen at its recorded value while the edits act.")
        ] = FrozenParts.NOTHING,
        constrained: Annotated[
            str | None,
            argument(
                description="Layers whose MLPs are frozen except for the edits, such as `0-3`. Null: none."
            ),
        ] = None,
        writes: Annotated[
            str | None, argument(description="Layers that the edits write to, such as `0-3`. Null: all.")
        ] = None,
        draws: Annotated[
            int, argument(description="Number of draws of random features to compare with: 1 to 999.")
        ] = 99,
        seed: Annotated[int, argument(description="Seed of the draws.")] = 0,
    ) -> Job:
        limits = info.context.limits
        check_length(limits, "edits", len(edits))
        for value in (*edits, family, transcoders, constrained, writes):
            checked_text(limits, "edits", value)
        for edit in edits:
            parse_edit(edit)
        author = checked_name("author", author)
        if checked_count("draws", draws, 1) > MOST_DRAWS:
            raise LimitError(f"draws: {draws} are over the limit of {MOST_DRAWS}", next_step="request fewer")
        chosen = await _circuits_to_test(info, circuits, family, transcoders)
        claim = {
            "edits": edits,
            "circuits": chosen.ids,
            "family": family,
            "freeze": freeze.value,
            "constrained": constrained,
            "writes": writes,
            "draws": draws,
            "seed": seed,
        }
        text = orjson.dumps(claim).decode()
        return await _requested(
            info,
            lambda database: request(
                database,
                chosen.prompts,
                author,
                transcoders=chosen.transcoders,
                claim=text,
                most=_most_prompts(limits),
            ),
        )

    @strawberry.mutation(
        description="Cancel a job that is queued or running. It is then FAILED, and its error says who "
        "cancelled it. Circuits that were loaded already stay. A job that has ended does not change."
    )
    async def cancel_job(self, info: Info, id: JobId, author: Author) -> Job:
        author = checked_name("author", author)
        return await _requested(info, lambda database: _cancelled(database, id, author))


def _cancelled(database: Database, job: str, author: str) -> str:
    cancel(database, job, author)
    return job


def _most_prompts(limits: Limits) -> MostPrompts:
    return MostPrompts(limits.open_prompts, limits.author_open_prompts, limits.ended_prompts)


class _CircuitsToTest(NamedTuple):
    """The circuits that a claim is measured on."""

    ids: list[str]
    prompts: list[RequestedPrompt]
    """The prompt of each circuit."""
    transcoders: str
    """Id of their transcoder set."""


async def _circuits_to_test(
    info: Info, circuits: list[strawberry.ID] | None, family: str | None, transcoders: str | None
) -> _CircuitsToTest:
    """At least one circuit; all have the same transcoder set.

    Raises InputError when the arguments do not name such circuits, NotFoundError when one does not exist.
    """
    if (circuits is None) == (family is None):
        raise InputError(
            "circuits, family: exactly one of the two is needed", next_step="give circuits or a family"
        )
    ids = checked_list(info.context.limits, "circuits", circuits)
    await require_known(info, families=None if family is None else [family])
    found = await info.context.loaders.ask(
        CIRCUITS_TO_TEST,
        transcoders=transcoders,
        circuits=ids,
        family=family,
        prompt=None,
        limit=MOST_CIRCUITS,
    )
    missing = sorted(set(ids or ()) - {row.circuit for row in found})
    if missing or not found:
        what = f"the circuit {missing[0]!r}" if missing else "such a circuit"
        raise NotFoundError(f"The database does not have {what}", next_step="take ids that `circuits` lists")
    if len(sets := sorted({row.transcoders for row in found})) > 1:
        raise InputError(
            f"The circuits belong to {len(sets)} transcoder sets, such as {sets[0]} and {sets[1]}",
            next_step="choose one with transcoders",
        )
    return _CircuitsToTest(
        [row.circuit for row in found], [RequestedPrompt(row.prompt) for row in found], sets[0]
    )


async def _requested(info: Info, ask: Callable[[Database], str]) -> Job:
    key = await write(info, ask)
    row = await _job(info, key)
    if row is None:
        raise NotFoundError(f"The job {key} was deleted", next_step="request it again")
    return Job.of(row)


@strawberry.type(description="Events, sent over the WebSocket protocol graphql-transport-ws.")
class Subscription:
    @strawberry.subscription(
        description="A job at once and again whenever it changes, until it is done or failed. "
        "The database is asked every half second, once for all who watch."
    )
    async def job(self, info: Info, id: JobId) -> AsyncGenerator[Job, None]:
        watch = info.context.jobs
        assert watch is not None
        async with aclosing(watch.changes(info.context.loaders.share.client, id)) as changes:
            seen = None
            async for change in changes:
                # A subscription lasts longer than the time limit of one request.
                info.context.loaders = info.context.loaders.renewed()
                row = None if change is None else await _job(info, id)
                if row is None:
                    raise NotFoundError(
                        f"The database has no job {id!r}", next_step="take an id that `jobs` lists"
                    )
                # The job may have changed again since; a renewed lease is no change that clients need.
                now = row._replace(taken_until=None)
                if now != seen:
                    seen = now
                    yield Job.of(row)
                if row.state in (JobState.DONE, JobState.FAILED):
                    return
