"""The effect of each changed feature on a logit, to first order, in the real model.

The change Δa of a feature f of layer k at position p writes Δa · d_{f→l} into the output of each MLP l ≥ k.
With g_l the gradient of the logit (less the mean over the vocabulary) at the output of MLP l, where all that
follows responds,

    effect(f, p) = Δa · Σ_l d_{f→l} · g_l[p]

Steps
1. Run the model on the prompt and keep the outputs of the MLPs.
2. Take the gradient of the logit at all of them, in one backward pass.
3. Multiply the decoder vectors of the changed features with it, some at a time.

A feature's effect includes what it does through features of later layers, so effects of several features
overlap and do not sum to the change of the logit. They say which changes matter.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import wide
from ingest.engine.intervention.intervene import FeatureChanges
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.precise import precise
from ingest.engine.replacement.record import hooks

TOGETHER = 1024
"""Features whose decoder vectors are in memory together."""


def effects_on_logit(
    model: ReplacementModel, ids: Sequence[int], token: int, changes: FeatureChanges
) -> Tensor:
    """(n,) effect of each change on the logit of a token after the last position, in units of the logit.

    ids: the prompt, on which the changes were measured.
    """
    gradient = _gradient(model, ids, token)
    found = torch.zeros(len(changes.where), dtype=gradient.dtype, device=gradient.device)
    for number in range(model.n_layers):
        for at in (changes.where[:, 0] == number).nonzero()[:, 0].split(TOGETHER):
            _, position, index = changes.where[at].unbind(1)
            rows = model.transcoders.decoder_rows(number, index, gradient.dtype)
            felt = gradient[number : number + rows.shape[1], position]
            found[at] = torch.einsum("nld,lnd->n", rows, felt)
    return found * (changes.after - changes.before)


def _gradient(model: ReplacementModel, ids: Sequence[int], token: int) -> Tensor:
    """(n_layers, n_positions, d_model): the gradient of a token's logit at the output of each MLP."""
    written: list[Tensor] = []

    def start(module: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        return output.detach().requires_grad_()

    def keep(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        written.append(output[0] if isinstance(output, tuple) else output)

    pairs = [(model.anatomy.embedding, start), *((layer.mlp, keep) for layer in model.anatomy.layers)]
    with torch.enable_grad(), hooks(pairs), precise(model.dtype):
        given = torch.tensor([list(ids)], device=model.device)
        logits = model.model(input_ids=given, use_cache=False).logits[0, -1]
        return wide(torch.stack(torch.autograd.grad(logits[token] - logits.mean(), written))[:, 0])
