"""Transcoders in one canonical form, whatever file format they come from.

A transcoder of layer l reads the MLP's input at layer l and writes to the MLP output of its own layer. A
cross-layer transcoder ("Circuit Tracing", Anthropic 2025, §"Building an interpretable replacement model")
also writes to the MLP outputs of every later layer:

    a_l  = activation(W_enc_l x_l + b_enc_l)
    y_l' = Σ_{l ≤ l'} W_dec_{l→l'} a_l + b_dec_l' + W_skip_l' x_l'

    ReLU       max(z, 0)
    JumpReLU   z · [z > threshold]
    TopK       z for the k largest features of a position, else 0; applied to max(z, 0) unless `signed`

The skip connection ("Transcoders Beat Sparse Autoencoders for Interpretability", Paulo et al. 2025) is not a
node of a graph. As in circuit-tracer, it stays a linear path of the frozen model: effects go from the
transcoder's input straight to the MLP's output, at every position including the special first one. The error
is what features, bias and skip connection together leave of the output.
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
    """(n_features, d_model) W_enc, possibly in 16 bits. Products with it are in the input's number format."""
    encoder_bias: Tensor
    """(n_features,) b_enc"""
    decoder: Tensor
    """(n_features, n_written, d_model) W_dec, for its own layer first and then the later layers. It may have
    16 bits and stay in the file: only rows of active features are read."""
    decoder_bias: Tensor
    """(d_model,) b_dec, added to the reconstruction of this layer's MLP output"""
    threshold: Tensor | None = None
    """(n_features,) thresholds of JumpReLU; None for another activation function"""
    k: int | None = None
    """k of TopK; None for another activation function. With neither threshold nor k it is ReLU."""
    signed: bool = False
    """Whether TopK also keeps negative numbers, as in circuit-tracer."""
    skip: Tensor | None = None
    """(d_model written, d_model read) W_skip; None without a skip connection"""
    decoder_name: str = "the decoder"
    """File and tensor of the decoder, for error messages: its rows are checked when they are read."""

    @property
    def n_features(self) -> int:
        return self.encoder.shape[0]

    @property
    def n_written(self) -> int:
        """Number of layers to which its features write, including its own layer."""
        return self.decoder.shape[1]

    def activate(self, read: Tensor) -> Tensor:
        """Activations (…, n_features) of all features for inputs `read` (…, d_model)."""
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
        """What the transcoder writes to its layer in addition to features: the bias and the skip connection.

        read: (…, d_model), its input. Returns (d_model,), or (…, d_model) with a skip connection.
        """
        if self.skip is None:
            return self.decoder_bias
        return torch.nn.functional.linear(read, self.skip, self.decoder_bias)


class Active(NamedTuple):
    """All active features of a prompt, sorted by layer, position, index."""

    where: Tensor
    """(n, 3) int64: layer, position, index"""
    activation: Tensor
    """(n,) activation of each feature"""

    def rows(self, layer: int) -> slice:
        """The rows of the features of one layer."""
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
    """Name from the set's configuration, else the name of its folder or its hub reference."""
    read_at: str
    """Where features read, by TransformerLens's names: `hook_resid_mid` (the residual stream before the
    norm), `ln2.hook_normalized` (after the norm, before its gain) or `mlp.hook_in` (what the MLP reads)."""
    write_at: str
    """Where features write: `mlp.hook_out` (the output of the MLP) or `hook_mlp_out` (what is added to the
    residual stream). The two differ only when a norm follows the MLP."""
    model_name: str | None = None
    """Name of the model on which the set was trained, from its configuration; None when not given."""
    files: tuple[Path, ...] = ()
    """The files from which the set was read. Their hash is its revision."""

    @classmethod
    def none(cls, n_layers: int, d_model: int, device: torch.device, dtype: torch.dtype) -> "TranscoderSet":
        """A set without features, for a model whose transcoders do not exist yet."""
        dtype = torch.promote_types(dtype, torch.float32)

        def zeros(*size: int) -> Tensor:
            return torch.zeros(*size, device=device, dtype=dtype)

        layers = (
            Transcoder(zeros(0, d_model), zeros(0), zeros(0, 1, d_model), zeros(d_model))
            for _ in range(n_layers)
        )
        return cls(tuple(layers), "no transcoders", "mlp.hook_in", "hook_mlp_out")

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def d_model(self) -> int:
        return self.layers[0].encoder.shape[1]

    @property
    def n_features(self) -> int:
        """Number of features of the widest layer."""
        return max(layer.n_features for layer in self.layers)

    @property
    def kind(self) -> str:
        """`clt` (cross-layer) when any feature writes to a later layer, else `plt` (per layer)."""
        return "clt" if any(layer.n_written > 1 for layer in self.layers) else "plt"

    @property
    def activation(self) -> str:
        """The activation function: `jumprelu`, `topk` or `relu`."""
        if self.layers[0].k is not None:
            return "topk"
        return "relu" if self.layers[0].threshold is None else "jumprelu"

    @property
    def has_skip(self) -> bool:
        """Whether any layer has a skip connection."""
        return any(layer.skip is not None for layer in self.layers)

    def encode(self, read: Tensor, *, n_left_out: int) -> Active:
        """The active features of a prompt.

        read: (n_layers, n_positions, d_model), the input of each layer's transcoder. n_left_out: number
        of positions at the start that are left out, because their activations are artefacts.
        """
        where, values = [], []
        for number, layer in enumerate(self.layers):
            activation = layer.activate(read[number])
            activation[:n_left_out] = 0
            at = activation.nonzero()
            values.append(activation[at[:, 0], at[:, 1]])
            where.append(torch.nn.functional.pad(at, (1, 0), value=number))
        return Active(torch.cat(where), torch.cat(values))

    def encoder_rows(self, layer: int, features: Tensor) -> Tensor:
        """(n, d_model): encoder vectors of the given features of one layer, in at least 32 bits."""
        part = self.layers[layer]
        return part.encoder[features].to(part.encoder_bias.dtype)

    def decoder_rows(self, layer: int, features: Tensor, dtype: torch.dtype) -> Tensor:
        """(n, n_written, d_model): decoder vectors of the given features of one layer.

        Only these rows are read from the file. Raises FormatError when a number in them is not finite.
        """
        decoder = self.layers[layer].decoder
        rows = decoder[features.to(decoder.device)].to(device=features.device, dtype=dtype)
        # The sum is a fast first check. It may overflow although every number is finite.
        if not rows.sum().isfinite() and not rows.isfinite().all():
            bad = features[~rows.isfinite().flatten(1).all(1)][0]
            raise FormatError(
                f"{self.layers[layer].decoder_name} contains a number that is not finite, in feature "
                f"{int(bad)}",
                next_step="download or save the file again",
            )
        return rows

    def decode(self, layer: int, activation: Tensor) -> Tensor:
        """What all features of one layer write, to its own layer first and then to the later ones.

        activation: (n, n_features) of the layer's features. Returns (n, n_written, d_model), without the bias
        and the skip connection. Only rows of active features are read.
        """
        at = activation.nonzero()
        used, feature = torch.unique(at[:, 1], return_inverse=True)
        rows = self.decoder_rows(layer, used, activation.dtype)
        starts = torch.searchsorted(
            at[:, 0].contiguous(), torch.arange(len(activation), device=activation.device)
        )
        values = activation[at[:, 0], at[:, 1]]
        if not len(used):
            return activation.new_zeros(len(activation), *self.layers[layer].decoder.shape[1:])
        return torch.nn.functional.embedding_bag(
            feature, rows.flatten(1), starts, mode="sum", per_sample_weights=values
        ).view(len(activation), *rows.shape[1:])

    def writes(self, active: Active) -> list[tuple[Tensor, Tensor]]:
        """What the active features write, layer by layer.

        For each layer l', returns the rows of `active` that write to it, (m,) int64 ascending, and what they
        add there, (m, d_model), including the factor of the activation.
        """
        rows: list[list[Tensor]] = [[] for _ in self.layers]
        vectors: list[list[Tensor]] = [[] for _ in self.layers]
        device, dtype = active.activation.device, active.activation.dtype
        for number in range(self.n_layers):
            mine = active.rows(number)
            if mine.start == mine.stop:
                continue
            scaled = self.decoder_rows(number, active.where[mine, 2], dtype)
            scaled *= active.activation[mine, None, None]
            here = torch.arange(mine.start, mine.stop, device=device)
            for step in range(scaled.shape[1]):
                rows[number + step].append(here)
                vectors[number + step].append(scaled[:, step])
        none = torch.empty(0, dtype=torch.int64, device=device)
        empty = torch.empty(0, self.d_model, dtype=dtype, device=device)
        return [
            (_joined(rows[number], none), _joined(vectors[number], empty)) for number in range(self.n_layers)
        ]


def _joined(parts: list[Tensor], none: Tensor) -> Tensor:
    """The parts as one tensor, without a copy of a single one; `none` when there are no parts."""
    return parts[0] if len(parts) == 1 else torch.cat(parts or [none])
