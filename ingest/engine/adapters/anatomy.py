"""A decoder-only transformer as the engine sees it: what each part does once its nonlinear factors are
frozen.

With attention patterns and norm scales held, every path between two points of the residual stream is linear:

    norm       x  →  w · scale · (x − mean x)      the mean only for LayerNorm; biases cancel in differences
    attention  x  →  Σ_h W_O^h A^h W_V^h x         A^h: the pattern that the prompt produced

An adapter fills these in from a Hugging Face model. Weights are views of the model's own parameters, but
16-bit ones are copied to float32: everything is summed in float32, and in float64 for a float64 model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn


def wide(weight: Tensor) -> Tensor:
    """A tensor without gradient, in float32 if it is of 16 bits."""
    weight = weight.detach()
    return weight.float() if weight.dtype.itemsize < 4 else weight


@dataclass(frozen=True, eq=False)
class Norm:
    """RMSNorm or LayerNorm."""

    module: nn.Module
    weight: Tensor
    """(d_model,) the gain as it is multiplied"""
    epsilon: float
    centred: bool = False
    """Whether the mean is taken away first (LayerNorm)."""

    def centre(self, x: Tensor) -> Tensor:
        """The input (…, d_model) without its mean, if this norm takes it away; its own transpose."""
        return x - x.mean(-1, keepdim=True) if self.centred else x

    def scale(self, before: Tensor) -> Tensor:
        """(…, 1) one over the root mean square of the input (…, d_model), its mean taken away if centred."""
        size = self.centre(wide(before)).pow(2).mean(-1, keepdim=True)
        return torch.rsqrt(size + self.epsilon)

    def forward(self, change: Tensor, scale: Tensor) -> Tensor:
        """The change of the output for a change of the input, the scale (…, 1) being frozen."""
        return self.centre(change) * (scale * self.weight)

    def backward(self, gradient: Tensor, scale: Tensor) -> Tensor:
        """The gradient at the input from that at the output: the transpose of `forward`."""
        return self.centre(gradient * (scale * self.weight))


@dataclass(frozen=True, eq=False)
class Attention:
    """The part of an attention layer that stays when its pattern is frozen."""

    module: nn.Module
    """Returns (output, pattern (batch, n_heads, query, key), …)."""
    mix: nn.Module
    """The projection whose input is what the heads found, one head after the other, at the last dimension"""
    value: Tensor
    """(n_groups, d_head, d_model) W_V; with grouped queries, a group serves n_heads / n_groups heads in a
    row"""
    output: Tensor
    """(n_heads, d_model, d_head) W_O, times the gain of a norm behind it"""
    own_output: Tensor | None = None
    """W_O without that gain, where there is such a norm"""

    def forward(self, change: Tensor, pattern: Tensor) -> Tensor:
        """The change of the module's output, before a norm behind it, for a change of its input.

        change: (n_positions, d_model); pattern: (n_heads, query, key) after the softmax.
        """
        output = self.output if self.own_output is None else self.own_output
        values = torch.einsum("kd,gvd->gkv", change, self.value)
        values = values.repeat_interleave(self.output.shape[0] // self.value.shape[0], dim=0)
        return torch.einsum("hqk,hkv,hdv->qd", pattern, values, output)

    def backward(self, gradient: Tensor, parts: Sequence[tuple[slice, Tensor]]) -> Tensor:
        """The gradient at the input from that at the output: the transpose of `forward` for many rows at
        once.

        gradient: (n_positions, n_rows, d_model); parts: the rows of each prompt, in order, and its pattern
        (n_heads, query, key). Returns the shape of gradient.
        """
        n_positions, n_rows, d_model = gradient.shape
        n_heads, _, d_head = self.output.shape
        mixed = torch.matmul(gradient.reshape(1, -1, d_model), self.output)
        mixed = mixed.view(n_heads, n_positions, n_rows, d_head)
        found = []
        for rows, pattern in parts:
            mine = mixed[:, :, rows].reshape(n_heads, n_positions, -1)
            found.append(torch.bmm(pattern.transpose(1, 2), mine).view(n_heads, n_positions, -1, d_head))
        held = found[0] if len(found) == 1 else torch.cat(found, dim=2)
        return self._values_backward(held.view(n_heads, -1, d_head)).view(n_positions, n_rows, d_model)

    def backward_from(self, gradient: Tensor, pattern: Tensor) -> Tensor:
        """The same for gradients that stand at one position each, which is far cheaper.

        gradient: (n_rows, d_model); pattern: (n_rows, n_heads, key), what the position of each row looks at.
        Returns (key, n_rows, d_model).
        """
        n_heads, _, d_head = self.output.shape
        n_groups = self.value.shape[0]
        mixed = torch.matmul(gradient[None], self.output).view(n_groups, -1, d_head)
        read = torch.bmm(mixed, self.value).view(n_heads, len(gradient), -1)
        return torch.bmm(pattern.transpose(1, 2), read.transpose(0, 1)).transpose(0, 1)

    def values(self, x: Tensor) -> Tensor:
        """(n_heads, n_positions, d_head) what each head takes from its input (n_positions, d_model)."""
        values = torch.einsum("kd,gvd->gkv", x, self.value)
        return values.repeat_interleave(self.output.shape[0] // self.value.shape[0], dim=0)

    def effects(self, gradient: Tensor, pattern: Tensor, values: Tensor) -> Tensor:
        """(n_positions, n_rows) what gradients at the output take from some values: `backward` met with the
        input at each position, for one product less.

        gradient: (n_positions, n_rows, d_model); pattern: (n_heads, query, key).
        """
        n_positions, n_rows, d_model = gradient.shape
        n_heads, _, d_head = self.output.shape
        mixed = torch.matmul(gradient.reshape(1, -1, d_model), self.output).view(n_heads, n_positions, -1)
        held = torch.bmm(pattern.transpose(1, 2), mixed).view(n_heads, n_positions, n_rows, d_head)
        return held.mul_(values[:, :, None]).sum((0, 3))

    def effects_from(self, gradient: Tensor, pattern: Tensor, values: Tensor) -> Tensor:
        """The same for gradients that stand at one position each.

        gradient: (n_rows, d_model); pattern: (n_heads, n_rows, key). Returns (key, n_rows).
        """
        mixed = torch.matmul(gradient[None], self.output)
        return (torch.bmm(mixed, values.transpose(1, 2)) * pattern).sum(0).T

    def _values_backward(self, mixed: Tensor) -> Tensor:
        """(n, d_model) through W_V, summed over heads, from what their values get (n_heads, n, d_head)."""
        n_groups = self.value.shape[0]
        if n_groups != len(mixed):
            mixed = mixed.view(n_groups, len(mixed) // n_groups, *mixed.shape[1:]).sum(1)
        result = torch.mm(mixed[0], self.value[0])
        for group in range(1, n_groups):
            result.addmm_(mixed[group], self.value[group])
        return result


class Held(NamedTuple):
    """What one layer's attention held on one prompt, up to the last position that matters."""

    pattern: Tensor
    """(n_heads, query, key)"""
    scale: Tensor
    """(n_positions, 1) of the norm before attention"""


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer: x + attention(norm x), then + mlp(norm of that)."""

    attention_norm: Norm
    attention: Attention
    mlp_norm: Norm
    mlp: nn.Module
    """The module whose output is added to the residual stream: the MLP, or the norm behind it."""
    mlp_post: bool = False
    """Whether it is a norm behind the MLP."""
    attention_post: Norm | None = None
    """An RMSNorm on what attention writes. Once frozen it is a part of attention: its gain is in
    `Attention.output`, its scale, one number a position, in the recorded pattern."""
    parallel: bool = False
    """Whether the MLP reads what attention reads, not what attention leaves."""

    def attention_backward(self, gradient: Tensor, parts: Sequence[tuple[slice, Held]]) -> Tensor:
        """What a gradient after attention adds, by way of attention, to that before it.

        gradient: (n_positions, n_rows, d_model); parts: the rows of each prompt, in order, and what was held
        there. Returns the shape of gradient.
        """
        through = self.attention.backward(gradient, [(rows, held.pattern) for rows, held in parts])
        return self.attention_norm.backward(through, _spread(parts))

    def attention_backward_from(
        self, gradient: Tensor, position: Tensor, parts: Sequence[tuple[slice, Held]]
    ) -> Tensor:
        """The same for gradients that stand at one position each.

        gradient: (n_rows, d_model); position: (n_rows,) int64. Returns (n_positions, n_rows, d_model).
        """
        pattern = torch.cat([held.pattern[:, position[rows]].transpose(0, 1) for rows, held in parts])
        through = self.attention.backward_from(gradient, pattern)
        return self.attention_norm.backward(through, _spread(parts))

    def attention_effects(self, gradient: Tensor, held: Held, x: Tensor) -> Tensor:
        """(n_positions, n_rows) what gradients after attention take, by way of it, from vectors x before it.

        gradient: (n_positions, n_rows, d_model); x: (n_positions, d_model).
        """
        values = self.attention.values(self.attention_norm.forward(x, held.scale))
        return self.attention.effects(gradient, held.pattern, values)

    def attention_effects_from(self, gradient: Tensor, position: Tensor, held: Held, x: Tensor) -> Tensor:
        """The same for gradients that stand at one position each: (n_rows, d_model) at position (n_rows,)."""
        values = self.attention.values(self.attention_norm.forward(x, held.scale))
        return self.attention.effects_from(gradient, held.pattern[:, position], values)


def _spread(parts: Sequence[tuple[slice, Held]]) -> Tensor:
    """(n_positions, n_rows or 1, 1) the scale of every row."""
    if len(parts) == 1:
        return parts[0][1].scale[:, None]
    return torch.cat(
        [held.scale[:, None].expand(-1, rows.stop - rows.start, -1) for rows, held in parts], dim=1
    )


@dataclass(frozen=True, eq=False)
class Anatomy:
    """The parts of one model."""

    embedding: nn.Module
    """Its output is the residual stream's first value."""
    layers: tuple[Layer, ...]
    final_norm: Norm
    unembedding: Tensor
    """(vocab_size, d_model)"""
    context: int
    """The most tokens a prompt may have."""

    def logit_directions(self, ids: Tensor) -> Tensor:
        """(n, d_model) directions of logits at the last norm's output, the vocabulary's mean taken away.

        ids: (n,) int64. The unembedding may be of 16 bits; the result is at least of 32.
        """
        rows = wide(self.unembedding[ids])
        return rows - self._mean_unembedding

    @cached_property
    def _mean_unembedding(self) -> Tensor:
        return self.unembedding.mean(0, dtype=torch.promote_types(self.unembedding.dtype, torch.float32))
