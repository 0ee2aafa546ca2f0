"""`atlas hypothesis`: register what edits should do, test it once on held-out prompts, list the results."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import (
    AsJson,
    Device,
    Dtype,
    FirstToken,
    err,
    out,
)
from atlas.settings import Settings
from atlas.tables import Rows, print_rows, short
from ingest.progress import progress
from schema.counted import counted

hypothesis = typer.Typer(
    help="Hypotheses about features, registered before their test. Every result is kept.",
    no_args_is_help=True,
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
        Path,
        typer.Option(
            help="Prompts file. Lines of split held-out test the hypothesis; all other lines formed it."
        ),
    ],
    edit: Annotated[
        list[str],
        typer.Option(
            help="An edit, such as 'ablate 3/17@5', 'scale 3/17@all=2' or 'ablate {LABEL}@all'. May be "
            "repeated."
        ),
    ],
    prediction: Annotated[
        Prediction, typer.Option(help="What the edits should do to the logit of the expected token.")
    ] = Prediction.lowers,
    model: Annotated[str, typer.Option(help="Folder of the model, or hf://org/name.")] = "bundled",
    transcoders: Annotated[
        str, typer.Option(help="Folder of the transcoders, or hf://org/name.")
    ] = "bundled",
    first_token: FirstToken = "left-out",
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Register a hypothesis and print its id.

    {LABEL} names a supernode, as for `atlas intervene`. The features that it groups now are registered; later
    changes of the grouping do not matter.
    """
    from atlas.local.login import Login
    from ingest.circuits.convert import transcoders_record
    from ingest.evidence.hypotheses import read_hypothesis
    from ingest.evidence.model_names import load_named
    from ingest.evidence.named_edits import grouped_edits, needs_database, plain_edits
    from schema.evidence.hypotheses import register

    with Login(Settings.load()).connect() as database:
        if any(map(needs_database, edit)):
            set_id = transcoders_record(load_named(model, transcoders, device=device, dtype=dtype)).id
            named = grouped_edits(database, set_id, edit)
            edit = plain_edits(database, set_id, named)
            err.print(f"{'; '.join(named)}: {counted(len(edit), 'edit')}", markup=False, soft_wrap=True)
        made = read_hypothesis(
            question,
            edit,
            prediction.value,
            prompts,
            model=model,
            transcoders=transcoders,
            first_token=first_token,
        )
        out.print(register(database, made))


@hypothesis.command("test")
def run_test(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of the hypothesis.")],
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Test a hypothesis beside random features, and keep the result whatever comes out."""
    from atlas.local.login import Login
    from ingest.evidence.hypotheses import measured_hypothesis, n_runs
    from ingest.evidence.model_names import load_named
    from schema.evidence.hypotheses import keep_test, registered

    with Login(Settings.load()).connect() as database:
        statement = registered(database, id_)
        model = load_named(statement.model, statement.transcoders, device=device, dtype=dtype)
        with progress(err, resumes=False, erase=True) as work:
            runs = work.add("edited prompts", n_runs(statement))
            outcome, tested = measured_hypothesis(model, statement, step=runs.advance)
        keep_test(database, statement, outcome, tested)
    out.print(
        f"{counted(len(tested), 'held-out prompt')}: mean effect {outcome.mean_effect:+.4f}, "
        f"random features {outcome.null_mean:+.4f} ({counted(outcome.draws, 'draw')}), p = {outcome.p:.3g}",
        soft_wrap=True,
    )


@hypothesis.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all hypotheses, corrected for how many were tested (Benjamini and Hochberg, q at most 0.05).

    `random` is the mean effect of random features. A hypothesis that was not tested yet has no numbers.
    """
    from atlas.local.login import Login
    from schema.evidence.hypotheses import HYPOTHESES, corrected_hypotheses
    from schema.questions.question import ask

    with Login(Settings.load()).connect() as database:
        found = corrected_hypotheses(ask(database, HYPOTHESES, timeout_s=60))
    if as_json:
        flat = [each.hypothesis._asdict() | each._asdict() for each in found]
        print(json.dumps([{k: v for k, v in each.items() if k != "hypothesis"} for each in flat], indent=2))
        return
    lines = [
        [
            row.id,
            f"{row.question} ({row.prediction})",
            row.n_prompts,
            *short(row.mean_effect, row.null_mean, each.q),
            each.survived,
        ]
        for each in found
        for row in (each.hypothesis,)
    ]
    print_rows(out, Rows("", COLUMNS, lines))
