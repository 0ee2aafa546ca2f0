"""The transcoder's trainer: what it exports is what it trained, in raw units."""

import torch

from ingest.organism.clt import CrossLayerTranscoder
from ingest.organism.transcoder import TokenActivations, Trainer


def tokens(n: int = 200, layers: int = 3, d_model: int = 8) -> TokenActivations:
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(layers, n, d_model, generator=rng) * 3 + 1
    y = torch.randn(layers, n, d_model, generator=rng) * torch.tensor([1.0, 5.0, 0.2])[:, None, None] - 2
    return TokenActivations(x, y, torch.ones(n))


def test_export_gives_the_trainers_reconstruction_in_raw_units(tmp_path):
    sample = tokens()
    trainer = Trainer(sample, width=32, seed=0)
    for _ in range(20):
        trainer.step(sample, k=4)
    trainer.tau.zero_()  # the next step takes its own cut as the threshold
    weights = [p.detach().clone() for p in trainer.parameters]
    _, error = trainer.step(sample, k=4)
    with torch.no_grad():
        for p, old in zip(trainer.parameters, weights, strict=True):
            p.copy_(old)
    clt = trainer.export()
    clt.save(tmp_path, torch.float32)
    clt = CrossLayerTranscoder.load(tmp_path)
    active = [clt.encode(i, sample.x[i]) for i in range(3)]
    got = torch.stack([clt.decode(i, active) for i in range(3)])
    want = sample.y - error * trainer.scale.y_size
    torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)
    assert 3 < sum((a > 0).float().sum(-1).mean() for a in active) < 5


def test_dead_features_start_again():
    sample = tokens()
    trainer = Trainer(sample, width=32, seed=0)
    for _ in range(3):
        _, error = trainer.step(sample, k=2)
    trainer.quiet[1, :5] = 1000
    assert trainer.resample(sample, error) == 5
    assert trainer.quiet[1, :5].sum() == 0


def test_a_start_is_taken_over_whatever_the_units():
    sample = tokens()
    trainer = Trainer(sample, width=32, seed=0)
    for _ in range(5):
        trainer.step(sample, k=4)
    before = trainer.export()
    other = tokens(n=100)
    other = TokenActivations(other.x * 7 + 3, other.y * 0.1 - 5, other.weight)
    after = Trainer(other, width=32, seed=3, start=before).export()
    for name in ("w_enc", "b_enc", "w_dec", "b_dec"):
        for got, want in zip(getattr(after, name), getattr(before, name), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
