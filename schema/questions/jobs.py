"""Questions about jobs: requests for circuits or claims, which the ingest service works on."""

from typing import NamedTuple

from schema.questions.question import Question, page_of, row_of


class JobRow(NamedTuple):
    key: str
    state: str
    prompts: list[str]
    n_prompts: int
    n_done: int
    problems: list[str]
    error: str | None
    asked_by: str
    asked_at: str
    attempts: int
    taken_by: str | None
    taken_until: str | None
    ended_at: str | None
    transcoders: str | None
    measured: str | None
    circuits: list[str]


JOBS_BY_ID = Question("jobs_by_id", row_of(JobRow))
JOBS = Question("jobs", page_of(JobRow))
