"""`atlas intervene`: set, scale, ablate, swap or plant features, and see what follows."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table

from atlas.commands.options import JsonOrTable, ModelPath, TranscodersPath, out
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.errors import InputError


class FreezeChoice(StrEnum):
    """What is held at its recorded value."""

    nothing = "nothing"
    attention = "attention"
    everything = "everything"


def intervene(
    prompt: Annotated[str | None, typer.Option(help="The text to intervene on.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="LAYER/FEATURE@POSITION=ACTIVATION; may be repeated, as all edits."),
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option(help="LAYER/FEATURE@POSITION=FACTOR on its activation.")
    ] = None,
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="LAYER/FEATURE@POSITION; positions are 5, 2,5, 2-5, 2-, last, all or new."),
    ] = None,
    swap: Annotated[
        list[str] | None,
        typer.Option(help="LAYER/FEATURE:LAYER/FEATURE@POSITION, which exchange activations."),
    ] = None,
    plant: Annotated[
        list[str] | None,
        typer.Option(help="LAYER/FEATURE@POSITION[=FACTOR] gets its mean activation in the database."),
    ] = None,
    freeze: Annotated[
        FreezeChoice, typer.Option(help="What is held at its recorded value.")
    ] = FreezeChoice.nothing,
    constrained: Annotated[
        str | None, typer.Option(help="Layers whose MLPs are held but for the edits, such as 0-3.")
    ] = None,
    writes: Annotated[
        str | None, typer.Option(help="Layers that edits write to, such as 2-4.", show_default="all")
    ] = None,
    token: Annotated[
        list[str] | None, typer.Option(help="A next token to report besides those that moved most.")
    ] = None,
    generate: Annotated[int, typer.Option(min=0, help="Tokens to generate, with the edits.")] = 0,
    top: Annotated[int, typer.Option(min=1, help="How many next tokens and features to show.")] = 10,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Measure circuits of the database instead, beside random features, and keep it."
        ),
    ] = False,
    circuit: Annotated[
        list[str] | None,
        typer.Option(help="With --keep: this circuit, by its id or the beginning; may be repeated."),
    ] = None,
    family: Annotated[str | None, typer.Option(help="With --keep: the circuits of this family.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="With --keep: at most so many circuits.")] = None,
    draws: Annotated[int, typer.Option(min=1, help="With --keep: draws of random features.")] = 99,
    seed: Annotated[int, typer.Option(min=0, help="With --keep: of these.")] = 0,
    as_json: JsonOrTable = False,
    model: ModelPath = MODEL_DIR,
    transcoders: TranscodersPath = TRANSCODERS_DIR,
) -> None:
    """Set, scale, ablate, swap or plant features in the real model, and show what changes.

    A feature may be {LABEL}: all that supernodes of this label group in the database, in one way of grouping;
    {LABEL|METHOD} names another. With --keep the edits become a claim of the ledger: measured on circuits,
    next to what their graphs predict and to random features (`atlas claim list`).

    For example: `atlas intervene --prompt "small big : hot" --ablate 3/17@4 --generate 3`.
    """
    asked = {"set": set_, "scale": scale, "ablate": ablate, "swap": swap, "plant": plant}
    edits = [f"{kind} {text}" for kind, texts in asked.items() for text in texts or ()]
    if keep:
        from atlas.commands.claims import Claimed, claim_circuits

        if generate or token:
            raise InputError("--keep takes no --generate and no --token", next_step="leave them out")
        choice = Claimed(
            *(edits, circuit, family, prompt, limit, freeze.value, constrained, writes, draws, seed),
            *(model, transcoders),
        )
        claim_circuits(choice, as_json=as_json)
        return
    for name, given in (("--circuit", circuit), ("--family", family), ("--limit", limit)):
        if given is not None:
            raise InputError(f"{name} is for --keep", next_step="add --keep, or give the text with --prompt")
    if prompt is None:
        raise InputError("There is no text to intervene on", next_step="give it with --prompt")

    from ingest.circuits.convert import transcoders_record
    from ingest.engine.intervention.hold import Freeze
    from ingest.engine.replacement.model import ReplacementModel
    from ingest.evidence.interventions import InterventionSettings, intervention
    from ingest.evidence.named_edits import needs_database, plain_edits

    loaded = ReplacementModel.load(model, transcoders)
    if any(map(needs_database, edits)):
        from atlas.local.login import Login

        with Login(Settings.load()).connect() as database:
            edits = plain_edits(database, transcoders_record(loaded).id, edits)
    settings = InterventionSettings(
        prompt=prompt,
        edits=edits,
        freeze=Freeze(freeze.value),
        constrained=constrained,
        writes=writes,
        tokens=token or (),
        n_tokens=generate,
        top=top,
    )
    found = intervention(loaded, settings)
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), ensure_ascii=False, indent=2) + "\n")
        return
    tokens = Table("next token", "p", "p, edited", "logit", "logit, edited")
    for each in found.next_tokens:
        tokens.add_row(
            repr(each.token),
            f"{each.probability:.4f}",
            f"{each.edited_probability:.4f}",
            f"{each.logit:.3f}",
            f"{each.edited_logit:.3f}",
        )
    features = Table("feature", "position", "activation", "edited")
    for one in found.features:
        features.add_row(
            f"{one.layer}/{one.index}",
            f"{one.position} {one.token!r}",
            f"{one.activation:.3f}",
            f"{one.edited_activation:.3f}",
        )
    out.print(tokens)
    out.print(f"{found.n_features_changed} features changed; the largest changes:")
    out.print(features)
    if found.plain is not None and found.edited is not None:
        out.print(f"plain:  {found.plain.text}", markup=False, soft_wrap=True)
        out.print(f"edited: {found.edited.text}", markup=False, soft_wrap=True)
