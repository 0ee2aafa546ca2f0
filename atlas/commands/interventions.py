"""`atlas intervene`: set, scale, ablate, swap or plant features, and show what changes."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from atlas.commands.edits import (
    AblateEdits,
    ConstrainedLayers,
    EditOptions,
    FreezeOption,
    Freezing,
    PlantEdits,
    ScaleEdits,
    SetEdits,
    SwapEdits,
    WrittenLayers,
)
from atlas.commands.options import (
    Device,
    Dtype,
    FirstToken,
    JsonOrTable,
    ModelPath,
    TranscodersPath,
    out,
)
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.circuit.edit_grammar import parse_edit
from schema.counted import counted
from schema.errors import InputError

if TYPE_CHECKING:
    from ingest.evidence.interventions import InterventionReport


def intervene(
    prompt: Annotated[str | None, typer.Option(help="The text to intervene on.")] = None,
    set_: SetEdits = None,
    scale: ScaleEdits = None,
    ablate: AblateEdits = None,
    swap: SwapEdits = None,
    plant: PlantEdits = None,
    freeze: Freezing = FreezeOption.nothing,
    constrained: ConstrainedLayers = None,
    writes: WrittenLayers = None,
    token: Annotated[
        list[str] | None,
        typer.Option(help="Also report this next token, besides the tokens whose probability changed most."),
    ] = None,
    generate: Annotated[int, typer.Option(min=0, help="Number of tokens to generate under the edits.")] = 0,
    top: Annotated[int, typer.Option(min=1, help="Number of next tokens and features to show.")] = 10,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Measure the edits on circuits of the database, beside random features, and keep the "
            "result.",
        ),
    ] = False,
    circuit: Annotated[
        list[str] | None,
        typer.Option(
            help="With --keep: this circuit, by its id or the first characters of it. May be repeated."
        ),
    ] = None,
    family: Annotated[str | None, typer.Option(help="With --keep: the circuits of this family.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --keep: at most this many circuits.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="With --keep: number of draws of random features.")] = 99,
    seed: Annotated[int, typer.Option(min=0, help="With --keep: seed of the draws.")] = 0,
    first_token: FirstToken = "left-out",
    as_json: JsonOrTable = False,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Set, scale, ablate, swap or plant features in the real model, and show what changes.

    {LABEL} in place of a feature stands for all features that supernodes of this label group in the database,
    in one way of grouping; {LABEL|METHOD} names another way. With --keep the edits become a claim of the
    ledger: they are measured on circuits, beside what the graphs predict and beside random features (`atlas
    claim list`). Each circuit keeps the first token that it was made with.

    For example: `atlas intervene --prompt "small big : hot" --ablate 3/17@4 --generate 3`.
    """
    given = {"set": set_, "scale": scale, "ablate": ablate, "swap": swap, "plant": plant}
    edits = [f"{kind} {text}" for kind, texts in given.items() for text in texts or ()]
    asked = EditOptions(
        edits, freeze.value, constrained, writes, model, transcoders, device, dtype, first_token
    )
    if keep:
        from atlas.commands.claims import ClaimCircuits, keep_intervention

        if generate or token:
            raise InputError("--keep takes no --generate and no --token", next_step="leave them out")
        if first_token != "left-out":
            raise InputError(
                "--keep takes no --first-token: each circuit has its own",
                next_step="leave it out, or ingest the prompts with --first-token",
            )
        circuits = ClaimCircuits(circuit, family, prompt, limit)
        keep_intervention(asked, circuits, draws=draws, seed=seed, as_json=as_json)
        return
    for name, value in (("--circuit", circuit), ("--family", family), ("--limit", limit)):
        if value is not None:
            raise InputError(f"{name} is for --keep", next_step="add --keep, or give the text with --prompt")
    if prompt is None:
        raise InputError("There is no text to intervene on", next_step="give it with --prompt")
    show_intervention(asked, prompt, tokens=token or (), n_tokens=generate, top=top, as_json=as_json)


def show_intervention(
    asked: EditOptions, prompt: str, *, tokens: list[str] | tuple[()], n_tokens: int, top: int, as_json: bool
) -> None:
    """Run one prompt under the edits, and print what changes."""
    from ingest.circuits.convert import transcoders_record
    from ingest.engine.intervention.hold import Freeze
    from ingest.evidence.interventions import InterventionSettings, intervention
    from ingest.evidence.named_edits import needs_database, plain_edits

    edits = asked.edits
    for edit in edits:
        parse_edit(edit, generating=n_tokens > 0)
    model = asked.load_model()
    if any(map(needs_database, edits)):
        from atlas.local.login import Login

        with Login(Settings.load()).connect() as database:
            edits = plain_edits(database, transcoders_record(model).id, edits)
    settings = InterventionSettings(
        prompt=prompt,
        edits=edits,
        freeze=Freeze(asked.freeze),
        constrained=asked.constrained,
        writes=asked.writes,
        tokens=tokens,
        n_tokens=n_tokens,
        top=top,
    )
    report = intervention(model, settings)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(report)


def _print(report: "InterventionReport") -> None:
    tokens = Table("next token", "p", "p, edited", "logit", "logit, edited")
    for each in report.next_tokens:
        tokens.add_row(
            repr(each.token),
            f"{each.probability:.4f}",
            f"{each.edited_probability:.4f}",
            f"{each.logit:.3f}",
            f"{each.edited_logit:.3f}",
        )
    features = Table("feature", "position", "activation", "edited", "effect on the answer")
    for one in report.features:
        features.add_row(
            f"{one.layer}/{one.index}",
            f"{one.position} {one.token!r}",
            f"{one.activation:.3f}",
            f"{one.edited_activation:.3f}",
            f"{one.effect:+.3f}",
        )
    out.print(tokens)
    out.print(
        f"{counted(report.n_features_changed, 'feature')} changed; those with the largest effect on "
        f"{report.answer!r}:",
        markup=False,
    )
    out.print(features)
    if report.plain is not None and report.edited is not None:
        out.print(f"plain:  {report.plain.text}", markup=False, soft_wrap=True)
        out.print(f"edited: {report.edited.text}", markup=False, soft_wrap=True)
