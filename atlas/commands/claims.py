"""`atlas intervene --keep` and `atlas claim`: the ledger of what edits do to circuits."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from atlas.commands.edits import EditOptions
from atlas.commands.options import (
    AsJson,
    Device,
    Dtype,
    err,
    out,
)
from atlas.settings import Settings
from atlas.tables import Rows, print_rows, short
from ingest.progress import progress
from schema.circuit.edit_grammar import parse_edit
from schema.counted import counted
from schema.errors import AtlasError, InputError

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel
    from schema.database import Database
    from schema.evidence.claims import ClaimOutcome, ClaimStatement
    from schema.evidence.statements import MeasuredCircuit

COLUMNS = ["id", "edits", "n", "graphs", "effect", "random", "holds"]
"""Short enough for 80 characters. `graphs`: the predicted change; `random`: the effect of random features."""
SAME = 1e-4
"""Logits by which a claim that is measured again may differ, because another machine adds in another
order."""

claim = typer.Typer(
    no_args_is_help=True,
    help="The ledger: what edits do to circuits, predicted and measured, beside random features.",
)


@dataclass(frozen=True)
class ClaimCircuits:
    """Which circuits `atlas intervene --keep` measures. At least one of the first three is given."""

    circuits: list[str] | None
    """Ids, or the first characters of ids."""
    family: str | None
    prompt: str | None
    """Text of a prompt."""
    limit: int | None
    """At most this many circuits, the first ones by id; None for all."""


def keep_intervention(
    asked: EditOptions, where: ClaimCircuits, *, draws: int, seed: int, as_json: bool
) -> None:
    """Measure edits on circuits, keep them as a claim of the ledger, and print what came out."""
    from atlas.local.login import Login
    from ingest.circuits.convert import transcoders_record
    from ingest.evidence.model_names import model_name, transcoders_name
    from ingest.evidence.named_edits import grouped_edits, plain_edits
    from schema.evidence.claims import ClaimStatement, keep_claim

    if not asked.edits:
        raise InputError(
            "There is nothing to do", next_step="give --ablate, --scale, --set, --swap or --plant"
        )
    if where.circuits is None and where.family is None and where.prompt is None:
        raise InputError("Which circuits?", next_step="give --circuit, --family or --prompt")
    for edit in asked.edits:
        parse_edit(edit)
    model = asked.load_model()
    set_id = transcoders_record(model).id
    with Login(Settings.load()).connect() as database:
        made = ClaimStatement(
            edits=tuple(grouped_edits(database, set_id, asked.edits)),
            transcoders=set_id,
            model_path=model_name(asked.model),
            transcoders_path=transcoders_name(asked.transcoders),
            circuits=_circuit_ids(database, set_id, where),
            family=where.family,
            freeze=asked.freeze,
            constrained=asked.constrained,
            writes=asked.writes,
            draws=draws,
            seed=seed,
        )
        outcome, tested = _measure(database, model, made, plain_edits(database, set_id, made.edits))
        keep_claim(database, made, outcome, tested)
    if as_json:
        rows = [each.record._asdict() | {"circuit": each.circuit} for each in tested]
        print(json.dumps({"id": made.id, **outcome._asdict(), "interventions": rows}, indent=2))
        return
    columns = ["circuit", "prompt", "token", "graphs", "effect", "random"]
    rows_ = [
        [each.circuit, record.prompt, record.token, *short(record.predicted, record.effect, record.null_mean)]
        for each in tested
        for record in (each.record,)
    ]
    print_rows(out, Rows(f"claim {made.id}", columns, rows_))
    out.print("; ".join(made.edits), markup=False, soft_wrap=True)
    out.print(sentence(outcome, len(tested), made.draws), soft_wrap=True)


def _circuit_ids(database: "Database", set_id: str, where: ClaimCircuits) -> tuple[str, ...]:
    """The circuits of one transcoder set that are meant. Raises InputError when there are none."""
    from schema.evidence.claims import CIRCUITS_TO_TEST
    from schema.loading.read import find_circuit
    from schema.questions.question import ask

    circuits = where.circuits and [find_circuit(database, name) for name in where.circuits]
    found = ask(
        database,
        CIRCUITS_TO_TEST,
        timeout_s=60,
        transcoders=set_id,
        circuits=circuits,
        family=where.family,
        prompt=where.prompt,
        limit=where.limit,
    )
    ids = tuple(row.circuit for row in found)
    missing = sorted(set(circuits or ()) - set(ids)) if where.limit is None else []
    if missing or not ids:
        raise InputError(
            f"The circuit {missing[0]} does not fit the other options, or was not made with {set_id}"
            if missing
            else f"The database has no such circuit that was made with {set_id}",
            next_step="`atlas ingest` makes circuits; `circuits` in GraphQL lists them",
        )
    return ids


def sentence(outcome: "ClaimOutcome", n: int, draws: int) -> str:
    """What came of a claim, in words."""
    predicted = "nothing predicted" if outcome.predicted is None else f"predicted {outcome.predicted:+.3f}"
    return (
        f"Mean change of the answer's logit in {counted(n, 'circuit')}: {outcome.effect:+.3f} ({predicted}); "
        f"random features {outcome.null_mean:+.3f} ± {outcome.null_sd:.3f}; p = {outcome.p:.3g} "
        f"({counted(draws, 'draw')})."
    )


def _measure(
    database: "Database", model: "ReplacementModel", made: "ClaimStatement", edits: list[str]
) -> "tuple[ClaimOutcome, list[MeasuredCircuit]]":
    from ingest.evidence.claims import measure

    with progress(err, resumes=False, erase=True) as work:
        circuits = work.add("circuits", len(made.circuits))
        return measure(database, model, made, edits, step=circuits.advance)


@claim.callback()
def about() -> None:
    """The ledger: what edits do to circuits. `atlas intervene --keep` adds to it."""


@claim.command("list")
def list_(
    family: Annotated[
        list[str] | None, typer.Option(help="Only claims about this family. May be repeated.")
    ] = None,
    survived: Annotated[
        bool | None,
        typer.Option(
            "--survived/--failed",
            help="Only claims that survived, or only claims that failed.",
            show_default="both",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many claims, the smallest p first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List claims, corrected for all claims that were measured (Benjamini and Hochberg, q at most 0.05).

    A claim holds when the graphs predict a change (`graphs`), the measured change goes that way (`effect`),
    and random features seldom do as much (`random`). The numbers are mean changes of the answer's logit.
    """
    from atlas.local.login import Login
    from schema.evidence.claims import CLAIMS, corrected_claims
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        (found,) = ask(database, CLAIMS, timeout_s=60, ids=None, families=family, transcoders=None)
    claims = corrected_claims(found, survived)
    shown = claims[:limit]
    if as_json:
        flat = [each.claim._asdict() | each._asdict() for each in shown]
        print(json.dumps([{k: v for k, v in each.items() if k != "claim"} for each in flat], indent=2))
        return
    rows = [
        [
            *(each.claim.id, each.claim.edits, each.claim.n_circuits),
            *short(each.claim.predicted, each.claim.effect, each.claim.null_mean),
            each.survived,
        ]
        for each in shown
    ]
    print_rows(out, Rows(counted(len(claims), "claim"), COLUMNS, rows))


@claim.command("again")
def again(
    id_: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the claim, as `atlas claim list` prints it.")
    ],
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Measure a kept claim again and compare. Exit code 1 when it differs; the kept result is not changed."""
    from atlas.local.login import Login
    from ingest.circuits.convert import transcoders_record
    from ingest.evidence.model_names import load_named
    from schema.evidence.claims import INTERVENTIONS_OF_CLAIM, kept_claim
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        made = kept_claim(database, id_)
        rows = ask(database, INTERVENTIONS_OF_CLAIM, timeout_s=60, keys=[id_])
        model = load_named(made.model_path, made.transcoders_path, device=device, dtype=dtype)
        if (set_id := transcoders_record(model).id) != made.transcoders:
            raise InputError(
                f"The claim was measured with {made.transcoders}; {made.transcoders_path} now holds {set_id}",
                next_step="put back the transcoders that it was measured with",
            )
        outcome, tested = _measure(database, model, made, rows[0].edits)
    stored = {row.circuit: row.effect for row in rows if row.circuit is not None}
    out.print(sentence(outcome, len(tested), made.draws), soft_wrap=True)
    differing = [
        each
        for each in tested
        if abs(each.record.effect - stored.get(str(each.circuit), float("inf"))) > SAME
    ]
    if differing:
        first = differing[0]
        raise AtlasError(
            f"The result differs in {len(differing)} of {counted(len(tested), 'circuit')}, first in "
            f"{first.circuit}: {first.record.effect:+.4f} now, {stored.get(str(first.circuit))} then",
            next_step="compare the versions of torch, and check whether the circuits were loaded again",
        )
    out.print(f"As kept, in {counted(len(tested), 'circuit')}.")
