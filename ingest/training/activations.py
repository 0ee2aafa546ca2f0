"""Inputs and outputs of every MLP on contexts, in files on disk.

    inputs.bin     bfloat16 (layer, token, d_model), what the MLPs read after the norm
    outputs.bin    bfloat16 (layer, token, d_model), what they add to the residual stream
    done           the number of contexts that are complete in both files

Bfloat16 has the range of float32: outputs beyond 65 504, the largest number of float16, exist. The files are
mapped into memory, so the machine's memory holds only the pages in use. Work that was stopped continues after
the last complete batch of contexts.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ingest.engine.errors import ModelError
from ingest.engine.replacement.memory import say_smaller
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.precise import precise
from ingest.engine.replacement.record import Hook, hooks
from ingest.training.scale import TokenActivations
from ingest.training.texts import positions_counted
from schema.atomic_file import atomic_write

TOGETHER = 16
"""Contexts in one forward pass."""
BYTES = 2 * 2
"""Bytes of one number of an input and of an output."""


@contextmanager
def recorded(model: ReplacementModel) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Record what each MLP reads after its norm, and what is added to the residual stream.

    Yields two lists with an entry (row, position, d_model) for each layer, filled by each forward pass.
    """
    empty = torch.empty(0)
    inputs, outputs = [empty] * model.n_layers, [empty] * model.n_layers

    def keep(into: list[Tensor], number: int) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            into[number] = output[0] if isinstance(output, tuple) else output

        return hook

    pairs: list[tuple[nn.Module, Hook]] = []
    for number, layer in enumerate(model.anatomy.layers):
        pairs += [(layer.mlp_norm.module, keep(inputs, number)), (layer.mlp, keep(outputs, number))]
    with hooks(pairs):
        yield inputs, outputs


def check_finite(model: ReplacementModel, layer: int, values: Tensor) -> None:
    """Raise ModelError when a number that the MLP of a layer reads or writes is not finite."""
    if not values.isfinite().all():
        raise ModelError(
            f"The MLP of layer {layer} gives a number that is not finite in {model.dtype}",
            next_step="use --dtype float32",
        )


class Activations:
    """The activations of some contexts, on disk."""

    def __init__(self, folder: Path, model: ReplacementModel, texts: Sequence[Encoded]) -> None:
        """Open the files in a folder, or make them. `fill` computes what is missing."""
        self.folder, self._model, self._texts = folder, model, texts
        self._counted = [positions_counted(model, encoded) for encoded in texts]
        self.n_tokens = sum(map(sum, self._counted))
        folder.mkdir(parents=True, exist_ok=True)
        shape = (model.n_layers, self.n_tokens, model.d_model)
        self._inputs, self._outputs = (
            np.memmap(path, np.int16, "r+" if path.exists() else "w+", shape=shape)
            for path in (folder / "inputs.bin", folder / "outputs.bin")
        )

    @property
    def n_done(self) -> int:
        """Contexts that are complete."""
        path = self.folder / "done"
        return int(path.read_text(encoding="ascii")) if path.exists() else 0

    @torch.inference_mode()
    def fill(self, advance: Callable[[int], object] = lambda n: None) -> None:
        """Run the model on the contexts that are not complete.

        advance: called with the number of tokens after each batch, and at once with those that were there.
        Raises ModelError when an activation is not finite.
        """
        done = self.n_done
        before = sum(map(sum, self._counted[:done]))
        advance(before)
        with recorded(self._model) as (inputs, outputs):
            together = TOGETHER
            while done < len(self._texts):
                part = range(done, min(done + together, len(self._texts)))
                longest = max(len(self._texts[i].ids) for i in part)
                rows = [[*self._texts[i].ids, *[0] * (longest - len(self._texts[i].ids))] for i in part]
                wanted = torch.tensor(
                    [[*self._counted[i], *[False] * (longest - len(self._counted[i]))] for i in part],
                    device=self._model.device,
                )
                try:
                    with precise(self._model.dtype):
                        self._model.model.base_model(
                            input_ids=torch.tensor(rows, device=self._model.device), use_cache=False
                        )
                except torch.OutOfMemoryError as error:
                    if len(part) == 1:
                        raise self._model.too_long(longest) from error
                    together = len(part) // 2
                    say_smaller(self._model.device, len(part), together)
                    continue
                n = int(wanted.sum())
                for number in range(self._model.n_layers):
                    for file, seen in ((self._inputs, inputs), (self._outputs, outputs)):
                        kept = seen[number][wanted].bfloat16()
                        check_finite(self._model, number, kept)
                        file[number, before : before + n] = kept.cpu().view(torch.int16).numpy()
                before += n
                self._inputs.flush()
                self._outputs.flush()
                with atomic_write(self.folder / "done") as path:
                    path.write_text(str(part.stop), encoding="ascii")
                advance(n)
                done = part.stop

    def take(self, layers: range, tokens: Tensor, device: torch.device) -> TokenActivations:
        """The activations of some layers on some tokens, in float32. tokens: (n,) int64."""
        at = tokens.numpy()
        x, y = (
            torch.from_numpy(np.stack([file[number, at] for number in layers]))
            .view(torch.bfloat16)
            .to(device)
            .float()
            for file in (self._inputs, self._outputs)
        )
        return TokenActivations(x, y, torch.ones(len(tokens), device=device))
