"""Transcoders in one canonical form, whatever file they came from.

A transcoder of layer l reads the MLP's input at layer l and writes to the MLP outputs of its own layer and,
when it is cross-layer ("Circuit Tracing", Anthropic 2025, §"Building an interpretable replacement model"), of
every later one:

    a_l  = activation(W_enc_l x_l + b_enc_l)
    y_l' = Σ_{l ≤ l'} W_dec_{l→l'} a_l + b_dec_l' + W_skip_l' x_l'

    ReLU       max(z, 0)
    JumpReLU   z · [z > threshold]
    TopK       z of the k largest features of a position, else 0; of max(z, 0) unless `signed`

The skip connection ("Transcoders Beat Sparse Autoencoders for Interpretability", Paulo et al. 2025) is no
node of a graph. As in circuit-tracer, it stays a live linear path of the frozen model: effects go from the
transcoder's input straight to the MLP's output, at every position, the special first one included; the
error is what features, bias and skip together leave of the output.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.errors import FormatError


@dataclass(frozen=True, eq=False)
class Transcoder:
    """The features that read at one layer."""

    encoder: Tensor
    """(n_features, d_model), maybe of 16 bits: products with it are in the input's number format"""
    encoder_bias: Tensor
    """(n_features,)"""
    decoder: Tensor
    """(n_features, n_written, d_model): to its own layer first, then the later ones. May be 16-bit and lie in
    the file: only rows of active features are read."""
    decoder_bias: Tensor
    """(d_model,) added to the reconstruction of this layer's MLP output"""
    threshold: Tensor | None = None
    """(n_features,) of JumpReLU"""
    k: int | None = None
    """of TopK; with neither threshold nor k: ReLU"""
    signed: bool = False
    """Whether TopK lets negative numbers pass, as circuit-tracer's does."""
    skip: Tensor | None = None
    """(d_model written, d_model read)"""
    decoder_name: str = "the decoder"
    """File and tensor of the decoder, for errors: its rows are checked when they are read."""

    @property
    def n_features(self) -> int:
        return self.encoder.shape[0]

    @property
    def n_written(self) -> int:
        """How many layers its features write to, its own included."""
        return self.decoder.shape[1]

    def activate(self, read: Tensor) -> Tensor:
        """Activations (…, n_features) of the MLP inputs (…, d_model)."""
        before = torch.nn.functional.linear(read, self.encoder.to(read.dtype), self.encoder_bias)
        if self.threshold is not None:
            return before * (before > self.threshold)
        if not self.signed:
            before = before.relu_()
        if self.k is None:
            return before
        top = before.topk(self.k, dim=-1)
        return torch.zeros_like(before).scatter_(-1, top.indices, top.values)

    def base(self, read: Tensor) -> Tensor:
        """What it writes to its layer besides its features: the bias and the skip connection.

        read: (…, d_model), what it sees. Returns a shape that adds to read's.
        """
        if self.skip is None:
            return self.decoder_bias
        return torch.nn.functional.linear(read, self.skip, self.decoder_bias)


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
    """From the set's own configuration, else the folder's or the hub reference's name."""
    read_at: str
    """Where features read, by TransformerLens's names: `hook_resid_mid` (the residual stream before the
    norm), `ln2.hook_normalized` (after the norm, before its gain) or `mlp.hook_in` (what the MLP reads)."""
    write_at: str
    """Where features write: `mlp.hook_out` (what the MLP writes) or `hook_mlp_out` (what is added to the
    residual stream: the same but for a norm after the MLP)."""
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
        """`jumprelu`, `topk` or `relu`."""
        if self.layers[0].k is not None:
            return "topk"
        return "relu" if self.layers[0].threshold is None else "jumprelu"

    @property
    def has_skip(self) -> bool:
        """Whether any layer has a skip connection."""
        return any(layer.skip is not None for layer in self.layers)

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

    def encoder_rows(self, layer: int, features: Tensor) -> Tensor:
        """(n, d_model): encoder vectors of some features of one layer, at least in float32."""
        part = self.layers[layer]
        return part.encoder[features].to(part.encoder_bias.dtype)

    def decoder_rows(self, layer: int, features: Tensor, dtype: torch.dtype) -> Tensor:
        """(n, n_written, d_model): decoder vectors of some features of one layer, only these rows being
        read. Raises FormatError when one is not finite."""
        decoder = self.layers[layer].decoder
        rows = decoder[features.to(decoder.device)].to(device=features.device, dtype=dtype)
        # The sum is one pass without a mask; it may overflow where no number did.
        if not rows.sum().isfinite() and not rows.isfinite().all():
            bad = features[~rows.isfinite().flatten(1).all(1)][0]
            raise FormatError(
                f"{self.layers[layer].decoder_name} holds a number that is not finite, in feature {int(bad)}",
                next_step="download or save the file again",
            )
        return rows

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
