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
    """`checked_answer` with the prompt as the circuit has it, for edits of features.

    The first token, and how many positions are left out, are those of the circuit, whatever the model would
    put first now. Only of a graph of a file, which does not say what it left out, the model decides.
    """
    ids, aim = checked_answer(model, row)
    n_left_out = row.n_left_out
    if n_left_out is None:
        known = row.special_first_token is not None
        n_left_out = int(bool(row.special_first_token)) if known else model.encode(ids).n_left_out
    return Encoded(tuple(ids), model.decode_all(ids), n_left_out), aim
