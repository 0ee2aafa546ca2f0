"""Where features fire in texts, by forward passes that keep nothing else.

1. batch    Neighbouring texts run together, as many as fit into `MEMORY`. A text whose attention patterns
            alone would not fit runs in pieces, each of which reads the keys and values of those before it.
2. encode   A hook on each layer's MLP norm encodes what the transcoder reads, some rows at a time, and keeps
            the active features only. No logits are computed, and no pattern outlives its layer.

The memory needed does not depend on the number of texts.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ingest.engine.errors import ModelError
from ingest.engine.replacement.memory import in_halves
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.passes import MEMORY, batches, pass_bytes
from ingest.engine.replacement.precise import precise
from ingest.engine.replacement.record import Hook, hooks, padded


class TextFirings(NamedTuple):
    """The firings of one text, sorted by layer, position and feature. Special first tokens have none."""

    starts: NDArray[np.int64]
    """(n_layers + 1,) the first firing of each layer; the last entry is the number of firings"""
    position: NDArray[np.int32]
    """(n,) position in the text, counted with the special first token"""
    feature: NDArray[np.int32]
    """(n,) index of the feature in its layer"""
    activation: NDArray[np.float32]
    """(n,)"""

    @property
    def layer(self) -> NDArray[np.int32]:
        """(n,) layer of the feature."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))


def firings(
    model: ReplacementModel, texts: Sequence[Encoded], *, memory: int = MEMORY
) -> Iterator[TextFirings]:
    """The firings of each text, in order. Texts of similar length are fastest beside each other.

    Raises ModelError when a number is not finite, or when the device's memory does not hold one text.
    """
    for batch in batches(model, texts, lambda text: len(text.ids), memory=memory):
        yield from in_halves(
            batch,
            lambda part: _run(model, part, memory),
            model.device,
            lambda text: model.too_long(len(text.ids)),
        )


@torch.inference_mode()
def _run(model: ReplacementModel, texts: Sequence[Encoded], memory: int) -> list[TextFirings]:
    tokens = padded([text.ids for text in texts], model.device)
    longest = tokens.shape[1]
    counts = torch.tensor([len(text.ids) for text in texts], device=model.device)
    first = torch.tensor([text.n_left_out for text in texts], device=model.device)
    at = torch.arange(longest, device=model.device)
    wanted = (at >= first[:, None]) & (at < counts[:, None])
    encoder = _Encoder(model, wanted, memory)
    size = longest
    if len(texts) == 1:
        size = max(1, min(longest, memory // pass_bytes(model, longest, 1)))
    past: Any = None
    with hooks(encoder.hooks()), precise(model.dtype):
        for start in range(0, longest, size):
            encoder.start = start
            given: dict[str, Any] = {"use_cache": size < longest}
            if past is not None:
                given["past_key_values"] = past
            past = model.model.base_model(tokens[:, start : start + size], **given).past_key_values
    return encoder.found()


class _Encoder:
    """Encodes what the transcoders read in the passes of one batch."""

    def __init__(self, model: ReplacementModel, wanted: Tensor, memory: int) -> None:
        """wanted: (n_texts, longest) bool, the positions where features count."""
        self._model, self._wanted, self._memory = model, wanted, memory
        self._found: list[list[NDArray[Any]]] = [[] for _ in range(model.n_layers)]
        self.start = 0
        """The position at which the present pass begins."""

    def hooks(self) -> list[tuple[nn.Module, Hook]]:
        """The modules to hook, each with its hook."""
        layers = self._model.anatomy.layers
        return [(layer.mlp_norm.module, self._hook(number)) for number, layer in enumerate(layers)]

    def _hook(self, number: int) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
            wanted = self._wanted[:, self.start : self.start + output.shape[1]]
            rows = wanted.nonzero()
            norm = self._model.anatomy.layers[number].mlp_norm
            read = self._model.transcoder_input(norm, given[0][wanted], output[wanted])
            if not read.isfinite().all():
                raise ModelError(
                    f"What the MLP of layer {number} reads is not finite in {self._model.dtype}",
                    next_step="use --dtype float32",
                )
            self._encode(number, rows, read)

        return hook

    def _encode(self, number: int, rows: Tensor, read: Tensor) -> None:
        part = self._model.transcoders.layers[number]
        # Activations, a copy while they are made, and the mask of those that are not 0.
        size = max(1, self._memory // (3 * read.element_size() * max(1, part.n_features)))
        for place, some in zip(rows.split(size), read.split(size), strict=True):
            activation = part.activate(some)
            row, index = activation.nonzero(as_tuple=True)
            text, position = place[row].unbind(1)
            ints = torch.stack([text, position + self.start, index]).cpu().numpy().astype(np.int32)
            values = activation[row, index].cpu().numpy().astype(np.float32)
            self._found[number].append(np.concatenate([ints, values.view(np.int32)[None]]))

    def found(self) -> list[TextFirings]:
        """The firings of each text."""
        per_text: list[list[NDArray[Any]]] = [[] for _ in self._wanted]
        for number, pieces in enumerate(self._found):
            joined = np.concatenate(pieces, axis=1) if pieces else np.empty((4, 0), np.int32)
            self._found[number] = []
            # Pieces are in the order of texts, or of positions where there is only one text.
            cuts = np.searchsorted(joined[0], np.arange(len(per_text) + 1))
            for text, mine in enumerate(per_text):
                mine.append(joined[1:, cuts[text] : cuts[text + 1]])
        found = []
        for layers in per_text:
            position, feature, activation = np.concatenate(layers, axis=1)
            starts = np.cumsum([0, *(each.shape[1] for each in layers)])
            found.append(TextFirings(starts, position, feature, activation.view(np.float32)))
        return found
