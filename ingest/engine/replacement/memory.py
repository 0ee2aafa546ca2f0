"""Batches that do not fit into a device's memory: smaller ones instead, and a line that says so."""

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeVar

import torch

from ingest.engine.errors import EngineError

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_halves(
    items: Sequence[Item],
    work: Callable[[Sequence[Item]], list[Found]],
    device: torch.device,
    alone: Callable[[Item], EngineError],
) -> list[Found]:
    """What `work` gives for all items together, or for halves of them while they do not fit into memory.

    work: gives one result for each item. alone: the error for an item that does not fit even alone. Raises
    that error.
    """
    found: list[Found] | None = None
    try:
        found = work(items)
    except torch.OutOfMemoryError as error:
        if len(items) == 1:
            raise alone(items[0]) from error
    if found is None:
        # This is outside the handler, because the error keeps alive the tensors that did not fit.
        half = len(items) // 2
        say_smaller(device, len(items), len(items) - half)
        parts = (items[:half], items[half:])
        found = [each for part in parts for each in in_halves(part, work, device, alone)]
    return found


@cache
def say_smaller(device: torch.device, size: int, smaller: int) -> None:
    """Log, once for each size, that a batch did not fit."""
    logging.getLogger(__name__).warning(
        "The memory of %s does not hold a batch of %d; it goes on with %d at a time.", device, size, smaller
    )
