"""`atlas job`: the circuits that were asked for over the API, and how far they are."""

import json
from typing import Annotated

import typer

from atlas.commands.options import AsJson, out
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from schema.errors import NotFoundError

COLUMNS = ["key", "state", "done", "tries", "asked by", "asked at", "error"]

job = typer.Typer(no_args_is_help=True, help="Circuits that were asked for over the API.")


@job.callback()
def about() -> None:
    """Circuits that were asked for over the API; `atlas ingest --watch` makes them."""


@job.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, done or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    from atlas.local.login import Login
    from schema.errors import InputError
    from schema.jobs import JOBS, JobState
    from schema.questions.question import ask

    if state is not None and state not in list(JobState):
        raise InputError(f"There is no state {state!r}", next_step=f"choose one of {', '.join(JobState)}")
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
    print_rows(out, Rows(f"{page.total} jobs", COLUMNS, rows))


@job.command("show")
def show(key: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it.")]) -> None:
    """Show one job whole: its prompts, its circuits, and what went wrong."""
    from atlas.local.login import Login
    from schema.jobs import JOBS_BY_ID
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


@job.command("retry")
def retry(key: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it.")]) -> None:
    """Queue a failed job again; its attempts are counted anew."""
    from atlas.local.login import Login
    from schema.jobs import retry as queue_again

    with Login(Settings.load()).connect() as database:
        queued = queue_again(database, key)
    out.print(f"{key} is queued again." if queued else f"{key} is not failed: nothing changed.", markup=False)
