"""`atlas family`: put the prompts of circuits into a family."""

from typing import Annotated

import typer

from atlas.commands.choosing import ChoosingOptions, DryRun, choosing
from atlas.commands.options import err, out
from atlas.settings import Settings
from ingest.progress import progress
from schema.counted import counted
from schema.errors import InputError


@choosing
def family(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The new family. It need not exist.", show_default=False),
    ] = None,
    *,
    given: ChoosingOptions,
    none: Annotated[
        bool, typer.Option("--none", help="Take the prompts out of their families. Give no NAME.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Put the prompts of circuits into a family, and keep the aggregates of both families right.

    For example: `atlas family capitals --run 173154`, or `atlas family cities --family capitals` to rename a
    family. Give exactly one of the options that choose circuits.

    A prompt is in one family with all its circuits, so the other circuits of a chosen circuit's prompt move
    as well. Each prompt is moved in one transaction. A command that was stopped continues when it is
    repeated.
    """
    from atlas.local.login import Login
    from schema.annotations.families import prompts_of, set_family

    if none == (name is not None):
        raise InputError("`atlas family` needs either NAME or --none", next_step="give one of them")
    with Login(Settings.load()).connect() as database:
        prompts = prompts_of(database, given.find(database).ids)
        if dry_run:
            out.print(f"{counted(len(prompts), 'prompt')} would be {_where(name)}.", markup=False)
            return
        n_prompts = n_circuits = 0
        with progress(err, erase=True) as work:
            steps = work.add("prompts", len(prompts))
            for moved in set_family(database, prompts, name):
                n_prompts += 1
                n_circuits += moved.n_circuits
                steps.advance()
    stayed = len(prompts) - n_prompts
    out.print(
        f"{counted(n_prompts, 'prompt')} with {counted(n_circuits, 'circuit')} moved, "
        f"{counted(stayed, 'prompt was', 'prompts were')} there already: now all are {_where(name)}.",
        soft_wrap=True,
        markup=False,
    )


def _where(family: str | None) -> str:
    return "in no family" if family is None else f"in the family {family!r}"
