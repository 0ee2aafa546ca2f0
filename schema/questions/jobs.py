"""Questions about jobs: requests for circuits or claims, which the ingest service works on."""

from typing import NamedTuple

from schema.questions.question import Question, page_of, row_of


class JobRow(NamedTuple):
    """A job and its state."""

    key: str
    """Id of the job."""
    state: str
    """queued, running, done or failed."""
    prompts: list[str]
    """JSON, one line of a prompts file each."""
    n_prompts: int
    n_done: int
    problems: list[str]
    error: str | None
    asked_by: str
    asked_at: str
    """Times are ISO 8601."""
    attempts: int
    taken_by: str | None
    taken_until: str | None
    ended_at: str | None
    transcoders: str | None
    measured: str | None
    """Id of the claim that the job measured; None for a job for circuits."""
    circuits: list[str]
    """Ids of the circuits that it gave."""


class JobChangeRow(NamedTuple):
    """What of a job changes while it is worked on."""

    key: str
    """Id of the job."""
    state: str
    n_done: int
    attempts: int
    error: str | None
    taken_by: str | None
    ended_at: str | None
    n_problems: int


JOB_CHANGES = Question("job_changes", row_of(JobChangeRow))
JOBS_BY_ID = Question("jobs_by_id", row_of(JobRow))
JOBS = Question("jobs", page_of(JobRow))
