"""One batched forward pass of the real model in which parts are held and vectors are added.

A first pass records a batch of prompts. In a later pass each row belongs to one recorded prompt. Hooks on the
model's own modules hold the parts that `Freeze` and `clamped` name at the recorded values of that prompt:

    norm        holds its scale, so that the output is a linear function of the input
    attention   holds its pattern: the recorded output plus the pattern applied to the change of the input
    MLP         holds its output, except for a skip connection of its transcoder; the caller's vectors are
                added
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
"""Function of a layer and the input of its transcoder (n_rows, n_positions, d_model). It returns what to add
to the layer's MLP output, or None for nothing."""


class Freeze(Enum):
    """What is held at its recorded value, in addition to the MLPs of clamped layers."""

    NOTHING = "nothing"
    ATTENTION = "attention"
    """Attention patterns; norms and MLPs react."""
    EVERYTHING = "everything"
    """Patterns, norm scales and all MLP outputs. The model is then linear."""


@dataclass(frozen=True, eq=False)
class Seen:
    """The values recorded in one pass.

    Lists have one entry per layer. B is the number of rows, T of positions, and d the model's width.
    """

    logits: Tensor
    """(B, T, vocab_size)"""
    read: list[Tensor]
    """(B, T, d) input of the transcoders"""
    norm_inputs: dict[nn.Module, Tensor]
    """(B, T, d) input of each norm, by the norm's module"""
    attention_input: list[Tensor]
    """(B, T, d) input of attention"""
    attention_output: list[Tensor]
    """(B, T, d) output of attention"""
    pattern: list[Tensor]
    """(B, n_heads, T query, T key) attention pattern"""
    mlp_output: list[Tensor]
    """(B, T, d) what the MLP, or the norm after it, adds to the residual stream"""
    final: Tensor
    """(B, T, d) input of the unembedding"""


@dataclass(frozen=True, eq=False)
class Hold:
    """What a pass holds, and at the values of which prompts."""

    plain: Seen
    """The recorded prompts."""
    rows: Tensor
    """(B,) int64: the recorded prompt of each row"""
    freeze: Freeze = Freeze.NOTHING
    clamped: range = range(0)
    """Layers whose MLP outputs are held while other layers react."""

    def clamps(self, layer: int) -> bool:
        """Whether the MLP output of a layer is held."""
        return self.freeze is Freeze.EVERYTHING or layer in self.clamped


def run(
    model: ReplacementModel,
    tokens: Tensor,
    *,
    hold: Hold | None = None,
    added: Added | None = None,
    embedded: Tensor | None = None,
) -> Seen:
    """Run the model on a batch and record it.

    tokens: (B, T), e.g. from `padded`. hold: what is held; None for nothing. added: what to add to the MLP
    outputs. embedded: (B, T, d_model), what to add to the first value of the residual stream.
    """
    under_way = _Pass(model, hold, added, embedded)
    with torch.no_grad(), precise(model.dtype), hooks(under_way.hooks()):
        logits: Tensor = model.model(input_ids=tokens, use_cache=False).logits
    return under_way.seen(logits)


class _Pass:
    """One pass under way: its hooks hold what is to be held, add what is to be added, and record the rest."""

    def __init__(
        self, model: ReplacementModel, hold: Hold | None, added: Added | None, embedded: Tensor | None
    ) -> None:
        self._model, self._hold, self._added, self._embedded = model, hold, added, embedded
        self._norm_inputs: dict[nn.Module, Tensor] = {}
        self._norm_outputs: dict[nn.Module, Tensor] = {}
        self._read: list[Tensor] = []
        self._attention_input: list[Tensor] = []
        self._attention_output: list[Tensor] = []
        self._pattern: list[Tensor] = []
        self._mlp_output: list[Tensor] = []

    def hooks(self) -> list[tuple[nn.Module, Hook]]:
        """The modules to hook, each with its hook."""
        anatomy = self._model.anatomy
        pairs: list[tuple[nn.Module, Hook]] = [(anatomy.embedding, self._embedding)]
        pairs += [(part.module, self._norm(part)) for part in norms(anatomy.layers, anatomy.final_norm)]
        for number, part in enumerate(anatomy.layers):
            pairs += [
                (part.attention.module, self._attention(number, part)),
                (part.mlp, self._mlp(number, part)),
            ]
        return pairs

    def seen(self, logits: Tensor) -> Seen:
        """What the finished pass recorded."""
        return Seen(
            logits=logits,
            read=self._read,
            norm_inputs=self._norm_inputs,
            attention_input=self._attention_input,
            attention_output=self._attention_output,
            pattern=self._pattern,
            mlp_output=self._mlp_output,
            final=wide(self._norm_outputs[self._model.anatomy.final_norm.module]),
        )

    def _embedding(self, module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        return output if self._embedded is None else (output + self._embedded).to(output.dtype)

    def _held_scale(self, norm: Norm) -> Tensor | None:
        """(B, T, 1): the recorded scale of a norm; None when scales are not held."""
        hold = self._hold
        if hold is None or hold.freeze is not Freeze.EVERYTHING:
            return None
        return norm.scale(hold.plain.norm_inputs[norm.module][hold.rows])

    def _norm(self, part: Norm) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
            if (scale := self._held_scale(part)) is not None:
                # A norm is linear in its scale.
                moved = part.forward(given[0], scale - part.scale(given[0]))
                output = (output + moved).to(output.dtype)
            self._norm_inputs[module], self._norm_outputs[module] = given[0], output
            return output

        return hook

    def _attention(self, layer: int, part: Layer) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: tuple[Any, ...]) -> tuple[Any, ...]:
            here, weights = self._norm_outputs[part.attention_norm.module], output[1]
            written = output[0]
            hold = self._hold
            if hold is not None and hold.freeze is not Freeze.NOTHING:
                plain, rows = hold.plain, hold.rows
                weights = plain.pattern[layer][rows]
                change = wide(here - plain.attention_input[layer][rows])
                moved = torch.vmap(part.attention.forward)(change, wide(weights))
                written = plain.attention_output[layer][rows] + moved
            # `FrozenAttention` widens 16-bit weights, but the model's next module expects its own format.
            written = written.to(output[0].dtype)
            self._attention_input.append(here)
            self._attention_output.append(written)
            self._pattern.append(weights)
            return (written, weights, *output[2:])

        return hook

    def _mlp(self, layer: int, part: Layer) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
            # A mixture of experts also returns its router's scores.
            output, *rest = output if isinstance(output, tuple) else (output,)
            norm, hold = part.mlp_norm, self._hold
            before, after = self._norm_inputs[norm.module], self._norm_outputs[norm.module]
            read = self._model.transcoder_input(norm, before, after, self._held_scale(norm))
            self._read.append(read)
            own = output.dtype
            if hold is not None and hold.clamps(layer):
                output = hold.plain.mlp_output[layer][hold.rows]
                if (skip := self._model.transcoders.layers[layer].skip) is not None:
                    moved = read - hold.plain.read[layer][hold.rows]
                    output = output + torch.nn.functional.linear(moved, skip)
            if self._added is not None and (change := self._added(layer, read)) is not None:
                output = output + change
            output = output.to(own)
            self._mlp_output.append(output)
            return (output, *rest) if rest else output

        return hook


def norms(layers: Sequence[Layer], final: Norm) -> list[Norm]:
    """All norms of a model, in arbitrary order."""
    return [final, *(part for layer in layers for part in vars(layer).values() if isinstance(part, Norm))]
