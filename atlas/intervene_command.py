"""`atlas intervene`: set, scale, ablate or swap features of one prompt, and see what follows."""

import json
import sys
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

out = Console(highlight=False)


class Held(StrEnum):
    """What is held at its recorded value."""

    nothing = "nothing"
    attention = "attention"
    everything = "everything"


def intervene(
    prompt: Annotated[str, typer.Option(help="The text to intervene on.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="LAYER/FEATURE@POSITION=ACTIVATION; may be repeated, as all edits."),
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option(help="LAYER/FEATURE@POSITION=FACTOR on its activation.")
    ] = None,
    ablate: Annotated[
        list[str] | None,
        typer.Option(help="LAYER/FEATURE@POSITION; positions are 5, 2,5, 2-5, 2-, all or new."),
    ] = None,
    swap: Annotated[
        list[str] | None,
        typer.Option(help="LAYER/FEATURE:LAYER/FEATURE@POSITION, which exchange activations."),
    ] = None,
    freeze: Annotated[Held, typer.Option(help="What is held at its recorded value.")] = Held.nothing,
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
    as_json: Annotated[
        bool, typer.Option("--json/--table", help="JSON for scripts, or tables to read.")
    ] = False,
    model: Annotated[
        Path,
        typer.Option(help="Folder of the model, or hf://org/name[@revision].", show_default="bundled"),
    ] = MODEL_DIR,
    transcoders: Annotated[
        Path,
        typer.Option(help="Their folder, or hf://org/name[/folder][@revision].", show_default="bundled"),
    ] = TRANSCODERS_DIR,
) -> None:
    """Set, scale, ablate or swap features in the real model, and show which tokens and features change.

    For example: `atlas intervene --prompt "small big : hot" --ablate 3/17@4 --generate 3`.
    """
    from ingest.engine.hold import Freeze
    from ingest.interventions import InterventionSettings, report

    found = report(
        InterventionSettings(
            prompt=prompt,
            model=model,
            transcoders=transcoders,
            set=set_ or (),
            scale=scale or (),
            ablate=ablate or (),
            swap=swap or (),
            freeze=Freeze(freeze.value),
            constrained=constrained,
            writes=writes,
            tokens=token or (),
            n_tokens=generate,
            top=top,
        )
    )
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
