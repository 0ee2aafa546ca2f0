"""The options of `atlas intervene` that say what is edited and what is held, with --keep and without."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ingest.engine.replacement.model import ReplacementModel

SetEdits = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="LAYER/FEATURE@POSITION=ACTIVATION: give the feature this activation. Every option for edits "
        "may be repeated.",
    ),
]
ScaleEdits = Annotated[
    list[str] | None,
    typer.Option(
        "--scale", help="LAYER/FEATURE@POSITION=FACTOR: multiply the feature's activation by the factor."
    ),
]
AblateEdits = Annotated[
    list[str] | None,
    typer.Option(
        "--ablate",
        help="LAYER/FEATURE@POSITION: set the activation to 0. A position is 5, 2,5, 2-5, 2-, last, all or "
        "new.",
    ),
]
SwapEdits = Annotated[
    list[str] | None,
    typer.Option(
        "--swap", help="LAYER/FEATURE:LAYER/FEATURE@POSITION: let two features exchange their activations."
    ),
]
PlantEdits = Annotated[
    list[str] | None,
    typer.Option(
        "--plant",
        help="LAYER/FEATURE@POSITION[=FACTOR]: give the feature its mean activation in the database, times "
        "the factor.",
    ),
]


class FreezeOption(StrEnum):
    """What is held at its recorded value."""

    nothing = "nothing"
    attention = "attention"
    everything = "everything"


Freezing = Annotated[
    FreezeOption, typer.Option("--freeze", help="What is held at its recorded value while the edits act.")
]
ConstrainedLayers = Annotated[
    str | None,
    typer.Option(
        "--constrained",
        help="Layers whose MLP outputs are held, except for what the edits write, such as 0-3.",
    ),
]
WrittenLayers = Annotated[
    str | None,
    typer.Option("--writes", help="Layers that the edits write to, such as 2-4.", show_default="all"),
]


@dataclass(frozen=True)
class EditOptions:
    """The values of these options."""

    edits: list[str]
    """Kind and edit, such as `ablate 3/17@5`."""
    freeze: str
    """`nothing`, `attention` or `everything`."""
    constrained: str | None
    """Layers whose MLP outputs are held, such as 0-3; None for no layers."""
    writes: str | None
    """Layers that the edits write to; None for all layers."""
    model: Path
    transcoders: Path
    device: str
    """Where the model runs; `auto` is the first GPU, or else the CPU."""
    dtype: str
    """Number format of the weights."""
    first_token: str = "left-out"
    """Treatment of the special first token of a prompt that is no circuit's."""

    def load_model(self) -> "ReplacementModel":
        """The model with its transcoders. Raises EngineError."""
        from ingest.engine.replacement.model import ReplacementModel

        found = ReplacementModel.load(self.model, self.transcoders, device=self.device, dtype=self.dtype)
        return found.putting_first(self.first_token)
