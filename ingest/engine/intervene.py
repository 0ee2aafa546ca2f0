"""Interventions: set features to other values in the real model, and see what follows.

An edit of feature f at position p adds (new value - activation) · d_{f→l} to the MLP output of every layer l
that f writes to. What else may change is a choice:

    Freeze.NOTHING      everything reacts: attention, norms, MLPs
    Freeze.ATTENTION    attention patterns are held, norms and MLPs react
    Freeze.EVERYTHING   patterns, norm scales and MLP outputs are held: the model is linear, and setting a
    source to
                        0 changes each target by minus the edge between them, exactly

Source: "Circuit Tracing" (Anthropic 2025), on validating graphs with perturbations. What is held is held by
hooks on the real model's own modules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import Attention, Norm
from ingest.engine.errors import SettingError
from ingest.engine.model import ReplacementModel
from ingest.engine.record import Frozen, Hook, hooks
from ingest.engine.transcoder import Active


class Freeze(Enum):
    """What is held at its recorded value."""

    NOTHING = "nothing"
    ATTENTION = "attention"
    EVERYTHING = "everything"


class Edit(NamedTuple):
    """One feature at one position gets another activation."""

    layer: int
    position: int
    feature: int
    """Index of the feature in its layer."""
    value: float
    """The new activation; 0 ablates."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the model did under the edits."""

    logits: Tensor
    """(n_positions, vocab_size)"""
    read: Tensor
    """(n_layers, n_positions, d_model) what the transcoders of each layer saw"""


def intervene(
    model: ReplacementModel,
    prompt: str | Sequence[int],
    edits: Sequence[Edit],
    *,
    freeze: Freeze = Freeze.NOTHING,
) -> Outcome:
    """Run the model on a prompt with some features set to other values.

    Raises PromptError for a prompt that the model cannot take, SettingError for an edit outside the prompt or
    the transcoders, at the special first token, or given twice.
    """
    encoded = model.encode(prompt)
    _check(model, edits, len(encoded.ids), skip_first=encoded.special_first_token)
    with torch.no_grad():
        plain = model.freeze(encoded.ids)
        active = model.transcoders.encode(model.read(plain), skip_first=encoded.special_first_token)
        change = written_change(model, active, edits, len(encoded.ids))
        # These hooks come first, so that the recording ones see what they changed.
        with hooks(_held(model, plain, freeze) + _edited(model, plain, change, freeze)):
            after = model.freeze(encoded.ids)
        if freeze is Freeze.EVERYTHING:
            after = replace(after, mlp_scale=plain.mlp_scale)
        return Outcome(after.logits, model.read(after))


def pre_activations(model: ReplacementModel, read: Tensor, where: Tensor) -> Tensor:
    """(n,) what features see before their activation function.

    read: (n_layers, n_positions, d_model), e.g. `Outcome.read`; where: (n, 3) layer, position, index.
    """
    found = []
    for layer, position, index in where.tolist():
        part = model.transcoders.layers[layer]
        found.append(part.encoder[index] @ read[layer, position] + part.encoder_bias[index])
    return torch.stack(found)


def written_change(
    model: ReplacementModel, active: Active, edits: Sequence[Edit], n_positions: int
) -> Tensor:
    """(n_layers, n_positions, d_model) what edits add to the MLP outputs."""
    keys, values = active.where.tolist(), active.activation.tolist()
    before = {tuple(key): value for key, value in zip(keys, values, strict=True)}
    change = torch.zeros(model.n_layers, n_positions, model.d_model, dtype=model.dtype, device=model.device)
    for layer, position, index, value in edits:
        feature = torch.tensor([index], device=model.device)
        decoder = model.transcoders.decoder_rows(layer, feature, model.dtype)[0]
        step = value - before.get((layer, position, index), 0.0)
        change[layer : layer + len(decoder), position] += step * decoder
    return change


def _edited(
    model: ReplacementModel, plain: Frozen, change: Tensor, freeze: Freeze
) -> list[tuple[nn.Module, Hook]]:
    """Hooks that add the edits to the MLP outputs, held or not."""

    def write(layer: int) -> Hook:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
            return (plain.mlp_output[layer][None] if freeze is Freeze.EVERYTHING else output) + change[layer]

        return hook

    return [(part.mlp, write(layer)) for layer, part in enumerate(model.anatomy.layers)]


def _held(model: ReplacementModel, plain: Frozen, freeze: Freeze) -> list[tuple[nn.Module, Hook]]:
    """Hooks that hold attention patterns, and norm scales too when everything is frozen."""
    pairs: list[tuple[nn.Module, Hook]] = []
    if freeze is Freeze.NOTHING:
        return pairs
    if freeze is Freeze.EVERYTHING:
        pairs.append(
            (model.anatomy.final_norm.module, _hold_scale(model.anatomy.final_norm, plain.final_scale))
        )
    for layer, part in enumerate(model.anatomy.layers):
        if freeze is Freeze.EVERYTHING:
            pairs += [
                (part.attention_norm.module, _hold_scale(part.attention_norm, plain.attention_scale[layer])),
                (part.mlp_norm.module, _hold_scale(part.mlp_norm, plain.mlp_scale[layer])),
            ]
        pairs += _hold_pattern(part.attention_norm, part.attention, plain, layer)
    return pairs


def _hold_scale(norm: Norm, scale: Tensor) -> Hook:
    """The norm's output as it would be with the recorded scale; a norm is linear in its scale."""

    def hook(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        return output + norm.forward(given[0], scale - norm.scale(given[0]))

    return hook


def _hold_pattern(
    norm: Norm, attention: Attention, plain: Frozen, layer: int
) -> list[tuple[nn.Module, Hook]]:
    """Attention's recorded output plus what the recorded pattern makes of the change of its input."""
    inputs: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> None:
        inputs[:] = [output[0]]

    def hook(module: nn.Module, given: tuple[Any, ...], output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        change = inputs[0] - plain.attention_input[layer]
        held = plain.attention_output[layer] + attention.forward(change, plain.pattern[layer])
        return (held[None], plain.pattern[layer][None], *output[2:])

    return [(norm.module, keep), (attention.module, hook)]


def _check(model: ReplacementModel, edits: Sequence[Edit], n_positions: int, *, skip_first: bool) -> None:
    seen: set[tuple[int, int, int]] = set()
    for layer, position, index, _ in edits:
        name = f"The edit of layer {layer}, position {position}, feature {index}"
        if not 0 <= layer < model.n_layers:
            raise SettingError(f"{name} has no such layer", next_step=f"use 0 to {model.n_layers - 1}")
        width = model.transcoders.layers[layer].n_features
        if not 0 <= index < width:
            raise SettingError(f"{name} has no such feature", next_step=f"use 0 to {width - 1}")
        if not 0 <= position < n_positions:
            raise SettingError(f"{name} is outside the prompt", next_step=f"use 0 to {n_positions - 1}")
        if skip_first and position == 0:
            raise SettingError(
                f"{name} is at the special first token, which has no features",
                next_step="edit positions from 1 on",
            )
        if (layer, position, index) in seen:
            raise SettingError(f"{name} is given twice", next_step="give each feature and position one value")
        seen.add((layer, position, index))
