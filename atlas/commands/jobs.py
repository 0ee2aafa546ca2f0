"""`atlas job`: circuits that were requested over the API, and their progress."""

import json
from typing import Annotated

import typer

from atlas.commands.options import AsJson, out
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from schema.counted import counted
from schema.errors import InputError, NotFoundError

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of the job, as `atlas job list` prints it.")]

COLUMNS = ["key", "state", "done", "tries", "asked by", "asked at", "error"]

job = typer.Typer(no_args_is_help=True)


@job.callback()
def about() -> None:
    """Look at the jobs: circuits that were requested over the API.

    For example: `atlas job list --state failed`. `atlas ingest --watch` starts a worker that computes the
    circuits.
    """


@job.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Show only jobs in this state: queued, running, done or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many jobs.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first. `atlas job show ID` shows one job in full."""
    from atlas.local.login import Login
    from schema.jobs import JobState
    from schema.questions.jobs import JOBS
    from schema.questions.question import ask

    if state is not None and state not in list(JobState):
        raise InputError(f"There is no state {state!r}", next_step=f"name one of {', '.join(JobState)}")
    with Login(Settings.load()).connect() as database:
        (page,) = ask(database, JOBS, timeout_s=60, state=state, skip=0, limit=limit)
    if as_json:
        print(json.dumps([row._asdict() for row in page.rows], indent=2))
        return
    rows = [
        [
            *(row.key, row.state, f"{row.n_done}/{row.n_prompts}", row.attempts, row.asked_by),
            *(row.asked_at[:16].replace("T", " "), row.error),
        ]
        for row in page.rows
    ]
    print_rows(out, Rows(counted(page.total, "job"), COLUMNS, rows))


@job.command("show")
def show(key: JobId) -> None:
    """Show one job in full: its prompts, its circuits and its error.

    `atlas job retry ID` queues a failed job again.
    """
    from atlas.local.login import Login
    from schema.questions.jobs import JOBS_BY_ID
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        rows = ask(database, JOBS_BY_ID, timeout_s=60, keys=[key])
    if not rows:
        raise NotFoundError(f"There is no job {key}", next_step="`atlas job list` lists them")
    for name, value in rows[0]._asdict().items():
        if isinstance(value, list):
            for each in value:
                out.print(f"{name:12} {each}", markup=False, soft_wrap=True)
        elif value is not None:
            out.print(f"{name:12} {value}", markup=False, soft_wrap=True)


@job.command("cancel")
def cancel(key: JobId) -> None:
    """Cancel a job that is queued or running. Circuits that were loaded already stay.

    `atlas job retry ID` queues it again.
    """
    from atlas.local.login import Login
    from schema.jobs import cancel as cancel_job

    with Login(Settings.load()).connect() as database:
        cancelled = cancel_job(database, key, "atlas job cancel")
    out.print(
        f"{key} is cancelled." if cancelled else f"{key} has ended already. Nothing changed.", markup=False
    )


@job.command("delete")
def delete(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Ids of jobs that are done or failed.")
    ] = None,
    ended: Annotated[
        float | None,
        typer.Option(
            "--ended-days-ago", min=0, help="Delete all jobs that ended at least this many days ago."
        ),
    ] = None,
) -> None:
    """Delete jobs that are done or failed. Their circuits and claims stay.

    For example: `atlas job delete --ended-days-ago 30`. `atlas job cancel ID` ends a job that is queued or
    running, which is not deleted before.
    """
    from atlas.local.login import Login
    from schema.jobs import delete as delete_job
    from schema.jobs import delete_ended

    if not keys and ended is None:
        raise InputError("No job is named", next_step="name ids, or give --ended-days-ago DAYS")
    with Login(Settings.load()).connect() as database:
        for key in keys or []:
            deleted = delete_job(database, key)
            said = "is deleted." if deleted else "has not ended. `atlas job cancel` ends it; nothing changed."
            out.print(f"{key} {said}", markup=False, soft_wrap=True)
        if ended is not None:
            out.print(f"{counted(delete_ended(database, ended), 'job')} deleted.")


@job.command("retry")
def retry(key: JobId) -> None:
    """Queue a failed job again. Its attempts are counted from zero."""
    from atlas.local.login import Login
    from schema.jobs import retry as queue_again

    with Login(Settings.load()).connect() as database:
        queued = queue_again(database, key)
    out.print(
        f"{key} is queued again." if queued else f"{key} has not failed. Nothing changed.", markup=False
    )
