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
    attention_scale: Tensor
    """(L, T, 1) frozen scale of the norm before attention"""
    attention_input: Tensor
    """(L, T, d) what attention reads"""
    attention_output: Tensor
    """(L, T, d) what attention writes"""
    mlp_norm_input: Tensor
    """(L, T, d) residual stream before the MLP's norm"""
    mlp_norm_output: Tensor
    """(L, T, d) what the MLP reads"""
    mlp_scale: Tensor
    """(L, T, 1) frozen scale of the norm before the MLP"""
    mlp_output: Tensor
    """(L, T, d) what the MLP writes"""
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
        name: []
        for name in (
            "embedding",
            "attention_norm_in",
            "attention_in",
            "attention_out",
            "pattern",
            "mlp_norm_in",
            "mlp_in",
            "mlp_out",
            "final",
        )
    }

    def output_of(name: str) -> Hook:
        return lambda module, given, output: seen[name].append(output[0])

    def both_of(before: str, after: str) -> Hook:
        def keep(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            seen[before].append(given[0][0])
            seen[after].append(output[0])

        return keep

    def attention(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        seen["attention_out"].append(output[0][0])
        seen["pattern"].append(output[1][0])

    pairs: list[tuple[nn.Module, Hook]] = [
        (anatomy.embedding, output_of("embedding")),
        (anatomy.final_norm.module, lambda module, given, output: seen["final"].append(given[0][0])),
    ]
    for layer in anatomy.layers:
        pairs += [
            (layer.attention_norm.module, both_of("attention_norm_in", "attention_in")),
            (layer.attention.module, attention),
            (layer.mlp_norm.module, both_of("mlp_norm_in", "mlp_in")),
            (layer.mlp, output_of("mlp_out")),
        ]
    with hooks(pairs):
        logits = run(model, ids, device)
    stacked = {name: torch.stack(values) for name, values in seen.items()}
    layers = anatomy.layers
    return Frozen(
        ids=tuple(ids),
        embedding=stacked["embedding"][0],
        pattern=stacked["pattern"],
        attention_scale=torch.stack(
            [
                part.attention_norm.scale(x)
                for part, x in zip(layers, stacked["attention_norm_in"], strict=True)
            ]
        ),
        attention_input=stacked["attention_in"],
        attention_output=stacked["attention_out"],
        mlp_norm_input=stacked["mlp_norm_in"],
        mlp_norm_output=stacked["mlp_in"],
        mlp_scale=torch.stack(
            [part.mlp_norm.scale(x) for part, x in zip(layers, stacked["mlp_norm_in"], strict=True)]
        ),
        mlp_output=stacked["mlp_out"],
        final_scale=anatomy.final_norm.scale(stacked["final"][0]),
        logits=logits,
    )
