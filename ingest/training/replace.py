"""The model with its MLPs replaced by transcoders, which read the stream that they change themselves."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.record import Hook, hooks

Instead = Callable[[int, Tensor], Tensor]
"""Function of a layer and the input of its transcoder (n_tokens, d_model): what is written in place of the
MLP, (n_tokens, d_model)."""


@contextmanager
def replaced(
    model: ReplacementModel,
    layers: Collection[int],
    instead: Instead,
    wanted: Tensor,
    *,
    asked: int | None = None,
) -> Iterator[None]:
    """Replace what MLPs write in the `with` block, at the wanted positions.

    Other positions keep the output of the MLP: transcoders are not trained on the special first token.
    `instead` is called for each layer up to the last one in `layers`, in order, so that it can collect what
    features write to later layers. wanted: (row, position) bool, of the next forward pass. asked: the number
    of layers for which `instead` is called, when it should be called for more.
    """
    asked = 1 + max(layers, default=-1) if asked is None else asked
    read: list[Tensor] = []

    def reader(number: int) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            read[:] = [transcoder_input(model, number, given[0], output)[wanted]]

        return hook

    def writer(number: int) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
            written = instead(number, read[0])
            if number not in layers:
                return None
            plain = output[0] if isinstance(output, tuple) else output
            changed = plain.clone()
            changed[wanted] = written.to(plain.dtype)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return hook

    pairs: list[tuple[nn.Module, Hook]] = []
    for number, layer in enumerate(model.anatomy.layers[:asked]):
        pairs += [(layer.mlp_norm.module, reader(number)), (layer.mlp, writer(number))]
    with hooks(pairs):
        yield


def transcoder_input(model: ReplacementModel, number: int, before: Tensor, after: Tensor) -> Tensor:
    """What a layer's transcoder reads, from the input and the output of the norm before the MLP."""
    norm = model.anatomy.layers[number].mlp_norm
    match model.transcoders.read_at:
        case "hook_resid_mid":
            return before
        case "ln2.hook_normalized":
            return norm.centre(before) * norm.scale(before).to(before.dtype)
        case _:
            return after


class Reconstruction:
    """What transcoders write in place of MLPs: an `Instead`, and the activations that it saw."""

    def __init__(self, model: ReplacementModel) -> None:
        self._set = model.transcoders
        self._waiting: dict[int, Tensor] = {}
        self.activation = torch.empty(0)
        """(n_tokens, n_features) of the layer that was asked for last"""

    def __call__(self, number: int, read: Tensor) -> Tensor:
        """(n_tokens, d_model): bias, skip connection, and what features of this and earlier layers write."""
        if number == 0:
            self._waiting.clear()
        part = self._set.layers[number]
        read = read.to(part.encoder_bias.dtype)
        self.activation = part.activate(read)
        written = self._set.decode(number, self.activation)
        for step in range(written.shape[1]):
            here = written[:, step]
            earlier = self._waiting.get(number + step)
            self._waiting[number + step] = here if earlier is None else earlier + here
        return self._waiting.pop(number) + part.base(read)
