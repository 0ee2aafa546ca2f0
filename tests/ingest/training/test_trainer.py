"""The trainer's steps: loss and gradient against autograd, export, restarts, starts."""

import logging
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ingest.engine.errors import ModelError
from ingest.engine.replacement.memory import say_smaller
from ingest.engine.transcoders.formats import recognise
from ingest.engine.transcoders.save import save
from ingest.engine.transcoders.transcoder import TranscoderSet
from ingest.training.scale import TokenActivations, linear_fit, measure_scale
from ingest.training.trainer import SAMPLED, Schedule, Trainer


def tokens(n: int = 200, layers: int = 3, d_model: int = 8, seed: int = 1) -> TokenActivations:
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(layers, n, d_model, generator=random) * 3 + 1
    sizes = torch.tensor([1.0, 5.0, 0.2])[:layers, None, None]
    y = torch.randn(layers, n, d_model, generator=random) * sizes - 2
    y += 0.5 * sizes * x.flip(2)
    return TokenActivations(x, y, torch.ones(n))


def trained(sample: TokenActivations, steps: int = 20, k: float = 4, **settings: object) -> Trainer:
    trainer = Trainer(sample, 32, 0, **settings)  # type: ignore[arg-type]
    schedule = Schedule(steps, k, keeps=True)
    for _ in range(steps):
        trainer.step(sample, schedule)
    return trainer


def slow_loss(trainer: Trainer, sample: TokenActivations, k: float) -> Tensor:
    """The loss as the docstring defines it: dense products, one layer and one token after the other."""
    scale, d = trainer.scale, trainer.d_model
    x, y = scale.scaled(sample)
    n_layers, n = x.shape[:2]
    before = [torch.relu(x[i] @ trainer.w_enc[i].T + trainer.b_enc[i]) for i in range(n_layers)]
    norms = [trainer.w_dec[i].detach().norm(dim=1) for i in range(n_layers)]
    sampled = torch.cat([(a.detach()[::SAMPLED] * m).flatten() for a, m in zip(before, norms, strict=True)])
    kept = min(len(sampled) - 1, round(k * math.ceil(n / SAMPLED)))
    cut = sampled.sort(descending=True).values[kept]
    total = torch.zeros(())
    for j in range(n_layers):
        weights = []
        for t in range(n):
            distance = float((sample.y[j, t] - scale.y_mean[j, 0]).norm())
            weights.append(min(1.0, (float(scale.limit[j]) / distance) ** 2))
        for t in range(n):
            guess = trainer.b_dec[j]
            for i in range(j + 1):
                mask = (before[i][t].detach() * norms[i]) > cut
                decoder = trainer.w_dec[i][:, (j - i) * d : (j - i + 1) * d]
                guess = guess + (before[i][t] * mask) @ decoder
            if trainer.w_skip:
                guess = guess + trainer.w_skip[j] @ x[j, t]
            error = (y[j, t] - guess).square().mean()
            total = total + error * weights[t] / (sum(weights) / n)
    return total / (n_layers * n)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_loss_and_gradient_are_those_of_the_plain_definition(layers: int, skip: bool) -> None:
    sample = tokens(n=40, layers=layers)
    sample.y[0, 5] *= 1000  # an outlier
    trainer = trained(sample, 5, skip=skip)
    batch = tokens(n=24, layers=layers, seed=2)
    batch.y[0, 7] *= 1000
    loss, _ = trainer.gradient(batch, 3)
    expected = slow_loss(trainer, batch, 3)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)
    wanted = torch.autograd.grad(expected, trainer.parameters)
    assert len(wanted) == 3 * layers + 1 + skip * layers
    assert sum(bool(gradient.abs().max() > 0) for gradient in wanted) > len(wanted) / 2
    for parameter, gradient in zip(trainer.parameters, wanted, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-7)


class Room(TorchDispatchMode):
    """A device that holds no tensor of more than some numbers."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor) and found.numel() > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return found


@pytest.mark.parametrize(
    ("layers", "skip", "most", "sizes"),
    [(1, False, 5_000, (601, 301, 151)), (3, False, 15_000, (601, 301)), (3, True, 15_000, (601, 301))],
)
def test_a_batch_that_does_not_fit_is_computed_in_parts(
    layers: int, skip: bool, most: int, sizes: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    say_smaller.cache_clear()
    whole, parts = (trained(tokens(n=40, layers=layers), 2, skip=skip) for _ in range(2))
    schedule = Schedule(6, 4)
    with caplog.at_level(logging.WARNING):
        for seed in range(4):
            batch = tokens(n=sizes[0], layers=layers, seed=seed)
            wanted, wanted_error = whole.gradient(batch, 3, 0.5)
            with Room(most):
                loss, error = parts.gradient(batch, 3, 0.5)
            assert loss == pytest.approx(wanted, rel=1e-5)
            torch.testing.assert_close(error, wanted_error, rtol=1e-3, atol=1e-5)
            torch.testing.assert_close(parts.tau, whole.tau)
            assert torch.equal(parts.quiet, whole.quiet)
            for one, other in zip(parts.parameters, whole.parameters, strict=True):
                torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-6)
            # The next step is from the same place, because sums in another order drift apart.
            whole.step(batch, schedule)
            parts.step(batch, schedule)
            for one, other in zip(parts.parameters, whole.parameters, strict=True):
                one.data.copy_(other.data)
    assert [record.getMessage() for record in caplog.records] == [
        f"The memory of cpu does not hold a batch of {size}; it goes on with {smaller} at a time."
        for size, smaller in pairwise(sizes)
    ]
    with Room(parts.width - 1), pytest.raises(ModelError, match="does not hold the training of 32 features"):
        parts.gradient(batch, 3)


@pytest.mark.parametrize("skip", [False, True])
def test_an_export_is_the_trainers_reconstruction_in_raw_units(skip: bool, tmp_path) -> None:
    sample = tokens()
    trainer = trained(sample, skip=skip)
    _, error = trainer.gradient(sample, 4)
    save(
        TranscoderSet(tuple(trainer.export()), "set", "mlp.hook_in", "mlp.hook_out"),
        tmp_path,
        dtype=torch.float32,
    )
    found = recognise.read(tmp_path)
    assert (found.kind, found.activation, found.has_skip) == ("clt", "jumprelu", skip)
    active = found.encode(sample.x, n_left_out=0)
    assert 3 < len(active.activation) / sample.x.shape[1] < 5
    weights = trainer.scale.weights(sample)
    weights = weights / weights.mean(1, keepdim=True)
    want = sample.y - error / weights[..., None].sqrt() * trainer.scale.y_size
    for layer, (rows, vectors) in enumerate(found.writes(active)):
        got = found.layers[layer].base(sample.x[layer]).expand(sample.x.shape[1:])
        got = got.index_add(0, active.where[rows, 1], vectors)
        torch.testing.assert_close(got, want[layer], rtol=1e-3, atol=1e-3)


def test_decoding_a_layer_is_the_sum_of_what_its_features_write(tmp_path) -> None:
    found = TranscoderSet(tuple(trained(tokens()).export()), "set", "mlp.hook_in", "mlp.hook_out")
    for number, layer in enumerate(found.layers):
        activation = layer.activate(tokens().x[number])
        activation[3] = 0
        torch.testing.assert_close(
            found.decode(number, activation),
            torch.einsum("nf,fwd->nwd", activation, layer.decoder),
            rtol=1e-4,
            atol=1e-4,
        )
        assert found.decode(number, activation * 0).abs().max() == 0


def test_dead_features_start_again() -> None:
    sample = tokens()
    trainer = trained(sample, 3, 2)
    _, error = trainer.gradient(sample, 2)
    trainer.quiet[:] = 0
    trainer.quiet[1, :5] = 1000
    assert trainer.restart(sample, error, 100) == 5
    assert trainer.quiet[1, :5].sum() == 0


@pytest.mark.parametrize("skip", [False, True])
def test_a_start_is_taken_over_whatever_the_units(skip: bool) -> None:
    before = trained(tokens(), 5, skip=skip).export()
    other = tokens(n=100)
    other = TokenActivations(other.x * 7 + 3, other.y * 0.1 - 5, other.weight)
    after = Trainer(other, 32, 3, start=before).export()
    for got, want in zip(after, before, strict=True):
        for name in ("encoder", "encoder_bias", "decoder", "decoder_bias", "skip"):
            if getattr(want, name) is not None:
                torch.testing.assert_close(getattr(got, name), getattr(want, name), rtol=1e-4, atol=1e-4)


def test_a_resumed_trainer_gives_the_same_weights() -> None:
    sample, schedule = tokens(), Schedule(40, 4)
    straight, stopped = Trainer(sample, 32, 0, skip=True), Trainer(sample, 32, 0, skip=True)
    batches = [tokens(n=60, seed=seed) for seed in range(40)]
    for batch in batches:
        straight.step(batch, schedule)
    for batch in batches[:17]:
        stopped.step(batch, schedule)
    resumed = Trainer.resume({name: tensor.clone() for name, tensor in stopped.state().items()})
    for batch in batches[17:]:
        resumed.step(batch, schedule)
    for got, want in zip(resumed.export(), straight.export(), strict=True):
        for name in ("encoder", "encoder_bias", "decoder", "decoder_bias", "threshold", "skip"):
            assert torch.equal(getattr(got, name), getattr(want, name)), name


def test_training_lowers_the_loss_and_keeps_k_features() -> None:
    sample = tokens(n=400, layers=1)
    trainer, schedule = Trainer(sample, 64, 0), Schedule(300, 6)
    losses = [trainer.step(sample, schedule) for _ in range(300)]
    assert losses[-1] < 0.5 * losses[0]
    (layer,) = trainer.export()
    assert 5 < (layer.activate(sample.x[0]) != 0).sum(1).float().mean() < 7


def test_a_few_huge_tokens_do_not_rule_a_linear_fit() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(1, 500, 6, generator=random)
    true = torch.randn(6, 6, generator=random)
    y = x @ true.T + 0.1 * torch.randn(1, 500, 6, generator=random)
    y[0, :7] = 24_882 * torch.randn(7, 6, generator=random)
    sample = TokenActivations(x, y, torch.ones(500))
    scale = measure_scale(sample)
    scaled_x, scaled_y = scale.scaled(sample)

    def raw(fit: Tensor) -> Tensor:
        return fit * (scale.y_size[0] / scale.x_size[0])

    robust = raw(linear_fit(scaled_x[0], scaled_y[0], scale.weights(sample)[0]))
    plain = raw(linear_fit(scaled_x[0], scaled_y[0], torch.ones(500)))
    assert (robust - true).norm() < 0.3 * true.norm()
    assert (plain - true).norm() > 10 * true.norm()
