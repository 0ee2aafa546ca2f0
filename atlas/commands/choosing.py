"""The options by which `atlas delete` and `atlas family` choose circuits: exactly one of them is given."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from schema.errors import InputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schema.database import Database
    from schema.loading.runs import RunSummary

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say how many circuits that is. Change nothing.")
]


class ChosenCircuits(NamedTuple):
    """The circuits that an option chooses."""

    ids: list[str]
    """Their ids, ascending."""
    run: str | None
    """Id of the run, when the option is --run."""


class ChoosingOptions(NamedTuple):
    """What was given for each option. The fields declare the options."""

    run: Annotated[
        str | None,
        typer.Option("--run", help="The circuits of this run. Give its id or the beginning of the id."),
    ] = None
    circuit: Annotated[
        str | None, typer.Option("--circuit", help="This circuit. Give its id or the beginning of the id.")
    ] = None
    model: Annotated[
        str | None,
        typer.Option("--model", help="The circuits of this model. Give its id."),
    ] = None
    tag: Annotated[str | None, typer.Option("--tag", help="The circuits whose prompts have this tag.")] = None
    family: Annotated[
        str | None, typer.Option("--family", help="The circuits whose prompts are in this family.")
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="The imported circuits of this source: a tool (such as neuronpedia), a transcoder set, a "
            "source URL or a slug. If a name means several of these, write tool=NAME, set=NAME, url=NAME or "
            "slug=NAME.",
        ),
    ] = None

    def require_one(self, command: str) -> None:
        """Raises InputError unless exactly one option is given."""
        if sum(option is not None for option in self) != 1:
            *names, last = (f"--{name}" for name in self._fields)
            raise InputError(
                f"`atlas {command}` needs exactly one of {', '.join(names)} and {last}",
                next_step="give one of them",
            )

    def find(self, database: "Database") -> ChosenCircuits:
        """The circuits of the option that is given. Raises NotFoundError, InputError."""
        from schema.loading.read import find_circuit
        from schema.loading.runs import runs
        from schema.upkeep.selection import Choice, circuits_of

        if self.circuit is not None:
            return ChosenCircuits([find_circuit(database, self.circuit)], None)
        name, value = next((name, value) for name, value in self._asdict().items() if value is not None)
        run = find_run(runs(database), value).id if name == "run" else None
        return ChosenCircuits(circuits_of(database, Choice(name), run or value), run)


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of `ChoosingOptions`, which it takes as its keyword `given`.

    The new command raises InputError unless exactly one of them is given.
    """

    @wraps(command)
    def run(**named: Any) -> None:
        given = ChoosingOptions(**{name: named.pop(name) for name in ChoosingOptions._fields})
        given.require_one(command.__name__)
        command(given=given, **named)

    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in ChoosingOptions.__annotations__.items()
    ]
    signature = inspect.signature(command)
    parameters = [
        each for own in signature.parameters.values() for each in (options if own.name == "given" else [own])
    ]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def find_run(found: "Sequence[RunSummary]", name: str) -> "RunSummary":
    """The run with this id, or with an id that begins so. Raises NotFoundError."""
    fits = [each for each in found if each.id.startswith(name)] if name else []
    if len(fits) != 1:
        what = f"There is no run {name}" if not fits else f"{len(fits)} runs begin with {name}"
        raise NotFoundError(what, next_step="`atlas runs` lists them")
    return fits[0]
