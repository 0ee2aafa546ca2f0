"""`atlas hypothesis`: register a claim, test it once on held-out prompts, list what survived."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from atlas.commands.options import err, out
from atlas.settings import Settings
from atlas.tables import Rows, print_rows, short
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel

hypothesis = typer.Typer(
    help="Claims about features, registered before their test; every result is kept.", no_args_is_help=True
)


COLUMNS = ["id", "question", "n", "effect", "random", "q", "holds"]


class Prediction(StrEnum):
    """What the edits do to the logit of the expected token."""

    lowers = "lowers"
    raises = "raises"


@hypothesis.command("add")
def add(
    question: Annotated[str, typer.Argument(help="The claim, in words.")],
    prompts: Annotated[
        Path, typer.Option(help="Prompts file: lines of split held-out test it, all others formed it.")
    ],
    edit: Annotated[
        list[str],
        typer.Option(
            help="Such as 'ablate 3/17@5', 'scale 3/17@all=2' or 'ablate {LABEL}@all'; may be repeated."
        ),
    ],
    prediction: Annotated[
        Prediction, typer.Option(help="What the edits do to the expected token's logit.")
    ] = Prediction.lowers,
    model: Annotated[str, typer.Option(help="Folder of the model, or hf://org/name.")] = "bundled",
    transcoders: Annotated[str, typer.Option(help="Their folder, or hf://org/name.")] = "bundled",
) -> None:
    """Register a hypothesis; prints its id.

    {LABEL} is a supernode, as for `atlas intervene`: the features that it groups now are registered, whatever
    it groups later.
    """
    from atlas.local.login import Login
    from ingest.circuits.convert import transcoders_record
    from ingest.evidence.hypotheses import hypothesis as read
    from ingest.evidence.named_edits import grouped_edits, needs_database, plain_edits
    from schema.evidence.hypotheses import register

    with Login(Settings.load()).connect() as database:
        if any(map(needs_database, edit)):
            set_id = transcoders_record(_loaded(model, transcoders)).id
            named = grouped_edits(database, set_id, edit)
            edit = plain_edits(database, set_id, named)
            err.print(f"{'; '.join(named)}: {len(edit)} edits", markup=False, soft_wrap=True)
        made = read(question, edit, prediction.value, prompts, model=model, transcoders=transcoders)
        out.print(register(database, made))


@hypothesis.command("test")
def test(id_: Annotated[str, typer.Argument(metavar="ID", help="Of a hypothesis.")]) -> None:
    """Test a hypothesis beside random features, and keep the result whichever way it falls."""
    from atlas.local.login import Login
    from ingest.evidence.hypotheses import DRAWS, measured
    from schema.evidence.hypotheses import keep, registered

    with Login(Settings.load()).connect() as database:
        claim = registered(database, id_)
        model = _loaded(claim.model, claim.transcoders)
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("draws", total=DRAWS)
            result = measured(model, claim, step=lambda: progress.advance(task))
        keep(database, claim, result)
    out.print(
        f"n = {len(result.interventions)} held-out prompts: mean effect {result.mean_effect:+.4f}, "
        f"random features {result.null_mean:+.4f} ({result.draws} draws), p = {result.p:.3g}",
        soft_wrap=True,
    )


def _loaded(model: str, transcoders: str) -> "ReplacementModel":
    from ingest.engine.replacement.model import ReplacementModel

    return ReplacementModel.load(
        MODEL_DIR if model == "bundled" else Path(model),
        TRANSCODERS_DIR if transcoders == "bundled" else Path(transcoders),
    )


@hypothesis.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="All of each, for scripts.")] = False) -> None:
    """List all hypotheses, corrected for how many were tested (Benjamini-Hochberg, q at most 0.05).

    `random` is the mean effect of random features. A hypothesis not tested yet has no numbers.
    """
    from atlas.local.login import Login
    from schema.evidence.hypotheses import HYPOTHESES, LEVEL
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        rows = ask(database, HYPOTHESES, timeout_s=60, level=LEVEL)
    if as_json:
        print(json.dumps([row._asdict() for row in rows], indent=2))
        return
    lines = [
        [
            row.id,
            f"{row.question} ({row.prediction})",
            row.n_prompts,
            *short(row.mean_effect, row.null_mean, row.q),
            row.survived,
        ]
        for row in rows
    ]
    print_rows(out, Rows("", COLUMNS, lines))
