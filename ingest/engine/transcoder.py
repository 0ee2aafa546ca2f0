"""Transcoders in one canonical form, whatever file they came from.

A transcoder of layer l reads the MLP's input at layer l and writes to the MLP outputs of its own layer and,
when it is cross-layer ("Circuit Tracing", Anthropic 2025, §"Building an interpretable replacement model"), of
every later one:

    a_l  = activation(W_enc_l x_l + b_enc_l)                   activation: x · [x > threshold], or max(x, 0)
    y_l' = Σ_{l ≤ l'} W_dec_{l→l'} a_l + b_dec_l'
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Transcoder:
    """The features that read at one layer."""

    encoder: Tensor
    """(n_features, d_model)"""
    encoder_bias: Tensor
    """(n_features,)"""
    decoder: Tensor
    """(n_features, n_written, d_model): to its own layer first, then the later ones. May be 16-bit and lie in
    the file: only rows of active features are read."""
    decoder_bias: Tensor
    """(d_model,) added to the reconstruction of this layer's MLP output"""
    threshold: Tensor | None = None
    """(n_features,) of JumpReLU; None for ReLU"""

    @property
    def n_features(self) -> int:
        return self.encoder.shape[0]

    @property
    def n_written(self) -> int:
        """How many layers its features write to, its own included."""
        return self.decoder.shape[1]

    def activate(self, read: Tensor) -> Tensor:
        """Activations (…, n_features) of the MLP inputs (…, d_model)."""
        before = torch.nn.functional.linear(read, self.encoder, self.encoder_bias)
        if self.threshold is None:
            return before.relu_()
        return before * (before > self.threshold)


class Active(NamedTuple):
    """Every feature that fires on a prompt, sorted by layer, position, index."""

    where: Tensor
    """(n, 3) int64: layer, position, index"""
    activation: Tensor
    """(n,)"""

    def rows(self, layer: int) -> slice:
        """Where the features of one layer stand."""
        layers = self.where[:, 0].contiguous()
        start, stop = torch.searchsorted(
            layers, torch.tensor([layer, layer + 1], device=layers.device)
        ).tolist()
        return slice(start, stop)


@dataclass(frozen=True, eq=False)
class TranscoderSet:
    """The transcoders of all layers of one model."""

    layers: tuple[Transcoder, ...]
    name: str
    """From the set's own configuration, else the folder's name."""
    read_at: str
    """Where features read, by TransformerLens's names: `mlp.hook_in`, `hook_resid_mid` or
    `ln2.hook_normalized`."""
    write_at: str
    """Where features write: `hook_mlp_out` or `mlp.hook_out`."""
    model_name: str | None = None
    """The model it was trained on, as its configuration calls it."""
    files: tuple[Path, ...] = ()
    """What it was read from; its revision is their hash."""

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def d_model(self) -> int:
        return self.layers[0].encoder.shape[1]

    @property
    def n_features(self) -> int:
        """Dictionary width of the widest layer."""
        return max(layer.n_features for layer in self.layers)

    @property
    def kind(self) -> str:
        """`clt` when any feature writes to a later layer, else `plt`."""
        return "clt" if any(layer.n_written > 1 for layer in self.layers) else "plt"

    @property
    def activation(self) -> str:
        """`jumprelu` or `relu`."""
        return "relu" if self.layers[0].threshold is None else "jumprelu"

    def encode(self, read: Tensor, *, skip_first: bool) -> Active:
        """The features that fire.

        read: (n_layers, n_positions, d_model) what the transcoders of each layer see.
        skip_first: leave out position 0 (a special token, whose activations are artefacts).
        """
        where, values = [], []
        for number, layer in enumerate(self.layers):
            activation = layer.activate(read[number])
            if skip_first:
                activation[0] = 0
            at = activation.nonzero()
            values.append(activation[at[:, 0], at[:, 1]])
            where.append(torch.nn.functional.pad(at, (1, 0), value=number))
        return Active(torch.cat(where), torch.cat(values))

    def decoder_rows(self, layer: int, features: Tensor, dtype: torch.dtype) -> Tensor:
        """(n, n_written, d_model): decoder vectors of some features of one layer, only these rows being
        read."""
        decoder = self.layers[layer].decoder
        return decoder[features.to(decoder.device)].to(device=features.device, dtype=dtype)

    def writes(self, active: Active) -> list[tuple[Tensor, Tensor]]:
        """What the active features write, layer by layer.

        For each layer l': the rows of `active` that write to it (m,) and what they add there (m, d_model),
        the activation folded in. Rows are in ascending order.
        """
        rows: list[list[Tensor]] = [[] for _ in self.layers]
        vectors: list[list[Tensor]] = [[] for _ in self.layers]
        device, dtype = active.activation.device, active.activation.dtype
        for number in range(self.n_layers):
            mine = active.rows(number)
            if mine.start == mine.stop:
                continue
            decoder = self.decoder_rows(number, active.where[mine, 2], dtype)
            scaled = decoder * active.activation[mine, None, None]
            here = torch.arange(mine.start, mine.stop, device=device)
            for step in range(scaled.shape[1]):
                rows[number + step].append(here)
                vectors[number + step].append(scaled[:, step])
        none = torch.empty(0, dtype=torch.int64, device=device)
        empty = torch.empty(0, self.d_model, dtype=dtype, device=device)
        return [
            (torch.cat(rows[number] or [none]), torch.cat(vectors[number] or [empty]))
            for number in range(self.n_layers)
        ]
