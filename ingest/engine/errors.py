"""Every error the engine raises on purpose.

EngineError             the root: what was wrong, where, and what to do next
├── ModelError          the model's folder, architecture or output cannot be used
├── PromptError         the prompt is empty, too long, or has tokens the model does not know
├── FormatError         a transcoder file is missing, damaged, or not in the format it says
├── FitError            the transcoders are sound but belong to another model
└── SettingError        an argument is outside its range

The engine knows nothing of the database, so these are not `schema.errors`; whoever calls it translates them.
"""

from collections.abc import Sequence


class EngineError(Exception):
    """The root of the tree. `str(error)` is the whole message, next step included."""

    def __init__(self, what: str, *, next_step: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        super().__init__(what if next_step is None else f"{what}\n  → {next_step}")


class ModelError(EngineError):
    """The model cannot be used: no such folder, an architecture without an adapter, numbers that overflow."""


class PromptError(EngineError):
    """The prompt cannot be attributed: empty, too long, or with tokens that the tokenizer does not know."""


class FormatError(EngineError):
    """A transcoder file is missing, damaged, or does not hold what its format says."""


class FitError(EngineError):
    """Transcoders that do not fit the model: names the layer, the tensor and both shapes."""


class SettingError(EngineError):
    """An argument is outside its range: names the argument, its value and the range."""


def shape(size: Sequence[int]) -> str:
    """A tensor's shape as messages show it, e.g. `2048 × 128`."""
    return " × ".join(str(n) for n in size) or "a single number"
