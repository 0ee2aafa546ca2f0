"""A component that is ablated adds nothing to the residual stream, in any architecture."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ingest.engine.intervention.ablate import Answer, Attention, Component, Head, Mlp, effects, heads, without
from ingest.engine.replacement.model import ReplacementModel
from tests.support.models import IDS, MODELS, random_model, random_transcoders

N_LAYERS, N_HEADS = 3, 4


@pytest.mark.parametrize("name", MODELS)
def test_a_component_adds_nothing_in_any_architecture(name: str) -> None:
    """A head: its columns of the projection are what the projection's output loses. Attention and MLP: the
    stream behind them is the one before."""
    transcoders = random_transcoders("mlp.hook_in", cross_layer=False)
    model = ReplacementModel.build(random_model(name), None, transcoders)
    assert len(heads(model)) == N_LAYERS * N_HEADS
    parts: list[Component] = [Head(1, 2), Attention(1), Mlp(1)]
    answers = [Answer(IDS, 8, 3), Answer(IDS[:5], 4, 7)]
    steps: list[int] = []
    table = effects(model, answers, parts, step=lambda: steps.append(1))
    assert len(steps) == len(parts)
    assert bool((table.abs() > 1e-6).all())
    assert torch.allclose(table[1:], effects(model, answers[1:], parts), atol=1e-9)
    part = model.anatomy.layers[1].attention
    weight = (part.output if part.own_output is None else part.own_output)[2]
    size = weight.shape[1]
    plain, one = at_projection(model, None), at_projection(model, Head(1, 2))
    assert not one[0][..., 2 * size : 3 * size].any()
    lost = plain[0][..., 2 * size : 3 * size] @ weight.T
    assert torch.allclose(plain[1] - one[1], lost, atol=1e-9)
    for component, place in ((Attention(1), 0), (Mlp(1), 1)):
        assert not added(model, component)[place].any()
        assert added(model, None)[place].any()


def at_projection(model: ReplacementModel, component: Component | None) -> list[Tensor]:
    """Input and output of the projection behind the heads of layer 1."""
    found: list[Tensor] = []
    hook = model.anatomy.layers[1].attention.mix.register_forward_hook(
        lambda module, given, output: found.extend([given[0], output])
    )
    run(model, component)
    hook.remove()
    return found


def added(model: ReplacementModel, component: Component | None) -> list[Tensor]:
    """What attention and MLP of layer 1 give, as hooks behind the ablation see it."""
    layer, found = model.anatomy.layers[1], dict[int, Tensor]()
    if component is None:
        return _seen(model, layer, found)
    with without(model, component):
        return _seen(model, layer, found)


def _seen(model: ReplacementModel, layer: Any, found: dict[int, Tensor]) -> list[Tensor]:
    handles = [
        module.register_forward_hook(
            lambda module, given, output, place=place: found.update(
                {place: output[0] if isinstance(output, tuple) else output}
            )
        )
        for place, module in enumerate((layer.attention.module, layer.mlp))
    ]
    run(model, None)
    for handle in handles:
        handle.remove()
    return [found[0], found[1]]


def run(model: ReplacementModel, component: Component | None) -> None:
    ids = torch.tensor([IDS])
    with torch.no_grad():
        if component is None:
            model.model(input_ids=ids, use_cache=False)
        else:
            with without(model, component):
                model.model(input_ids=ids, use_cache=False)
