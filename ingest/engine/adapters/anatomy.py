"""A decoder-only transformer as the engine sees it: what each part does once its nonlinear factors are
frozen.

With attention patterns and norm scales held, every path between two points of the residual stream is linear:

    norm       x  →  w · scale · (x − mean x)            the mean only for LayerNorm; biases cancel in
    differences attention  x  →  Σ_h W_O^h A^h W_V^h x               A^h: the pattern that the prompt produced

An adapter fills these in from a Hugging Face model; weights are views of the model's own parameters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


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
        wide = self.centre(before.float())
        return torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.epsilon).to(before.dtype)

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
    value: Tensor
    """(n_groups, d_head, d_model) W_V; with grouped queries, a group serves n_heads / n_groups heads in a
    row"""
    output: Tensor
    """(n_heads, d_model, d_head) W_O"""

    def forward(self, change: Tensor, pattern: Tensor) -> Tensor:
        """The change of the output for a change of the input.

        change: (n_positions, d_model); pattern: (n_heads, query, key).
        """
        values = torch.einsum("kd,gvd->gkv", change, self.value)
        values = values.repeat_interleave(self.output.shape[0] // self.value.shape[0], dim=0)
        return torch.einsum("hqk,hkv,hdv->qd", pattern, values, self.output)

    def backward(self, gradient: Tensor, pattern: Tensor) -> Tensor:
        """The gradient at the input from that at the output: the transpose of `forward` for many rows at
        once.

        gradient: (n_positions, n_rows, d_model); pattern: (n_heads, query, key). Returns the shape of
        gradient.
        """
        n_positions, n_rows, d_model = gradient.shape
        n_heads, _, d_head = self.output.shape
        n_groups = self.value.shape[0]
        mixed = torch.matmul(gradient.reshape(1, -1, d_model), self.output)
        mixed = torch.bmm(pattern.transpose(1, 2), mixed.view(n_heads, n_positions, n_rows * d_head))
        if n_groups != n_heads:
            mixed = mixed.view(n_groups, n_heads // n_groups, n_positions, n_rows * d_head).sum(1)
        mixed = mixed.view(n_groups, -1, d_head)
        result = torch.mm(mixed[0], self.value[0])
        for group in range(1, n_groups):
            result.addmm_(mixed[group], self.value[group])
        return result.view(n_positions, n_rows, d_model)


@dataclass(frozen=True, eq=False)
class Layer:
    """One transformer layer: x + attention(norm x), then + mlp(norm of that)."""

    attention_norm: Norm
    attention: Attention
    mlp_norm: Norm
    mlp: nn.Module


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
