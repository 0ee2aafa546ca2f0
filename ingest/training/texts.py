"""Texts to contexts: token ids of bounded length, each with the special first token of the model."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.replacement.model import Encoded, ReplacementModel
from schema.counted import counted

SHORTEST = 4
"""Tokens of the shortest context that is used, without the special first token."""


def contexts(
    model: ReplacementModel, texts: Iterable[str], length: int, *, most: int | None = None, seed: int = 0
) -> list[Encoded]:
    """Cut texts into contexts of at most `length` tokens, and shuffle the contexts.

    Every context begins with the model's special first token, if the model has one. Text that ends in fewer
    than `SHORTEST` tokens loses them. most: the number of tokens after which no further contexts are taken,
    or None for all.

    Raises PromptError for text that the tokenizer does not know, and SettingError when `length` does not fit
    the model.
    """
    if not SHORTEST < length <= model.anatomy.context:
        raise SettingError(
            f"A context cannot have {counted(length, 'token')}",
            next_step=f"give a number from {SHORTEST + 1} to {model.anatomy.context}",
        )
    pieces: dict[tuple[int, ...], None] = {}
    for text in texts:
        ids = model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        pieces.update(dict.fromkeys(_pieces(ids, length - 1)))
    if not pieces:
        raise PromptError(
            f"The texts have no context of {SHORTEST} tokens or more", next_step="give longer texts"
        )
    shuffled = list(pieces)
    Random(seed).shuffle(shuffled)
    found, total = [], 0
    for piece in shuffled:
        if most is not None and total >= most:
            break
        found.append(model.encode(piece))
        total += len(piece)
    return found


def _pieces(ids: Sequence[int], length: int) -> Iterator[tuple[int, ...]]:
    pieces = (tuple(ids[start : start + length]) for start in range(0, len(ids), length))
    return (piece for piece in pieces if len(piece) >= SHORTEST)


def positions_counted(model: ReplacementModel, encoded: Encoded) -> list[bool]:
    """Which positions of a context count in training and measuring.

    Positions that are left out, because their activations are artefacts, and special tokens do not count.
    """
    special = set(model.tokenizer.all_special_ids)
    first = encoded.n_left_out
    return [place >= first and token not in special for place, token in enumerate(encoded.ids)]
