"""One forward pass of the real model, with everything recorded that the linear walk holds fixed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import Anatomy


@dataclass(frozen=True, eq=False)
class Frozen:
    """What one prompt made of the model. L layers, T positions, H heads, d the model's width."""

    ids: tuple[int, ...]
    """Vocabulary ids, T of them."""
    embedding: Tensor
    """(T, d) the residual stream's first value"""
    pattern: Tensor
    """(L, H, T query, T key) attention after the softmax"""
    attention_norm_input: Tensor
    """(L, T, d) residual stream before attention"""
    attention_scale: Tensor
    """(L, T, 1) frozen scale of the norm before attention"""
    mlp_norm_input: Tensor
    """(L, T, d) residual stream before the MLP's norm"""
    mlp_norm_output: Tensor
    """(L, T, d) what the MLP reads"""
    mlp_scale: Tensor
    """(L, T, 1) frozen scale of the norm before the MLP"""
    mlp_output: Tensor
    """(L, T, d) what the MLP writes"""
    final_input: Tensor
    """(T, d) residual stream before the last norm"""
    final_scale: Tensor
    """(T, 1) frozen scale of the last norm"""
    logits: Tensor
    """(T, vocab_size)"""


Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]
"""A forward hook: (module, positional inputs, output) → a new output or None."""


@contextmanager
def hooks(pairs: Sequence[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Forward hooks that are there for the length of a `with` block."""
    handles = [module.register_forward_hook(hook) for module, hook in pairs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run(model: Any, ids: Sequence[int], device: torch.device) -> Tensor:
    """(n_positions, vocab_size) logits of one prompt."""
    tokens = torch.tensor([list(ids)], device=device)
    with torch.no_grad():
        logits: Tensor = model(input_ids=tokens, use_cache=False).logits[0]
    return logits


def record(model: Any, anatomy: Anatomy, ids: Sequence[int], device: torch.device) -> Frozen:
    """Run the model on one prompt and keep what the walk needs."""
    seen: dict[str, list[Tensor]] = {
        name: [] for name in ("embedding", "attention_in", "pattern", "norm_in", "norm_out", "out", "final")
    }

    def inputs(name: str) -> Hook:
        return lambda module, given, output: seen[name].append(given[0][0])

    def outputs(name: str) -> Hook:
        return lambda module, given, output: seen[name].append(output[0])

    def both(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        seen["norm_in"].append(given[0][0])
        seen["norm_out"].append(output[0])

    def pattern(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        seen["pattern"].append(output[1][0])

    pairs: list[tuple[nn.Module, Hook]] = [
        (anatomy.embedding, outputs("embedding")),
        (anatomy.final_norm.module, inputs("final")),
    ]
    for layer in anatomy.layers:
        pairs += [
            (layer.attention_norm.module, inputs("attention_in")),
            (layer.attention.module, pattern),
            (layer.mlp_norm.module, both),
            (layer.mlp, outputs("out")),
        ]
    with hooks(pairs):
        logits = run(model, ids, device)
    attention_in, norm_in = torch.stack(seen["attention_in"]), torch.stack(seen["norm_in"])
    final = seen["final"][0]
    return Frozen(
        ids=tuple(ids),
        embedding=seen["embedding"][0],
        pattern=torch.stack(seen["pattern"]),
        attention_norm_input=attention_in,
        attention_scale=torch.stack(
            [part.attention_norm.scale(x) for part, x in zip(anatomy.layers, attention_in, strict=True)]
        ),
        mlp_norm_input=norm_in,
        mlp_norm_output=torch.stack(seen["norm_out"]),
        mlp_scale=torch.stack(
            [part.mlp_norm.scale(x) for part, x in zip(anatomy.layers, norm_in, strict=True)]
        ),
        mlp_output=torch.stack(seen["out"]),
        final_input=final,
        final_scale=anatomy.final_norm.scale(final),
        logits=logits,
    )
