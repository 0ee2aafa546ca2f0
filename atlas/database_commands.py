"""Commands that look after the database: runs, delete, check, stats, backup and restore."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from atlas.settings import Settings
from schema.errors import InputError, NotFoundError

out = Console(highlight=False)


def runs() -> None:
    """List the runs of `atlas ingest` and `atlas import`, with what became of their inputs."""
    from atlas.database import Login
    from schema.ledger import runs as all_runs

    with Login(Settings.load()).connect() as database:
        found = all_runs(database)
    rows = []
    for run in found:
        state = "ended" if run.ended_at else "stopped, or goes on" if run.started_at else "before the ledger"
        settings = json.loads(run.settings)
        rows.append(
            {
                "run": run.id,
                "started": "" if run.started_at is None else f"{run.started_at:%Y-%m-%d %H:%M}",
                "state": state,
                "circuits": run.n_circuits,
                "there already": run.n_present,
                "refused": run.n_refused,
                "settings": ", ".join(f"{key}={value}" for key, value in settings.items()),
            }
        )
    _print("Runs", rows)


def delete(
    run: Annotated[str | None, typer.Option(help="Delete this run: its circuits and its ledger.")] = None,
    circuit: Annotated[str | None, typer.Option(help="Delete this circuit.")] = None,
    model: Annotated[str | None, typer.Option(help="Delete every circuit of this model.")] = None,
) -> None:
    """Delete circuits and withdraw their share of every aggregate; one of the options is needed.

    One circuit is one transaction: stopped in between, the same command goes on.
    """
    from atlas.database import Login
    from schema.delete import delete_circuit, delete_model, delete_run

    if sum(option is not None for option in (run, circuit, model)) != 1:
        raise InputError("`atlas delete` wants one of --run, --circuit and --model", next_step="give one")
    with Login(Settings.load()).connect() as database:
        if run is not None:
            n = sum(1 for _ in delete_run(database, run))
        elif model is not None:
            n = sum(1 for _ in delete_model(database, model))
        elif circuit is not None and delete_circuit(database, circuit):
            n = 1
        else:
            raise NotFoundError(f"There is no circuit {circuit}", next_step="`atlas query` finds circuits")
    out.print(f"{n} circuits deleted.")


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what follows from the rest: aggregates, orphans, indexes.")
    ] = False,
) -> None:
    """Recompute every aggregate from the detail and name each difference, orphan and missing index.

    Exit code 1 when something is wrong and not mended. Run it while nothing loads.
    """
    from atlas.database import Login
    from schema.check import check as find

    wrong = mended = 0
    with Login(Settings.load()).connect() as database:
        for finding in find(database, repair=repair):
            out.print(finding.sentence(), markup=False, soft_wrap=True)
            wrong += not finding.mended
            mended += finding.mended
    if wrong or mended:
        out.print(f"{wrong} things are wrong, {mended} mended.")
    else:
        out.print("Everything holds together.")
    if wrong:
        raise typer.Exit(1)


def stats(
    as_json: Annotated[
        bool, typer.Option("--json/--table", help="JSON for scripts, or tables to read.")
    ] = False,
) -> None:
    """Count what the database holds, by kind, set, settings and family."""
    from atlas.database import Login
    from schema.stats import stats as count

    with Login(Settings.load()).connect() as database:
        found = count(database)
    if as_json:
        print(json.dumps(found._asdict(), ensure_ascii=False, indent=2))
        return
    _print("Nodes", [{"label": name, "count": n} for name, n in found.nodes.items() if n])
    _print("Relationships", [{"type": name, "count": n} for name, n in found.relationships.items() if n])
    _print("Sets", found.sets)
    _print("Settings", found.settings)
    _print("Families", found.families)


def backup(file: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Write the whole local database to one file; it is stopped meanwhile, and started again."""
    from atlas import admin
    from atlas.server import LocalServer

    admin.backup(LocalServer(Settings.load().home), file)
    out.print(f"{file}: {file.stat().st_size / 1e6:.1f} MB", markup=False, soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(help="What `atlas backup` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Lose what the local database holds now.")
    ] = False,
) -> None:
    """Make the local database what a backup holds; it is stopped meanwhile, and started again."""
    from atlas import admin
    from atlas.server import LocalServer

    admin.restore(LocalServer(Settings.load().home), file, replace=replace)
    out.print("Restored. The next command that connects brings it to this atlas's version.", soft_wrap=True)


def _print(title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    table = Table(title=title, title_justify="left")
    for column in rows[0] if rows else ("nothing",):
        table.add_column(column)
    for row in rows:
        table.add_row(*("" if value is None else escape(str(value)) for value in row.values()))
    out.print(table)
