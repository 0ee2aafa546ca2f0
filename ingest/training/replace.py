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
    asked: Collection[int] | None = None,
) -> Iterator[None]:
    """Replace what MLPs write in the `with` block, at the wanted positions.

    Other positions keep the output of the MLP: transcoders are not trained on the special first token.
    wanted: (row, position) bool, of the next forward pass. asked: the layers for which `instead` is called,
    in order, when these are more than the replaced ones (`Reconstruction.asked`).
    """
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
    for number in sorted(layers if asked is None else asked):
        layer = model.anatomy.layers[number]
        pairs += [(layer.mlp_norm.module, reader(number)), (layer.mlp, writer(number))]
    with hooks(pairs):
        yield


class Reused:
    """What attention and MLPs wrote in one forward pass, for later passes over the same tokens.

    A pass in which only MLPs from some layer on are replaced is equal to the first pass below that layer.
    """

    def __init__(self, model: ReplacementModel) -> None:
        layers = model.anatomy.layers
        self._parts = [module for layer in layers for module in (layer.attention.module, layer.mlp)]
        self._written: list[Any] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep what the forward pass in the `with` block writes."""
        self._written.clear()

        def keep(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            self._written.append(output)

        with hooks([(part, keep) for part in self._parts]):
            yield

    @contextmanager
    def below(self, layer: int) -> Iterator[None]:
        """Do not compute attention and MLPs below a layer in the `with` block, but write what was kept."""

        def write(output: Any) -> Callable[..., Any]:
            return lambda *given, **named: output

        skipped = self._parts[: 2 * layer]
        own = [part.forward for part in skipped]
        try:
            for part, output in zip(skipped, self._written, strict=False):
                part.forward = write(output)
            yield
        finally:
            for part, forward in zip(skipped, own, strict=True):
                part.forward = forward


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

    def asked(self, layers: Collection[int]) -> Collection[int]:
        """The layers whose features write to the given ones."""
        return range(1 + max(layers, default=-1)) if self._set.kind == "clt" else layers

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
