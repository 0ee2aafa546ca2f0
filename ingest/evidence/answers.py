"""The answer of a stored circuit, checked against the model that is to measure it."""

from typing import Protocol

from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.evidence.effects import Aim
from schema.errors import InputError
from schema.evidence.interventions import MeasurableRow


class AnsweredCircuit(Protocol):
    """A circuit as far as its prompt and its answer go."""

    @property
    def key(self) -> str: ...
    @property
    def token_ids(self) -> list[int] | None: ...
    @property
    def target_position(self) -> int: ...
    @property
    def token_id(self) -> int | None: ...


def checked_answer(model: ReplacementModel, row: AnsweredCircuit) -> tuple[list[int], Aim]:
    """The circuit's token ids, and the answer that it explains.

    Raises InputError for a circuit whose answer is not one token, and for token ids that the model lacks.
    """
    if row.token_id is None or row.token_ids is None:
        raise InputError(
            f"Circuit {row.key} has no answer that is one token, or no token ids",
            next_step="measure circuits that `atlas ingest` made with the default target",
        )
    if max([*row.token_ids, row.token_id]) >= model.vocab_size:
        raise InputError(
            f"Circuit {row.key} has token ids that the model does not have",
            next_step="name the model that it was made with (--model)",
        )
    return row.token_ids, Aim(row.token_id, row.target_position)


def encoded_answer(model: ReplacementModel, row: MeasurableRow) -> tuple[Encoded, Aim]:
    """`checked_answer` with the prompt as the model encodes it, for edits of features.

    Raises InputError too when the circuit treats the first token otherwise than the model does now;
    PromptError.
    """
    ids, aim = checked_answer(model, row)
    encoded = model.encode(ids)
    n_left_out = int(bool(row.special_first_token)) if row.n_left_out is None else row.n_left_out
    if list(encoded.ids) != ids or encoded.n_left_out != n_left_out:
        raise InputError(
            f"Circuit {row.key} treats the first token otherwise than interventions do",
            next_step="ingest its prompt again, with --first-token left-out",
        )
    return encoded, aim
