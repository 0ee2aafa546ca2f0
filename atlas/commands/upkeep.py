"""Commands that look after the database: `runs`, `delete`, `check`, `stats`, `backup` and `restore`."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas.commands.choosing import ChoosingOptions, DryRun, choosing, find_run
from atlas.commands.options import JsonOrTable, err, out
from atlas.settings import Settings
from atlas.tables import Rows, print_rows
from ingest.progress import Steps, progress
from schema.counted import counted
from schema.errors import InputError

if TYPE_CHECKING:
    from schema.loading.runs import RunSummary


FIXES = 10
"""Largest number of commands that `atlas check` proposes."""

SHORT_NAMES = {
    "node_threshold": "node share",
    "edge_threshold": "edge share",
    "max_feature_nodes": "most features",
    "max_edges": "most edges",
}
"""Shorter names of settings, so that a table fits into 80 columns."""


def runs(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Show this run in full. Give its id or the beginning of the id."),
    ] = None,
    as_json: JsonOrTable = False,
) -> None:
    """List the runs of `atlas ingest` and `atlas import`, and what became of their inputs.

    For example: `atlas runs 173154` shows the settings of one run, and which inputs were refused and why.
    `atlas delete --run 173154` deletes it.

    The state of a run is `ended`, `open` (it was stopped or is still running) or `old` (it was loaded by a
    version that did not record runs).
    """
    from atlas.local.login import Login
    from schema.loading.runs import refusals
    from schema.loading.runs import runs as all_runs

    with Login(Settings.load()).connect() as database:
        found = all_runs(database)
        if run is not None:
            one = find_run(found, run)
            refused = [{"input": name, "reason": reason} for name, reason in refusals(database, one.id)]
    if run is not None:
        if as_json:
            _print_json({**_facts(one), "refused": refused})
            return
        facts = _facts(one)
        settings = {
            f"asked: {name}": value for name, value in facts.pop("settings").items() if value or value == 0
        }
        _print(
            "Run",
            [{"what": key.replace("_", " "), "value": value} for key, value in (facts | settings).items()],
        )
        if refused:
            _print("Refused", [each | {"reason": " ".join(each["reason"].split())} for each in refused])
        return
    if as_json:
        _print_json([_facts(each) for each in found])
        return
    rows = [
        {
            "run": each.id,
            "started": "" if each.started_at is None else f"{each.started_at:%Y-%m-%d %H:%M}",
            "state": _state(each),
            "circuits": each.n_circuits,
            "already": each.n_present,
            "refused": each.n_refused,
        }
        for each in found
    ]
    _print("Runs", rows)


def _state(run: "RunSummary") -> str:
    return "ended" if run.ended_at else "open" if run.started_at else "old"


def _facts(run: "RunSummary") -> dict[str, Any]:
    """A run as a JSON object."""
    return {
        **run._asdict(),
        "settings": json.loads(run.settings),
        "started_at": None if run.started_at is None else run.started_at.isoformat(),
        "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
    }


@choosing
def delete(*, given: ChoosingOptions, dry_run: DryRun = False) -> None:
    """Delete circuits and subtract their share from every aggregate.

    For example: `atlas delete --run 173154`, or `atlas delete --source neuronpedia --dry-run`. `atlas runs`
    lists runs, `atlas stats` lists models and families. Give exactly one of the options that choose circuits.

    Each circuit is deleted in one transaction. A command that was stopped continues when it is repeated.
    """
    from atlas.local.login import Login
    from schema.upkeep.delete import NOTHING, delete_circuits, delete_run

    with Login(Settings.load()).connect() as database:
        chosen = given.find(database)
        n = len(chosen.ids)
        if dry_run:
            out.print(f"{counted(n, 'circuit')} would be deleted.")
            return
        err.print(f"{counted(n, 'circuit')} to delete")
        total = NOTHING
        with progress(err, erase=True) as work:
            deleted = work.add("circuits deleted", n)
            for parts in (
                delete_circuits(database, chosen.ids)
                if chosen.run is None
                else delete_run(database, chosen.run)
            ):
                total = total.and_also(parts)
                deleted.advance()
    out.print(
        f"{counted(total.n_circuits, 'circuit')} deleted, with {counted(total.n_prompts, 'prompt')} and "
        f"{counted(total.n_features, 'feature')} of no other circuit.",
        soft_wrap=True,
    )


def check(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Repair what can be computed from the rest: aggregates, orphans and indexes."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each finding.")] = False,
) -> None:
    """Recompute every aggregate from the circuits and report each difference, orphan and missing index.

    For example: `atlas check --repair`. The commands that correct what was found are printed at the end;
    repeat the check after them. Do not run it while circuits are loaded or deleted. The exit code is 1 when
    something is wrong and was not repaired.
    """
    from atlas.local.login import Login
    from schema.upkeep.check import check as find

    wrong = mended = 0
    fixes: dict[str, None] = {}
    with Login(Settings.load()).connect() as database, progress(err, resumes=False, erase=True) as work:
        parts: dict[str, Steps] = {}

        def step(what: str, done: float, total: float | None) -> None:
            if what not in parts:
                parts[what] = work.add(what, total)
            parts[what].total = total
            parts[what].reach(done)

        for finding in find(database, repair=repair, step=step):
            with work.aside():
                if as_json:
                    _print_json(finding._asdict(), indent=None)
                else:
                    out.print(finding.sentence(), markup=False, soft_wrap=True)
            wrong += not finding.mended
            mended += finding.mended
            if not finding.mended:
                fixes[finding.fix] = None
    if as_json:
        pass
    elif wrong or mended:
        out.print(
            f"{counted(wrong, 'thing is', 'things are')} wrong, {counted(mended, 'was', 'were')} repaired."
        )
        for command in islice(fixes, FIXES):
            out.print(f"  → {command}", markup=False, soft_wrap=True)
        if len(fixes) > FIXES:
            out.print(f"  → and {len(fixes) - FIXES} more: `atlas check --json` gives each finding its `fix`")
    else:
        out.print("The database is consistent.")
    if wrong:
        raise typer.Exit(1)


def stats(as_json: JsonOrTable = False) -> None:
    """Count what the database holds, by kind of node, transcoder set, settings and prompt family.

    For example: `atlas stats --json`.
    """
    from atlas.local.login import Login
    from schema.upkeep.stats import stats as count

    with Login(Settings.load()).connect() as database:
        found = count(database)
    if as_json:
        _print_json(found._asdict())
        return
    _print("Nodes", [{"label": name, "count": n} for name, n in found.nodes.items() if n])
    _print("Relationships", [{"type": name, "count": n} for name, n in found.relationships.items() if n])
    _print("Sets", found.sets)
    _print(
        "Settings",
        [{SHORT_NAMES.get(name, name): value for name, value in row.items()} for row in found.settings],
    )
    _print("Families", found.families)


def backup(file: Annotated[Path, typer.Argument(help="The file to write.")]) -> None:
    """Write the whole local database to one file. The database is stopped meanwhile and started again.

    For example: `atlas backup atlas.dump`. `atlas restore atlas.dump` reads the file.
    """
    from atlas.local import admin
    from atlas.local.server import LocalServer

    home = _local_home("backup")
    with err.status("Neo4j is writing its data …"):
        admin.backup(LocalServer(home), file)
    out.print(f"{file}: {file.stat().st_size / 1e6:.1f} MB", markup=False, soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `atlas backup` wrote.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace the present local database. Everything it holds is lost."),
    ] = False,
) -> None:
    """Replace the local database by a backup. The database is stopped meanwhile and started again.

    For example: `atlas restore atlas.dump --replace`. Then `atlas stats` shows what the database holds.
    """
    from atlas.local import admin
    from atlas.local.server import LocalServer

    home = _local_home("restore")
    with err.status("Neo4j is reading the backup …"):
        admin.restore(LocalServer(home), file, replace=replace)
    out.print(
        "Restored. The next command that connects updates the database to this version of the atlas.",
        soft_wrap=True,
    )


def _local_home(command: str) -> Path:
    """The folder of the local database. Raises InputError when NEO4J_URI names another database."""
    atlas = Settings.load()
    if atlas.neo4j_uri is not None:
        raise InputError(
            f"`atlas {command}` is for the local database, but NEO4J_URI names {atlas.neo4j_uri}",
            next_step="unset NEO4J_URI, or use `neo4j-admin database` where that Neo4j runs",
        )
    return atlas.home


def _print(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        out.print(f"{title}: none")
        return
    columns = [name.replace("_", " ") for name in rows[0]]
    print_rows(out, Rows(title, columns, [list(row.values()) for row in rows]))


def _print_json(value: object, indent: int | None = 2) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=indent))
