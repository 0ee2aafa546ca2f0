"""`atlas intervene --keep` and `atlas claim`: the ledger of what edits do to circuits."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from atlas.commands.options import AsJson, err, out
from atlas.settings import Settings
from atlas.tables import Rows, print_rows, short
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.errors import AtlasError, InputError

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel
    from schema.database import Database
    from schema.evidence.claims import Claim, OnCircuit, Outcome

COLUMNS = ["id", "edits", "n", "graphs", "effect", "random", "holds"]
"""Short enough for 80 characters. `graphs`: what they predict; `random`: what random features do."""
SAME = 1e-4
"""Logits by which a claim measured again may differ: another machine adds in another order."""

claim = typer.Typer(
    no_args_is_help=True,
    help="The ledger: what edits do to circuits, predicted and measured, beside random features.",
)


@dataclass(frozen=True)
class Claimed:
    """What `atlas intervene --keep` was asked for."""

    edits: list[str]
    circuits: list[str] | None
    family: str | None
    prompt: str | None
    limit: int | None
    freeze: str
    constrained: str | None
    writes: str | None
    draws: int
    seed: int
    model: Path
    transcoders: Path


def claim_circuits(asked: Claimed, *, as_json: bool) -> None:
    """Measure and keep a claim, and print it."""
    from atlas.local.login import Login
    from ingest.circuits.convert import transcoders_record
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.evidence.claims import path_name
    from ingest.evidence.named_edits import grouped_edits, plain_edits
    from schema.evidence.claims import CIRCUITS_TO_TEST, Claim, keep_claim
    from schema.loading.read import find_circuit
    from schema.questions.question import ask

    if not asked.edits:
        raise InputError(
            "There is nothing to do", next_step="give --ablate, --scale, --set, --swap or --plant"
        )
    if asked.circuits is None and asked.family is None and asked.prompt is None:
        raise InputError("Which circuits?", next_step="give --circuit, --family or --prompt")
    model = ReplacementModel.load(asked.model, asked.transcoders)
    set_id = transcoders_record(model).id
    with Login(Settings.load()).connect() as database:
        circuits = asked.circuits and [find_circuit(database, name) for name in asked.circuits]
        found = ask(
            database,
            CIRCUITS_TO_TEST,
            timeout_s=60,
            transcoders=set_id,
            circuits=circuits,
            family=asked.family,
            prompt=asked.prompt,
            limit=asked.limit,
        )
        ids = tuple(row.circuit for row in found)
        missing = sorted(set(circuits or ()) - set(ids)) if asked.limit is None else []
        if missing or not ids:
            raise InputError(
                f"The database has no circuit {missing[0]} of what was asked for"
                if missing
                else f"The database has no such circuit that was made with {set_id}",
                next_step="`atlas ingest` makes circuits; `circuits` in GraphQL lists them",
            )
        made = Claim(
            edits=tuple(grouped_edits(database, set_id, asked.edits)),
            transcoders=set_id,
            model_path=path_name(asked.model, MODEL_DIR),
            transcoders_path=path_name(asked.transcoders, TRANSCODERS_DIR),
            circuits=ids,
            family=asked.family,
            freeze=asked.freeze,
            constrained=asked.constrained,
            writes=asked.writes,
            draws=asked.draws,
            seed=asked.seed,
        )
        outcome, tested = _measure(database, model, made, plain_edits(database, set_id, made.edits))
        keep_claim(database, made, outcome, tested)
    if as_json:
        rows = [each.kept._asdict() | {"circuit": each.circuit} for each in tested]
        print(json.dumps({"id": made.id, **outcome._asdict(), "interventions": rows}, indent=2))
        return
    columns = ["circuit", "prompt", "token", "graphs", "effect", "random"]
    rows_ = [
        [each.circuit, kept.prompt, kept.token, *short(kept.predicted, kept.effect, kept.null_mean)]
        for each in tested
        for kept in (each.kept,)
    ]
    print_rows(out, Rows(f"claim {made.id}", columns, rows_))
    out.print("; ".join(made.edits), markup=False, soft_wrap=True)
    out.print(sentence(outcome, len(tested), made.draws), soft_wrap=True)


def sentence(outcome: "Outcome", n: int, draws: int) -> str:
    """What came of a claim, in words."""
    predicted = "nothing predicted" if outcome.predicted is None else f"predicted {outcome.predicted:+.3f}"
    return (
        f"Mean change of the answer's logit in {n} circuits: {outcome.effect:+.3f} ({predicted}); "
        f"random features {outcome.null_mean:+.3f} ± {outcome.null_sd:.3f}; p = {outcome.p:.3g} "
        f"({draws} draws)."
    )


def _measure(
    database: "Database", model: "ReplacementModel", made: "Claim", edits: list[str]
) -> "tuple[Outcome, list[OnCircuit]]":
    from ingest.evidence.claims import measure

    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("circuits", total=len(made.circuits))
        return measure(database, model, made, edits, step=lambda: progress.advance(task))


@claim.callback()
def about() -> None:
    """The ledger: what edits do to circuits. `atlas intervene --keep` adds to it."""


@claim.command("list")
def list_(
    family: Annotated[list[str] | None, typer.Option(help="Only of this family; may be repeated.")] = None,
    survived: Annotated[
        bool | None, typer.Option("--survived/--failed", help="Only those.", show_default="both")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, by p.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List claims, corrected for all that were measured (Benjamini-Hochberg, q at most 0.05).

    A claim holds when the graphs predict a change (`graphs`), it goes that way (`effect`), and random
    features seldom do as much (`random`); numbers are mean changes of the answer's logit.
    """
    from atlas.local.login import Login
    from schema.evidence.claims import CLAIMS, LEVEL
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        (page,) = ask(
            database,
            CLAIMS,
            timeout_s=60,
            ids=None,
            families=family,
            survived=survived,
            level=LEVEL,
            skip=0,
            limit=limit,
        )
    if as_json:
        print(json.dumps([row._asdict() for row in page.rows], indent=2))
        return
    rows = [
        [
            *(row.id, row.edits, row.n_circuits),
            *short(row.predicted, row.effect, row.null_mean),
            row.survived,
        ]
        for row in page.rows
    ]
    print_rows(out, Rows(f"{page.total} claims", COLUMNS, rows))


@claim.command("again")
def again(id_: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it.")]) -> None:
    """Measure a kept claim again, and compare. Exit code 1 when it differs; what is kept stays."""
    from atlas.local.login import Login
    from ingest.circuits.convert import transcoders_record
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.evidence.claims import BUNDLED
    from schema.evidence.claims import INTERVENTIONS_OF_CLAIM, kept_claim
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        made = kept_claim(database, id_)
        rows = ask(database, INTERVENTIONS_OF_CLAIM, timeout_s=60, keys=[id_])
        model = ReplacementModel.load(
            MODEL_DIR if made.model_path == BUNDLED else Path(made.model_path),
            TRANSCODERS_DIR if made.transcoders_path == BUNDLED else Path(made.transcoders_path),
        )
        if (set_id := transcoders_record(model).id) != made.transcoders:
            raise InputError(
                f"The claim was measured with {made.transcoders}; {made.transcoders_path} now holds {set_id}",
                next_step="put the transcoders back that it was measured with",
            )
        outcome, tested = _measure(database, model, made, rows[0].edits)
    stored = {row.circuit: row.effect for row in rows}
    out.print(sentence(outcome, len(tested), made.draws), soft_wrap=True)
    differing = [
        each for each in tested if abs(each.kept.effect - stored.get(each.circuit, float("inf"))) > SAME
    ]
    if differing:
        first = differing[0]
        raise AtlasError(
            f"{len(differing)} of {len(tested)} circuits differ, first {first.circuit}: "
            f"{first.kept.effect:+.4f} now, {stored.get(first.circuit)} then",
            next_step="compare the versions of torch, and whether the circuits were loaded anew",
        )
    out.print(f"As kept, in all {len(tested)} circuits.")
