"""Attention scores: how an attention layer scores keys for a query, before the softmax and any soft cap.

    S[q, k] = scaling · rotate_q(norm(W_Q^h x_q + b_Q^h)) · rotate_k(norm(W_K^h x_k + b_K^h))

x is what attention reads. The norm applies to models that normalise queries and keys (Qwen3, Gemma 3), the
rotation to models with rotary positions. Both are recognised from the module's own parts, so an architecture
adds only the names of its weights.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import Norm, wide
from ingest.engine.errors import ModelError

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, each (n_positions, n_rotated), as the model passes them to its attention modules."""


@dataclass(frozen=True, eq=False)
class Queries:
    """The part of an attention module that computes its scores."""

    query: Tensor
    """(n_heads, d_head, d_model) W_Q"""
    query_bias: Tensor
    """(n_heads, d_head)"""
    key: Tensor
    """(n_groups, d_head, d_model) W_K; a group serves n_heads / n_groups consecutive heads"""
    key_bias: Tensor
    """(n_groups, d_head)"""
    query_norm: Norm | None
    """The norm over the d_head numbers of a query; None when the model has none."""
    key_norm: Norm | None
    """The norm over the d_head numbers of a key; None when the model has none."""
    scaling: float
    soft_cap: float | None
    """The limit c of a score, where c · tanh(S / c) enters the softmax; None for no limit."""
    n_rotated: int
    """How many numbers at the start of a query or key are rotated."""

    @property
    def n_heads(self) -> int:
        return self.query.shape[0]

    def group(self, head: int) -> int:
        """The number of the group of keys that a head uses."""
        return head * self.key.shape[0] // self.n_heads

    def rotate(self, x: Tensor, rotary: Rotary | None) -> Tensor:
        """Queries or keys (…, n_positions, d_head), rotated by their positions."""
        if rotary is None:
            return x
        # Some models pass one half only, because both halves are rotated by the same angles.
        cos, sin = (torch.cat([y, y], -1) if 2 * y.shape[-1] == self.n_rotated else y for y in rotary)
        turned, rest = x[..., : self.n_rotated], x[..., self.n_rotated :]
        first, second = turned.chunk(2, -1)
        return torch.cat([turned * cos + torch.cat([-second, first], -1) * sin, rest], -1)


def queries(module: nn.Module) -> Queries:
    """The score computation of an attention module.

    Raises ModelError when the names of its weights are not known here.
    """
    part: Any = module
    d_head = int(getattr(part, "head_dim", getattr(part, "head_size", 0)))
    if hasattr(part, "q_proj"):
        weights = [_split(each.weight, each.bias, d_head) for each in (part.q_proj, part.k_proj)]
    elif hasattr(part, "c_attn"):  # GPT-2 stores its weights transposed
        both = part.c_attn.weight.T.chunk(3)[:2], part.c_attn.bias.chunk(3)[:2]
        weights = [_split(weight, bias, d_head) for weight, bias in zip(*both, strict=True)]
    elif hasattr(part, "query_key_value"):  # in GPT-NeoX, query, key and value of one head are adjacent
        weight, bias = wide(part.query_key_value.weight), part.query_key_value.bias
        split = weight.view(-1, 3, d_head, weight.shape[1])
        shift = weight.new_zeros(split.shape[:3]) if bias is None else wide(bias).view(split.shape[:3])
        weights = [(split[:, number], shift[:, number]) for number in (0, 1)]
    else:
        raise ModelError(
            f"The attention scores of a {type(module).__name__} cannot be split",
            next_step="use an architecture with q_proj and k_proj, c_attn or query_key_value",
        )
    return Queries(
        query=weights[0][0],
        query_bias=weights[0][1],
        key=weights[1][0],
        key_bias=weights[1][1],
        query_norm=_norm(getattr(part, "q_norm", None), d_head),
        key_norm=_norm(getattr(part, "k_norm", None), d_head),
        scaling=float(part.scaling),
        soft_cap=getattr(part, "attn_logit_softcapping", None),
        n_rotated=int(getattr(part, "rotary_ndims", d_head)),
    )


def _split(weight: Tensor, bias: Tensor | None, d_head: int) -> tuple[Tensor, Tensor]:
    """Weights (n, d_head, d_model) and biases (n, d_head), split by head."""
    split = wide(weight).reshape(-1, d_head, weight.shape[1])
    return split, split.new_zeros(split.shape[:2]) if bias is None else wide(bias).view(-1, d_head)


def _norm(module: Any, d_head: int) -> Norm | None:
    if module is None:
        return None
    epsilon = float(getattr(module, "variance_epsilon", getattr(module, "eps", 0.0)))
    # The norm of a vector of ones gives the gain, whether the module stores it as w or as 1 + w.
    gain = wide(module(torch.ones_like(module.weight[:d_head]))) * (1 + epsilon) ** 0.5
    return Norm(module=module, weight=gain, epsilon=epsilon)
