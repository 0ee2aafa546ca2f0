"""Ablation of components of the real model: a head, all of a layer's attention, or its MLP.

The component's contribution to the residual stream is set to 0 at every position, and everything after it
reacts. A head's contribution is what it passes to the layer's output projection. The bias of this projection
belongs to no head and is removed with the whole attention only. In a model with a norm after attention or
MLP, this norm reads the 0.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.passes import next_logits


class Head(NamedTuple):
    """One attention head."""

    layer: int
    number: int


class Attention(NamedTuple):
    """All heads of a layer, including the bias of its output projection."""

    layer: int


class Mlp(NamedTuple):
    """A layer's MLP, or its mixture of experts."""

    layer: int


Component = Head | Attention | Mlp


def heads(model: ReplacementModel) -> list[Head]:
    """All attention heads of the model, by layer and number."""
    layers = model.anatomy.layers
    return [Head(layer, n) for layer, part in enumerate(layers) for n in range(len(part.attention.output))]


@contextmanager
def without(model: ReplacementModel, component: Component) -> Iterator[None]:
    """Within the `with` block, the output of the component is 0."""
    part = model.anatomy.layers[component.layer]
    if isinstance(component, Head):
        n_heads, number = len(part.attention.output), component.number

        def zero_head(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
            found, *rest = given
            each = found.clone().unflatten(-1, (n_heads, -1))
            each[..., number, :] = 0
            return (each.flatten(-2), *rest)

        handle = part.attention.mix.register_forward_pre_hook(zero_head)
    else:
        module = part.attention.module if isinstance(component, Attention) else part.mlp
        handle = module.register_forward_hook(_zero)
    try:
        yield
    finally:
        handle.remove()


def _zero(module: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
    # Attention also returns its pattern, and a mixture of experts its router's scores.
    if isinstance(output, tuple):
        return (torch.zeros_like(output[0]), *output[1:])
    return torch.zeros_like(output)


class Answer(NamedTuple):
    """The next token of a prompt whose logit is measured."""

    ids: Sequence[int]
    """The prompt, in vocabulary ids."""
    position: int
    """The position of the prompt after which the token follows."""
    token: int
    """Vocabulary id."""


def effects(
    model: ReplacementModel,
    answers: Sequence[Answer],
    components: Sequence[Component],
    *,
    step: Callable[[], object] = lambda: None,
) -> Tensor:
    """(n_answers, n_components) float64: the effect of ablating each component alone on each answer.

    The effect is the change of the answer's logit minus the mean over the vocabulary. The prompts run
    together, as far as memory allows, once per component. step: called after each component. Raises
    ModelError for a prompt that does not fit alone, and for logits that are not finite.
    """
    plain = _logits(model, answers)
    if not plain.isfinite().all():
        raise model.not_finite([answer.ids for answer in answers])
    found = torch.empty(len(answers), len(components), dtype=torch.float64)
    for place, component in enumerate(components):
        with without(model, component):
            found[:, place] = _logits(model, answers) - plain
        step()
    return found


def _logits(model: ReplacementModel, answers: Sequence[Answer]) -> Tensor:
    """(n_answers,) float64 logits of the answers minus the mean over the vocabulary."""
    wanted = next_logits(model, [(answer.ids, answer.position) for answer in answers])
    found = [
        logits[answer.token].double() - logits.mean(dtype=torch.float64)
        for answer, logits in zip(answers, wanted, strict=True)
    ]
    return torch.stack(found).cpu()
