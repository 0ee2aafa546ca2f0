"""The errors that the engine raises on purpose.

EngineError             the root: what is wrong, where, and what to do next
├── ModelError          the model's folder, architecture or output cannot be used
├── PromptError         the prompt is empty, too long, or has tokens that the model does not know
├── FormatError         a transcoder file is missing, damaged, or not in the format that it declares
├── FitError            the transcoders are sound but do not fit the model
└── SettingError        an argument is outside its range

The engine does not depend on the database, so these errors are separate from `schema.errors`. The caller
translates them.
"""

from collections.abc import Sequence


class EngineError(Exception):
    """The root of the engine's errors. `str(error)` is the whole message, including the next step."""

    def __init__(self, what: str, *, next_step: str | None = None) -> None:
        self.what = what
        self.next_step = next_step
        super().__init__(what if next_step is None else f"{what}\n  → {next_step}")


class ModelError(EngineError):
    """The model cannot be used: missing folder, architecture without an adapter, or numbers that overflow."""


class PromptError(EngineError):
    """The prompt cannot be attributed: it is empty or too long, or the tokenizer does not know a token."""


class FormatError(EngineError):
    """A transcoder file is missing, damaged, or does not contain what its format requires."""


class FitError(EngineError):
    """The transcoders do not fit the model. The message names the layer, the tensor and both shapes."""


class SettingError(EngineError):
    """An argument is outside its range. The message names the argument, its value and the range."""


def shape(size: Sequence[int]) -> str:
    """A tensor's shape as messages show it, e.g. `2048 × 128`."""
    return " × ".join(str(n) for n in size) or "a single number"
