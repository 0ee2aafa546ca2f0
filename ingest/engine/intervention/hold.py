"""One batched forward pass of the real model, in which parts are held and vectors are added.

A plain pass records a batch of prompts. In a later pass each row belongs to one of them, and hooks on the
model's own modules hold what `Freeze` and `clamped` say at that prompt's recorded value:

    norm        its scale: the output as a linear function of the input
    attention   its pattern: the recorded output plus what the pattern makes of the change of the input
    MLP         its output, but for a skip connection of its transcoder, plus what the caller adds

Prompts of different lengths are padded on the right, where a causal model's padding cannot be seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import Layer, Norm, wide
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.precise import precise
from ingest.engine.replacement.record import Hook, hooks

Added = Callable[[int, Tensor], Tensor | None]
"""(layer, what its transcoder reads (n_rows, n_positions, d_model)) → what to add to its MLP's output."""


class Freeze(Enum):
    """What is held at its recorded value, besides MLPs of clamped layers."""

    NOTHING = "nothing"
    ATTENTION = "attention"
    """Attention patterns; norms and MLPs react."""
    EVERYTHING = "everything"
    """Patterns, norm scales and all MLP outputs: the model is linear."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a pass saw; lists have one entry a layer. B rows, T positions, d the model's width."""

    logits: Tensor
    """(B, T, vocab_size)"""
    read: list[Tensor]
    """(B, T, d) what the transcoders read"""
    norm_inputs: dict[nn.Module, Tensor]
    """(B, T, d) by the norm's module"""
    attention_input: list[Tensor]
    """(B, T, d)"""
    attention_output: list[Tensor]
    """(B, T, d)"""
    pattern: list[Tensor]
    """(B, n_heads, T query, T key)"""
    mlp_output: list[Tensor]
    """(B, T, d) what is added to the residual stream"""
    final: Tensor
    """(B, T, d) what the unembedding reads"""


@dataclass(frozen=True, eq=False)
class Hold:
    """What a pass holds, and at which prompts' values."""

    plain: Seen
    """The recorded prompts."""
    rows: Tensor
    """(B,) int64: the recorded prompt of each row"""
    freeze: Freeze = Freeze.NOTHING
    clamped: range = range(0)
    """Layers whose MLP outputs are held though others react."""

    def clamps(self, layer: int) -> bool:
        return self.freeze is Freeze.EVERYTHING or layer in self.clamped


def pad(prompts: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(n, longest) int64 tokens, padded on the right."""
    longest = max(map(len, prompts))
    rows = [[*prompt, *[prompt[-1]] * (longest - len(prompt))] for prompt in prompts]
    return torch.tensor(rows, dtype=torch.int64, device=device)


def run(
    model: ReplacementModel,
    tokens: Tensor,
    *,
    hold: Hold | None = None,
    added: Added | None = None,
    embedded: Tensor | None = None,
) -> Seen:
    """Run the model on a batch.

    tokens: (B, T), e.g. of `pad`; added: what to add to the MLP outputs; embedded: (B, T, d_model) what to
    add to the residual stream's first value.
    """
    norm_inputs: dict[nn.Module, Tensor] = {}
    norm_outputs: dict[nn.Module, Tensor] = {}
    read: list[Tensor] = []
    attention_input: list[Tensor] = []
    attention_output: list[Tensor] = []
    pattern: list[Tensor] = []
    mlp_output: list[Tensor] = []
    scales_held = hold is not None and hold.freeze is Freeze.EVERYTHING
    patterns_held = hold is not None and hold.freeze is not Freeze.NOTHING

    def norm(part: Norm) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
            if hold is not None and scales_held:
                # A norm is linear in its scale.
                scale = part.scale(hold.plain.norm_inputs[module][hold.rows])
                moved = part.forward(given[0], scale - part.scale(given[0]))
                output = (output + moved).to(output.dtype)
            norm_inputs[module], norm_outputs[module] = given[0], output
            return output

        return hook

    def attention(layer: int, part: Layer) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: tuple[Any, ...]) -> tuple[Any, ...]:
            here, weights = norm_outputs[part.attention_norm.module], output[1]
            written = output[0]
            if hold is not None and patterns_held:
                plain, rows = hold.plain, hold.rows
                weights = plain.pattern[layer][rows]
                change = wide(here - plain.attention_input[layer][rows])
                moved = torch.vmap(part.attention.forward)(change, wide(weights))
                written = plain.attention_output[layer][rows] + moved
            # Weights of 16 bits are widened in `Attention`; the model's next module expects its own format.
            written = written.to(output[0].dtype)
            attention_input.append(here)
            attention_output.append(written)
            pattern.append(weights)
            return (written, weights, *output[2:])

        return hook

    def mlp(layer: int, part: Layer) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
            # A mixture of experts returns its router's scores besides.
            output, *rest = output if isinstance(output, tuple) else (output,)
            scale = None
            before = norm_inputs[part.mlp_norm.module]
            if hold is not None and scales_held:
                scale = part.mlp_norm.scale(hold.plain.norm_inputs[part.mlp_norm.module][hold.rows])
            seen = _read(model, part.mlp_norm, before, norm_outputs[part.mlp_norm.module], scale)
            read.append(seen)
            own = output.dtype
            if hold is not None and hold.clamps(layer):
                output = hold.plain.mlp_output[layer][hold.rows]
                if (skip := model.transcoders.layers[layer].skip) is not None:
                    moved = read[-1] - hold.plain.read[layer][hold.rows]
                    output = output + torch.nn.functional.linear(moved, skip)
            if added is not None and (change := added(layer, read[-1])) is not None:
                output = output + change
            output = output.to(own)
            mlp_output.append(output)
            return (output, *rest) if rest else output

        return hook

    def embedding(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        return output if embedded is None else (output + embedded).to(output.dtype)

    anatomy = model.anatomy
    pairs: list[tuple[nn.Module, Hook]] = [(anatomy.embedding, embedding)]
    pairs += [(part.module, norm(part)) for part in norms(anatomy.layers, anatomy.final_norm)]
    for number, part in enumerate(anatomy.layers):
        pairs += [(part.attention.module, attention(number, part)), (part.mlp, mlp(number, part))]
    with torch.no_grad(), precise(model.dtype), hooks(pairs):
        logits: Tensor = model.model(input_ids=tokens, use_cache=False).logits
    final = wide(norm_outputs[anatomy.final_norm.module])
    return Seen(logits, read, norm_inputs, attention_input, attention_output, pattern, mlp_output, final)


def norms(layers: Sequence[Layer], final: Norm) -> list[Norm]:
    """Every norm of a model, in no particular order."""
    return [final, *(part for layer in layers for part in vars(layer).values() if isinstance(part, Norm))]


def _read(model: ReplacementModel, norm: Norm, before: Tensor, after: Tensor, scale: Tensor | None) -> Tensor:
    """What a transcoder sees, given the MLP norm's input, output and scale (None: its own)."""
    before, after = wide(before), wide(after)
    match model.transcoders.read_at:
        case "hook_resid_mid":
            return before
        case "ln2.hook_normalized":
            return norm.centre(before) * (norm.scale(before) if scale is None else scale)
        case _:
            return after
