"""One forward pass of the real model over several prompts, which records what attribution holds fixed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import Anatomy, Norm, wide
from ingest.engine.replacement.precise import precise


@dataclass(frozen=True, eq=False)
class Frozen:
    """The values recorded on one prompt. L layers, T positions, H heads, d the model's width."""

    ids: tuple[int, ...]
    """T vocabulary ids"""
    embedding: Tensor
    """(T, d) first value of the residual stream"""
    pattern: Tensor
    """(L, H, T query, T key) attention after the softmax, times the scale of a norm after attention"""
    attention_scale: Tensor
    """(L, T, 1) frozen scale of the norm before attention"""
    attention_input: Tensor
    """(L, T, d) what attention reads"""
    attention_output: Tensor
    """(L, T, d) what attention writes, before a norm after attention"""
    mlp_norm_input: Tensor
    """(L, T, d) residual stream before the MLP's norm"""
    mlp_norm_output: Tensor
    """(L, T, d) what the MLP reads"""
    mlp_scale: Tensor
    """(L, T, 1) frozen scale of the norm before the MLP"""
    mlp_output: Tensor
    """(L, T, d) what the MLP, or the norm after it, adds to the residual stream"""
    final_scale: Tensor
    """(T, 1) frozen scale of the last norm"""
    final: Tensor
    """(T, d) what the unembedding reads"""
    anatomy: Anatomy
    """The parts of the model."""

    @property
    def logits(self) -> Tensor:
        """(T, vocab_size) logits, computed anew each time: a vocabulary is large."""
        return self.anatomy.logits(self.final)

    def logits_at(self, position: int) -> Tensor:
        """(vocab_size,) logits of the token after one position."""
        return self.anatomy.logits(self.final[position])


Hook = Callable[[nn.Module, tuple[Any, ...], Any], Any]
"""A forward hook: (module, positional inputs, output) → a new output, or None to keep the output."""


@contextmanager
def hooks(pairs: Sequence[tuple[nn.Module, Hook]]) -> Iterator[None]:
    """Register forward hooks within the `with` block."""
    handles = [module.register_forward_hook(hook) for module, hook in pairs]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def padded(prompts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(n, longest) int64 tokens. Shorter prompts are padded on the right, which a causal model never sees."""
    longest = max(map(len, prompts))
    rows = [[*ids, *[0] * (longest - len(ids))] for ids in prompts]
    return torch.tensor(rows, dtype=torch.int64, device=device)


def run(model: Any, prompts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(n_prompts, longest, d_model): what the unembedding reads. After the end of a prompt it is meaningless.

    Logits of some positions follow from it (`Anatomy.logits`).
    """
    with torch.no_grad(), precise(model.dtype):
        body = model.base_model(input_ids=padded(prompts, device), use_cache=False)
    final: Tensor = body.last_hidden_state
    return final


RECORDED = (
    *("embedding", "attention_norm_in", "attention_in", "attention_out", "pattern"),
    *("mlp_norm_in", "mlp_in", "mlp_out", "final"),
)
"""Names of the tensors that one forward pass records."""


def record(
    model: Any, anatomy: Anatomy, prompts: Sequence[Sequence[int]], device: torch.device
) -> list[Frozen]:
    """Run the model on several prompts together and record what attribution needs of each prompt.

    1. Register hooks that record inputs and outputs of the model's modules, and run the model.
    2. Stack the layers, compute the norm scales, and cut out the positions of each prompt.
    """
    seen: dict[str, list[Tensor]] = {name: [] for name in RECORDED}
    # 1
    with hooks(_recorders(anatomy, seen)):
        final = run(model, prompts, device)
    # 2
    return _by_prompt(anatomy, prompts, seen, final)


def _recorders(anatomy: Anatomy, seen: dict[str, list[Tensor]]) -> list[tuple[nn.Module, Hook]]:
    """The hooks that append what they see, layer by layer, to the lists in `seen`."""

    def output_of(name: str) -> Hook:
        # A mixture of experts also returns its router's scores.
        return lambda module, given, output: seen[name].append(
            output[0] if isinstance(output, tuple) else output
        )

    def both_of(before: str, after: str) -> Hook:
        def keep(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            seen[before].append(given[0])
            seen[after].append(output)

        return keep

    def attention(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        seen["attention_out"].append(output[0])
        seen["pattern"].append(output[1])

    def after_attention(norm: Norm) -> Hook:
        def scale(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            # The scale is one number per query.
            seen["pattern"][-1] = seen["pattern"][-1] * norm.scale(wide(given[0]))[:, None]

        return scale

    pairs: list[tuple[nn.Module, Hook]] = [
        (anatomy.embedding, output_of("embedding")),
        (anatomy.final_norm.module, lambda module, given, output: seen["final"].append(given[0])),
    ]
    for layer in anatomy.layers:
        pairs += [
            (layer.attention_norm.module, both_of("attention_norm_in", "attention_in")),
            (layer.attention.module, attention),
            (layer.mlp_norm.module, both_of("mlp_norm_in", "mlp_in")),
            (layer.mlp, output_of("mlp_out")),
        ]
        if layer.attention_post is not None:
            pairs.append((layer.attention_post.module, after_attention(layer.attention_post)))
    return pairs


def _by_prompt(
    anatomy: Anatomy, prompts: Sequence[Sequence[int]], seen: dict[str, list[Tensor]], final: Tensor
) -> list[Frozen]:
    """The recorded tensors of each prompt, without the padding.

    seen: lists with one tensor (n_prompts, …) per layer. final: (n_prompts, longest, d_model).
    """
    # (layer, prompt, …)
    stacked = {name: wide(torch.stack(values)) for name, values in seen.items()}
    scales = {
        "attention": torch.stack(
            [
                part.attention_norm.scale(x)
                for part, x in zip(anatomy.layers, stacked["attention_norm_in"], strict=True)
            ]
        ),
        "mlp": torch.stack(
            [part.mlp_norm.scale(x) for part, x in zip(anatomy.layers, stacked["mlp_norm_in"], strict=True)]
        ),
        "final": anatomy.final_norm.scale(stacked["final"][0]),
    }
    found = []
    for number, ids in enumerate(prompts):
        n = len(ids)
        found.append(
            Frozen(
                ids=tuple(ids),
                embedding=stacked["embedding"][0, number, :n],
                pattern=stacked["pattern"][:, number, :, :n, :n],
                attention_scale=scales["attention"][:, number, :n],
                attention_input=stacked["attention_in"][:, number, :n],
                attention_output=stacked["attention_out"][:, number, :n],
                mlp_norm_input=stacked["mlp_norm_in"][:, number, :n],
                mlp_norm_output=stacked["mlp_in"][:, number, :n],
                mlp_scale=scales["mlp"][:, number, :n],
                mlp_output=stacked["mlp_out"][:, number, :n],
                final_scale=scales["final"][number, :n],
                final=final[number, :n],
                anatomy=anatomy,
            )
        )
    return found
