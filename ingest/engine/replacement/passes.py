"""Forward passes in batches that fit into a bounded memory, and the logits of one token of each prompt."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ingest.engine.replacement.memory import in_halves
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.record import run

MEMORY = 256 << 20
"""Bytes that a forward pass may take besides the model, approximately."""
MOST_ROWS = 64
"""The largest number of prompts in a batch. More prompts are not faster."""

Prompt = TypeVar("Prompt")


def pass_bytes(model: ReplacementModel, longest: int, queries: int) -> int:
    """Bytes that a pass takes for each prompt of `longest` tokens, for so many of its positions."""
    heads = max(len(layer.attention.output) for layer in model.anatomy.layers)
    # Attention holds scores, weights and a copy; an MLP is about four times as wide as the residual stream.
    return queries * (3 * heads * longest + 24 * model.d_model) * max(4, model.dtype.itemsize)


def batches(
    model: ReplacementModel,
    prompts: Sequence[Prompt],
    length: Callable[[Prompt], int],
    *,
    memory: int = MEMORY,
) -> Iterator[list[Prompt]]:
    """Neighbouring prompts that may run together. length: the number of tokens of a prompt."""
    part: list[Prompt] = []
    longest = 0
    for prompt in prompts:
        longest = max(longest, length(prompt))
        full = len(part) == MOST_ROWS or (len(part) + 1) * pass_bytes(model, longest, longest) > memory
        if part and full:
            yield part
            part, longest = [], length(prompt)
        part.append(prompt)
    if part:
        yield part


def next_logits(model: ReplacementModel, prompts: Sequence[tuple[Sequence[int], int]]) -> Iterator[Tensor]:
    """(vocab_size,) logits of the token after one position of each prompt, in order.

    prompts: vocabulary ids and a position, which may count from the end. Raises ModelError for a prompt that
    does not fit into the device's memory alone.
    """

    def together(batch: Sequence[tuple[Sequence[int], int]]) -> list[Tensor]:
        final = run(model.model, [ids for ids, _ in batch], model.device)
        rows = torch.arange(len(batch), device=model.device)
        places = torch.tensor([place % len(ids) for ids, place in batch], device=model.device)
        return list(model.anatomy.logits(final[rows, places]))

    for batch in batches(model, prompts, lambda prompt: len(prompt[0])):
        yield from in_halves(batch, together, model.device, lambda prompt: model.too_long(len(prompt[0])))
