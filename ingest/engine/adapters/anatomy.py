"""The parts of a decoder-only transformer, as linear maps once their nonlinear factors are frozen.

When attention patterns and norm scales are held, every path between two points of the residual stream is
linear:

    norm       x  →  w · scale · (x − mean x)      the mean only for LayerNorm; biases cancel in differences
    attention  x  →  Σ_h W_O^h A^h W_V^h x         A^h: the pattern that the prompt produced

An adapter fills in these parts from a Hugging Face model. Weights are views of the model's own parameters,
except that 16-bit weights are copied to float32. Sums are taken in float32, or in float64 for a float64
model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn


def wide(weight: Tensor) -> Tensor:
    """The tensor, detached from gradients, and in float32 if it has 16 bits."""
    weight = weight.detach()
    return weight.float() if weight.dtype.itemsize < 4 else weight


@dataclass(frozen=True, eq=False)
class Norm:
    """RMSNorm or LayerNorm."""

    module: nn.Module
    weight: Tensor
    """(d_model,) the gain, as the factor that is multiplied"""
    epsilon: float
    centred: bool = False
    """Whether the mean is subtracted first (LayerNorm)."""

    def centre(self, x: Tensor) -> Tensor:
        """The input (…, d_model) minus its mean if this norm subtracts it. This map is its own transpose."""
        return x - x.mean(-1, keepdim=True) if self.centred else x

    def scale(self, before: Tensor) -> Tensor:
        """(…, 1) one over the root mean square of the input (…, d_model), centred if the norm centres."""
        size = self.centre(wide(before)).pow(2).mean(-1, keepdim=True)
        return torch.rsqrt(size + self.epsilon)

    def forward(self, change: Tensor, scale: Tensor) -> Tensor:
        """The change of the output for a change of the input, with the scale (…, 1) frozen."""
        return self.centre(change) * (scale * self.weight)

    def backward(self, gradient: Tensor, scale: Tensor) -> Tensor:
        """The gradient at the input, from the gradient at the output: the transpose of `forward`."""
        return self.centre(gradient * (scale * self.weight))


@dataclass(frozen=True, eq=False)
class FrozenAttention:
    """The linear part of an attention layer, which remains when its pattern is frozen."""

    module: nn.Module
    """The attention module. It returns (output, pattern (batch, n_heads, query, key), …)."""
    mix: nn.Module
    """The output projection. The last dimension of its input holds the results of the heads, one head after
    the other."""
    value: Tensor
    """(n_groups, d_head, d_model) W_V. With grouped queries, a group serves n_heads / n_groups consecutive
    heads."""
    output: Tensor
    """(n_heads, d_model, d_head) W_O, times the gain of a norm after attention"""
    own_output: Tensor | None = None
    """W_O without that gain; None when no norm follows attention."""

    def forward(self, change: Tensor, pattern: Tensor) -> Tensor:
        """The change (n_positions, d_model) of the module's output for a change of its input.

        The output is meant before a norm after attention. change: (n_positions, d_model). pattern:
        (n_heads, query, key) after the softmax.
        """
        output = self.output if self.own_output is None else self.own_output
        values = torch.einsum("kd,gvd->gkv", change, self.value)
        values = values.repeat_interleave(self.output.shape[0] // self.value.shape[0], dim=0)
        return torch.einsum("hqk,hkv,hdv->qd", pattern, values, output)

    def forward_many(self, change: Tensor, pattern: Tensor) -> Tensor:
        """The changes of the output for many changes of the input, after a norm after attention.

        change: (n_positions, n_rows, d_model). pattern: (n_heads, query, key), as it was recorded. The result
        has the shape of change.
        """
        n_positions, n_rows, d_model = change.shape
        n_heads, _, d_head = self.output.shape
        n_groups = self.value.shape[0]
        read = torch.mm(change.reshape(-1, d_model), self.value.reshape(-1, d_model).T)
        # (n_groups, n_positions, n_rows · d_head); a group serves several heads.
        read = read.view(n_positions, n_rows, n_groups, d_head).permute(2, 0, 1, 3)
        read = read.reshape(n_groups, 1, n_positions, -1).expand(-1, n_heads // n_groups, -1, -1)
        mixed = torch.bmm(pattern, read.reshape(n_heads, n_positions, -1))
        mixed = mixed.view(n_heads, n_positions, n_rows, d_head).permute(1, 2, 0, 3)
        output = self.output.transpose(1, 2).reshape(-1, d_model)
        return torch.mm(mixed.reshape(-1, n_heads * d_head), output).view(n_positions, n_rows, d_model)

    def backward(self, gradient: Tensor, parts: Sequence[tuple[slice, Tensor]]) -> Tensor:
        """The gradients at the input, from those at the output: the transpose of `forward` for many rows.

        gradient: (n_positions, n_rows, d_model). parts: the rows of each prompt, in order, and its pattern
        (n_heads, query, key). The result has the shape of gradient.
        """
        n_positions, n_rows, d_model = gradient.shape
        n_heads, _, d_head = self.output.shape
        mixed = self._mixed_backward(gradient)
        found = []
        for rows, pattern in parts:
            mine = mixed[:, :, rows].reshape(n_heads, n_positions, -1)
            found.append(torch.bmm(pattern.transpose(1, 2), mine).view(n_heads, n_positions, -1, d_head))
        held = found[0] if len(found) == 1 else torch.cat(found, dim=2)
        return self._values_backward(held.view(n_heads, -1, d_head)).view(n_positions, n_rows, d_model)

    def backward_from(self, gradient: Tensor, pattern: Tensor) -> Tensor:
        """The result of `backward` for gradients at one position each, which is far cheaper.

        gradient: (n_rows, d_model). pattern: (n_rows, n_heads, key), the attention paid from the position of
        each row. Returns (key, n_rows, d_model).
        """
        n_heads, _, d_head = self.output.shape
        n_groups = self.value.shape[0]
        mixed = torch.matmul(gradient[None], self.output).view(n_groups, -1, d_head)
        read = torch.bmm(mixed, self.value).view(n_heads, len(gradient), -1)
        return torch.bmm(pattern.transpose(1, 2), read.transpose(0, 1)).transpose(0, 1)

    def values(self, x: Tensor) -> Tensor:
        """(n_heads, n_positions, d_head): the values W_V^h x of each head for x (n_positions, d_model)."""
        values = torch.einsum("kd,gvd->gkv", x, self.value)
        return values.repeat_interleave(self.output.shape[0] // self.value.shape[0], dim=0)

    def effects(self, gradient: Tensor, pattern: Tensor, values: Tensor) -> Tensor:
        """(n_positions, n_rows): effects of each position's values on gradients at the output.

        This is `backward` times the input at each position, with one product less. gradient:
        (n_positions, n_rows, d_model). pattern: (n_heads, query, key). values: of the method `values`.
        """
        n_positions, n_rows, _ = gradient.shape
        n_heads, _, d_head = self.output.shape
        mixed = self._mixed_backward(gradient).reshape(n_heads, n_positions, -1)
        held = torch.bmm(pattern.transpose(1, 2), mixed).view(n_heads, n_positions, n_rows, d_head)
        return held.mul_(values[:, :, None]).sum((0, 3))

    def effects_from(self, gradient: Tensor, pattern: Tensor, values: Tensor) -> Tensor:
        """The result of `effects` for gradients at one position each.

        gradient: (n_rows, d_model). pattern: (n_heads, n_rows, key). Returns (key, n_rows).
        """
        mixed = torch.matmul(gradient[None], self.output)
        return (torch.bmm(mixed, values.transpose(1, 2)) * pattern).sum(0).T

    def _mixed_backward(self, gradient: Tensor) -> Tensor:
        """(n_heads, n_positions, n_rows, d_head): gradients at the results of the heads.

        gradient: (n_positions, n_rows, d_model) at the output. One product with all heads is faster than one
        with each.
        """
        n_positions, n_rows, d_model = gradient.shape
        n_heads, _, d_head = self.output.shape
        mixed = torch.mm(gradient.reshape(-1, d_model), self.output.transpose(0, 1).reshape(d_model, -1))
        return mixed.view(n_positions, n_rows, n_heads, d_head).permute(2, 0, 1, 3)

    def _values_backward(self, mixed: Tensor) -> Tensor:
        """(n, d_model): gradients at the input, from those (n_heads, n, d_head) at the heads' values."""
        n_groups = self.value.shape[0]
        if n_groups != len(mixed):
            mixed = mixed.view(n_groups, len(mixed) // n_groups, *mixed.shape[1:]).sum(1)
        result = torch.mm(mixed[0], self.value[0])
        for group in range(1, n_groups):
            result.addmm_(mixed[group], self.value[group])
        return result


class HeldAttention(NamedTuple):
    """The frozen factors of one layer's attention on one prompt, up to the last position that matters."""

    pattern: Tensor
    """(n_heads, query, key) attention pattern"""
    scale: Tensor
    """(n_positions, 1) scale of the norm before attention"""


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer: y = x + attention(norm x), then y + mlp(norm y)."""

    attention_norm: Norm
    attention: FrozenAttention
    mlp_norm: Norm
    mlp: nn.Module
    """The module whose output is added to the residual stream: the MLP, or the norm after it."""
    mlp_post: bool = False
    """Whether `mlp` is a norm after the MLP."""
    attention_post: Norm | None = None
    """An RMSNorm of the attention's output; None when there is none. Once frozen it is a part of attention:
    its gain is in `FrozenAttention.output`, and its scale, one number per position, is in the recorded
    pattern."""
    parallel: bool = False
    """Whether the MLP reads the same residual stream as attention, without the attention's output."""

    def attention_backward(self, gradient: Tensor, parts: Sequence[tuple[slice, HeldAttention]]) -> Tensor:
        """Gradients before the attention norm, through attention, from gradients after attention.

        gradient: (n_positions, n_rows, d_model). parts: the rows of each prompt, in order, and its frozen
        factors. The result has the shape of gradient.
        """
        through = self.attention.backward(gradient, [(rows, held.pattern) for rows, held in parts])
        return self.attention_norm.backward(through, _spread(parts))

    def attention_backward_from(
        self, gradient: Tensor, position: Tensor, parts: Sequence[tuple[slice, HeldAttention]]
    ) -> Tensor:
        """The result of `attention_backward` for gradients at one position each.

        gradient: (n_rows, d_model). position: (n_rows,) int64. Returns (n_positions, n_rows, d_model).
        """
        pattern = torch.cat([held.pattern[:, position[rows]].transpose(0, 1) for rows, held in parts])
        through = self.attention.backward_from(gradient, pattern)
        return self.attention_norm.backward(through, _spread(parts))

    def attention_effects(self, gradient: Tensor, held: HeldAttention, x: Tensor) -> Tensor:
        """(n_positions, n_rows): effects, through attention, of vectors x before it on gradients after it.

        gradient: (n_positions, n_rows, d_model). x: (n_positions, d_model).
        """
        values = self.attention.values(self.attention_norm.forward(x, held.scale))
        return self.attention.effects(gradient, held.pattern, values)

    def attention_effects_from(
        self, gradient: Tensor, position: Tensor, held: HeldAttention, x: Tensor
    ) -> Tensor:
        """The result of `attention_effects` for gradients at one position each.

        gradient: (n_rows, d_model). position: (n_rows,) int64. x: (n_positions, d_model).
        """
        values = self.attention.values(self.attention_norm.forward(x, held.scale))
        return self.attention.effects_from(gradient, held.pattern[:, position], values)


def _spread(parts: Sequence[tuple[slice, HeldAttention]]) -> Tensor:
    """(n_positions, n_rows, 1): the norm scale of every row. With one prompt, n_rows is 1."""
    if len(parts) == 1:
        return parts[0][1].scale[:, None]
    return torch.cat(
        [held.scale[:, None].expand(-1, rows.stop - rows.start, -1) for rows, held in parts], dim=1
    )


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of one model."""

    embedding: nn.Module
    """The module whose output is the first value of the residual stream."""
    layers: tuple[Layer, ...]
    final_norm: Norm
    unembedding: Tensor
    """(vocab_size, d_model)"""
    context: int
    """The largest number of tokens in a prompt."""
    logit_cap: float | None = None
    """c of a model whose logits are c · tanh(x / c); None for other models."""

    def logits(self, final: Tensor) -> Tensor:
        """Logits (…, vocab_size), in at least 32 bits, from outputs of the last norm (…, d_model)."""
        found = torch.nn.functional.linear(final, self.unembedding)
        if self.logit_cap is not None:
            found = torch.tanh(found / self.logit_cap) * self.logit_cap
        return wide(found)

    def logit_directions(self, ids: Tensor) -> Tensor:
        """(n, d_model): directions of logits at the last norm's output, minus the mean over the vocabulary.

        ids: (n,) int64 vocabulary ids. The result has at least 32 bits, even when the unembedding has 16.
        """
        rows = wide(self.unembedding[ids])
        return rows - self._mean_unembedding

    @cached_property
    def _mean_unembedding(self) -> Tensor:
        return self.unembedding.mean(0, dtype=torch.promote_types(self.unembedding.dtype, torch.float32))
