"""Effects of changed features on the answer, against edits of the real model."""

import pytest
import torch

from ingest.engine.intervention.answer_effects import effects_on_logit
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.intervene import Case, FeatureChanges, intervene_many
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import Tiny, tokenizer
from tests.support.models import IDS, N_FEATURES, N_LAYERS, random_model, random_transcoders

STEP = 1e-5


@pytest.mark.parametrize("cross_layer", [True, False], ids=["clt", "plt"])
@pytest.mark.parametrize("name", ["mistral", "gemma2", "gpt-oss", "gpt-neox, parallel"])
def test_an_effect_is_what_a_small_edit_does(name: str, cross_layer: bool) -> None:
    transcoders = random_transcoders("mlp.hook_in", cross_layer=cross_layer)
    model = ReplacementModel.build(random_model(name), tokenizer(Tiny()), transcoders)
    plain = model.freeze(IDS)
    answer = int(plain.logits[-1].argmax())
    active = [layer.activate(read) for layer, read in zip(transcoders.layers, model.read(plain), strict=True)]
    where = torch.tensor(
        [
            (layer, position, index)
            for layer in range(N_LAYERS)
            for position in (1, 4, len(IDS) - 1)
            for index in range(0, N_FEATURES, 4)
        ]
    )
    before = torch.stack([active[layer][position, index] for layer, position, index in where.tolist()])
    found = effects_on_logit(model, IDS, answer, FeatureChanges(where, before, before + STEP))
    cases = [
        Case(IDS, [Edit(layer, position, index, float(value) + STEP)])
        for (layer, position, index), value in zip(where.tolist(), before, strict=True)
    ]
    measured = torch.stack(
        [
            (outcome.logits[-1, answer] - outcome.logits[-1].mean())
            - (plain.logits[-1, answer] - plain.logits[-1].mean())
            for outcome in intervene_many(model, cases)
        ]
    )
    assert (found[where[:, 1] == len(IDS) - 1] != 0).all()
    torch.testing.assert_close(found / STEP, measured / STEP, rtol=1e-3, atol=1e-5)
