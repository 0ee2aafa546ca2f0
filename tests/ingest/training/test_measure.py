"""What `measure` reports, against plain loops over tokens and layers."""

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.training.measure import layer_groups, measure
from ingest.training.replace import Reconstruction, replaced
from ingest.training.texts import contexts
from schema.annotations.measured import MeasuredSet
from tests.support.engine import WORDS, Tiny, save
from tests.support.models import MODELS, READ_AT, random_model, random_transcoders


def texts(model: ReplacementModel, n: int = 20) -> list[Encoded]:
    random = np.random.default_rng(1)
    return contexts(model, [" ".join(random.choice(WORDS, 5 + i % 5)) for i in range(n)], 12)


def slow_outputs(
    model: ReplacementModel, ids: Collection[int], layers: Collection[int], means: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Llama written out, with the MLPs of some layers replaced, token by token.

    Returns logits (T, vocab), what each layer's MLP would write itself, and what its transcoder writes.
    """
    llama = model.model.model
    set_ = model.transcoders
    ids = list(ids)
    positions = torch.arange(len(ids))[None]
    x = llama.embed_tokens(torch.tensor([ids]))
    rotary = llama.rotary_emb(x, positions)
    mask = torch.full((len(ids), len(ids)), -math.inf).triu(1)[None, None]
    own, guesses, active = [], [], []
    for number, layer in enumerate(llama.layers):
        x = x + layer.self_attn(layer.input_layernorm(x), position_embeddings=rotary, attention_mask=mask)[0]
        normed = layer.post_attention_layernorm(x)
        read = {"hook_resid_mid": x, "mlp.hook_in": normed}[set_.read_at][0]
        written = layer.mlp(normed)[0]
        active.append([set_.layers[number].activate(read[t]) for t in range(len(ids))])
        guess = torch.zeros_like(written)
        for t in range(len(ids)):
            guess[t] = set_.layers[number].base(read[t])
            for below in range(number + 1):
                decoder = set_.layers[below].decoder
                if number - below < decoder.shape[1]:
                    guess[t] += active[below][t] @ decoder[:, number - below].float()
        own.append(written)
        guesses.append(guess)
        if number in layers:
            instead = guess.clone() if means is None else means[number].expand_as(guess).clone()
            instead[0] = written[0]
            written = instead
        x = x + written[None]
    return model.model.lm_head(llama.norm(x))[0], torch.stack(own), torch.stack(guesses)


@pytest.mark.parametrize("tiny", [Tiny(), Tiny(skip=True, read_at="hook_resid_mid", activation="relu")])
@torch.no_grad()
def test_every_figure_is_that_of_plain_loops(tiny: Tiny, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(tiny, tmp_path))
    pieces = texts(model)
    groups = {"all": range(3), "0,2": [0, 2], "1": [1]}
    found = measure(model, pieces, groups=groups, agreement_tokens=None)

    own: list[list[Tensor]] = [[], [], []]
    guesses: list[list[Tensor]] = [[], [], []]
    fires: list[list[Tensor]] = [[], [], []]
    for piece in pieces:
        _, outputs, rebuilt = slow_outputs(model, piece.ids, ())
        for number in range(3):
            own[number] += list(outputs[number][1:])
            guesses[number] += list(rebuilt[number][1:])
        read = model.read(model.freeze(piece.ids))
        for number, part in enumerate(model.transcoders.layers):
            fires[number] += [part.activate(read[number][t]) != 0 for t in range(1, len(piece.ids))]
    n = sum(len(piece.ids) - 1 for piece in pieces)
    assert (found.tokens, found.contexts, len(found.layers)) == (n, len(pieces), 3)
    means = torch.stack([torch.stack(rows).mean(0) for rows in own])
    for number, layer in enumerate(found.layers):
        error = sum(float((y - g).square().sum()) for y, g in zip(own[number], guesses[number], strict=True))
        variance = sum(float((y - means[number]).square().sum()) for y in own[number])
        assert layer.fvu == pytest.approx(error / variance, rel=1e-4)
        share = torch.stack(fires[number]).double().mean(0)
        assert layer.l0 == pytest.approx(float(share.sum()))
        assert layer.dead == int((share == 0).sum())
        assert layer.dense == int((share >= 0.1).sum())
        assert layer.density == pytest.approx(float(share[share > 0].median()))
        assert (layer.layer, layer.features, layer.outliers) == (number, 12, 0)
        assert layer.fvu_ordinary == pytest.approx(layer.fvu)

    for replacement, (name, layers) in zip(found.replacements, groups.items(), strict=True):
        same = divergence = loss = plain = ruined = asked = 0.0
        for piece in pieces:
            before, after, mean = (
                torch.log_softmax(slow_outputs(model, piece.ids, part, with_)[0], -1)
                for part, with_ in (((), None), (layers, None), (layers, means))
            )
            for t in range(1, len(piece.ids) - 1):
                follows = piece.ids[t + 1]
                asked += 1
                same += int(before[t].argmax()) == int(after[t].argmax())
                divergence += float((before[t].exp() * (before[t] - after[t])).sum())
                plain -= float(before[t, follows])
                loss -= float(after[t, follows])
                ruined -= float(mean[t, follows])
        assert (replacement.name, replacement.layers) == (name, list(layers))
        assert replacement.agreement == pytest.approx(same / asked)
        assert replacement.kl == pytest.approx(divergence / asked, rel=1e-3)
        assert replacement.loss == pytest.approx(loss / asked, rel=1e-4)
        assert replacement.model_loss == pytest.approx(plain / asked, rel=1e-4)
        recovered = (ruined - loss) / (ruined - plain) if ruined > plain else None
        assert replacement.loss_recovered == (
            None if recovered is None else pytest.approx(recovered, rel=1e-2)
        )
    assert found.agreement_tokens == asked
    assert found.agreement == found.replacements[0].agreement
    assert found.fvu == sorted(layer.fvu or 0 for layer in found.layers)[1]
    assert MeasuredSet.from_text(found.to_text()) == found


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_transcoders_that_write_what_the_mlps_write_change_nothing(name: str) -> None:
    """In every architecture, with the outputs of a recording in place of a reconstruction."""
    read_at = READ_AT[sorted(MODELS).index(name) % 3]
    model = ReplacementModel.build(
        random_model(name), None, random_transcoders(read_at, cross_layer=name == "qwen2")
    )
    ids = (0, 6, 4, 7, 4, 8)
    frozen = model.freeze(ids)
    wanted = torch.ones(1, len(ids), dtype=torch.bool)
    wanted[0, 0] = False
    with replaced(model, range(3), lambda number, read: frozen.mlp_output[number][1:], wanted):
        logits = model.freeze(ids).logits
    torch.testing.assert_close(logits, frozen.logits)
    read = model.read(frozen)
    seen: list[Tensor] = []

    def keep(number: int, given: Tensor) -> Tensor:
        seen.append(given)
        return given

    with replaced(model, (), keep, wanted, asked=range(3)):
        assert torch.equal(model.freeze(ids).logits, frozen.logits)
    torch.testing.assert_close(torch.stack(seen), read[:, 1:])
    with replaced(model, [1], Reconstruction(model), wanted):
        assert not torch.allclose(model.freeze(ids).logits[1:], frozen.logits[1:])


def test_the_default_groups_are_all_thirds_and_single_layers() -> None:
    assert layer_groups(6) == {
        "all": range(6), "0-1": range(2), "2-3": range(2, 4), "4-5": range(4, 6),
        **{str(n): range(n, n + 1) for n in range(6)},
    }  # fmt: skip
    assert layer_groups(1) == {"all": range(1), "0": range(1)}
