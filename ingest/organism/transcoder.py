"""Trains a cross-layer transcoder on the frozen model, and exports it as a JumpReLU transcoder.

1. Inputs and outputs of every MLP are centred and scaled to unit variance. <bos> and <end> are left out.
2. Each step keeps the k·tokens largest values of activation × decoder norm, over all layers together
   (batch-TopK, Bussmann et al. 2024). k falls from `FIRST_K` to its target over the first third, linearly in
   log k.
3. The loss is the mean squared error of the outputs of all layers.
4. Features that no longer fire are restarted at tokens that are badly reconstructed.
5. The running smallest kept score τ becomes the threshold τ / ‖decoder‖ of each feature, and the scaling is
   folded into the weights.

Training can start from the transcoder of another checkpoint. Then k has its target value from the first step
and step 4 is left out, so that every feature keeps its meaning as far as the checkpoint allows.
"""

import math
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from torch.nn.functional import embedding_bag
from transformers import LlamaForCausalLM

from ingest.organism.clt import CrossLayerTranscoder, recorded
from ingest.organism.corpus import BOS, END, attention_mask, batches, word_ids

ROWS = 20  # of a batch
LEARNING_RATE = 1.5e-3
FIRST_K = 150
ANNEAL = 0.35  # share of the steps in which k falls
RESAMPLE_EVERY = 100  # steps
RESAMPLE_UNTIL = 0.6  # share of the steps
DEAD_AFTER = 100  # steps without firing
TAU_MEMORY = 0.99
# Weight of the positions before answers: they matter most for the families, and they are few.
ANSWER_WEIGHT = 3.0


class TokenActivations(NamedTuple):
    """Raw activations of the model on some tokens."""

    x: Tensor
    """float32 (layer, token, d_model) MLP inputs, after the norm"""
    y: Tensor
    """float32 (layer, token, d_model) MLP outputs"""
    weight: Tensor
    """float32 (token,) weight of each token in the loss; the mean is 1"""


class Scale(NamedTuple):
    """Means and sizes that scale activations to mean 0 and unit variance."""

    x_mean: Tensor
    """float32 (layer, 1, d_model)."""
    x_size: Tensor
    """float32 (layer, 1, 1)."""
    y_mean: Tensor
    """float32 (layer, 1, d_model)."""
    y_size: Tensor
    """float32 (layer, 1, 1)."""


@torch.no_grad()
def activations(model: LlamaForCausalLM, seed: int, rows: int = ROWS) -> Iterator[TokenActivations]:
    """An endless stream of activations on seeded training batches, without `<bos>`, `<end>` and padding."""
    bos, end = word_ids()[BOS], word_ids()[END]
    with recorded(model) as (inputs, outputs):
        for batch in batches(seed, rows):
            mask = torch.zeros(1).masked_fill(~attention_mask(batch.block), torch.finfo(torch.float32).min)
            with torch.no_grad():
                model.model(input_ids=batch.ids, attention_mask=mask, use_cache=False)
            # No prompt contains <end> and nothing follows it, so it would only take up variance.
            wanted = (batch.block > 0) & (batch.ids != bos) & (batch.ids != end)
            # The model has to know an answer at the position *before* it.
            answer = torch.zeros_like(batch.weights)
            answer[:, :-1] = (batch.weights[:, 1:] == 1).float()
            weight = (1 + (ANSWER_WEIGHT - 1) * answer)[wanted]
            layers = range(len(inputs))
            yield TokenActivations(
                torch.stack([inputs[i][wanted] for i in layers]),
                torch.stack([outputs[i][wanted] for i in layers]),
                weight / weight.mean(),
            )


def measure_scale(tokens: TokenActivations) -> Scale:
    """Measure means and sizes on one large sample."""
    x_mean, y_mean = tokens.x.mean(1, keepdim=True), tokens.y.mean(1, keepdim=True)
    x_size = (tokens.x - x_mean).pow(2).mean((1, 2), keepdim=True).sqrt()
    y_size = (tokens.y - y_mean).pow(2).mean((1, 2), keepdim=True).sqrt()
    return Scale(x_mean, x_size, y_mean, y_size)


class Trainer:
    """A transcoder in training, in scaled units. The decoder of layer i is (feature, (L-i)·d_model)."""

    def __init__(
        self, tokens: TokenActivations, width: int, seed: int, start: CrossLayerTranscoder | None = None
    ) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.scale = measure_scale(tokens)
        self.n_layers, _, self.d_model = tokens.x.shape
        self.width = width
        self.tau = torch.zeros(())
        self.quiet = torch.zeros(self.n_layers, width)  # steps since a feature fired
        x, y = self.scaled(tokens)
        self.w_enc, self.b_enc, self.w_dec = [], [], []
        self.b_dec = torch.zeros(self.n_layers, self.d_model)
        for i in range(self.n_layers):
            if start is not None:
                self._take(start, i)
                continue
            # Each feature starts as a detector of one token's input, and writes a little of its outputs.
            at = torch.randint(x.shape[1], (width,), generator=self.rng)
            seen = x[i, at]
            self.w_enc.append(seen / seen.norm(dim=1, keepdim=True))
            self.b_enc.append(torch.zeros(width))
            written = y[i:, at].transpose(0, 1).reshape(width, -1)
            self.w_dec.append(0.01 * written / seen.norm(dim=1, keepdim=True))
        self.parameters = [*self.w_enc, *self.b_enc, *self.w_dec, self.b_dec]
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, betas=(0.9, 0.99))

    def _take(self, start: CrossLayerTranscoder, i: int) -> None:
        """Take layer i of another transcoder, in the units of this one: the inverse of `export`."""
        s = self.scale
        self.w_enc.append(start.w_enc[i] * s.x_size[i])
        self.b_enc.append(start.b_enc[i] + start.w_enc[i] @ s.x_mean[i, 0])
        self.w_dec.append((start.w_dec[i] / s.y_size[i:, 0]).reshape(self.width, -1))
        self.b_dec[i] = (start.b_dec[i] - s.y_mean[i, 0]) / s.y_size[i, 0]

    def scaled(self, tokens: TokenActivations) -> tuple[Tensor, Tensor]:
        """Inputs and outputs, each (layer, token, d_model), with mean 0 and unit variance."""
        s = self.scale
        return (tokens.x - s.x_mean) / s.x_size, (tokens.y - s.y_mean) / s.y_size

    def step(self, tokens: TokenActivations, k: float) -> tuple[float, Tensor]:
        """Make one update that keeps k features for each token.

        Returns the loss, which is about the mean FVU, and the errors (layer, token, d_model).
        """
        x, y = self.scaled(tokens)
        n = x.shape[1]
        before = [torch.relu(x[i] @ self.w_enc[i].T + self.b_enc[i]) for i in range(self.n_layers)]
        with torch.no_grad():
            norms = [w.norm(dim=1) for w in self.w_dec]
            scores = [a * norm for a, norm in zip(before, norms, strict=True)]
            # The k·n-th largest score, from every 8th token: accurate enough, and cheaper than all scores.
            sample = torch.cat([s[::8].flatten() for s in scores])
            keep = min(len(sample) - 1, round(k * len(range(0, n, 8))))
            cut = sample.kthvalue(len(sample) - keep).values.clamp(min=1e-6)
            self.tau = cut if self.tau == 0 else TAU_MEMORY * self.tau + (1 - TAU_MEMORY) * cut
        guess = self.b_dec[:, None, :].expand(-1, n, -1)
        parts = []
        for i in range(self.n_layers):
            token, feature = (scores[i] > cut).nonzero(as_tuple=True)
            starts = torch.searchsorted(token, torch.arange(n))
            # Few features are active, so gathering their rows is much cheaper than a dense product.
            written = embedding_bag(
                feature, self.w_dec[i], starts, mode="sum", per_sample_weights=before[i][token, feature]
            )
            written = written.view(n, self.n_layers - i, self.d_model).transpose(0, 1)
            parts.append(torch.nn.functional.pad(written, (0, 0, 0, 0, i, 0)))
            self.quiet[i] += 1
            self.quiet[i, feature] = 0
        error = y - guess - torch.stack(parts).sum(0)
        loss = (error.pow(2).mean((0, 2)) * tokens.weight).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item(), error.detach()

    @torch.no_grad()
    def resample(self, tokens: TokenActivations, error: Tensor) -> int:
        """Restart features that no longer fire at badly reconstructed tokens. Returns their number."""
        x, _ = self.scaled(tokens)
        total = 0
        for i in range(self.n_layers):
            dead = (self.quiet[i] >= DEAD_AFTER).nonzero()[:, 0]
            if not len(dead):
                continue
            total += len(dead)
            size = error[i:].pow(2).sum((0, 2))
            at = torch.multinomial(size, len(dead), replacement=len(dead) > len(size), generator=self.rng)
            seen = x[i, at]
            norm = seen.norm(dim=1, keepdim=True)
            self.w_enc[i][dead] = seen / norm
            self.b_enc[i][dead] = -0.5 * norm[:, 0]
            self.w_dec[i][dead] = error[i:, at].transpose(0, 1).reshape(len(dead), -1) / norm
            self.quiet[i, dead] = 0
            for p in (self.w_enc[i], self.b_enc[i], self.w_dec[i]):
                state = self.optimizer.state[p]
                state["exp_avg"][dead] = 0
                state["exp_avg_sq"][dead] = state["exp_avg_sq"].mean()
        return total

    @torch.no_grad()
    def export(self) -> CrossLayerTranscoder:
        """The transcoder in raw units, with one threshold for each feature."""
        s = self.scale
        layers = range(self.n_layers)
        w_enc = [self.w_enc[i] / s.x_size[i] for i in layers]
        return CrossLayerTranscoder(
            w_enc=w_enc,
            b_enc=[self.b_enc[i] - w_enc[i] @ s.x_mean[i, 0] for i in layers],
            threshold=[self.tau / self.w_dec[i].norm(dim=1).clamp(min=1e-4) for i in layers],
            w_dec=[self.w_dec[i].view(self.width, -1, self.d_model) * s.y_size[i:, 0] for i in layers],
            b_dec=[s.y_mean[i, 0] + s.y_size[i, 0] * self.b_dec[i] for i in layers],
        )


def train_transcoder(
    model: LlamaForCausalLM,
    width: int,
    k: int,
    steps: int,
    seed: int = 0,
    start: CrossLayerTranscoder | None = None,
) -> CrossLayerTranscoder:
    """Train a transcoder with `width` features in each layer.

    k: mean number of active features of one token, over all layers. start: a transcoder of a neighbouring
    checkpoint, of equal width, whose features are kept. Raises FloatingPointError when the loss diverges.
    """
    torch.set_num_threads(2)
    model.requires_grad_(False)
    # A large sample for the scales and the starting points.
    first = list(islice(activations(model, seed + 1000), 8))
    pooled = TokenActivations(
        *(
            torch.cat([getattr(t, f) for t in first], -1 if f == "weight" else 1)
            for f in TokenActivations._fields
        )
    )
    trainer = Trainer(pooled, width, seed, start)
    source = activations(model, seed + 2000)
    bar = Progress(
        TextColumn(f"transcoder {width}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=steps)
        for step in range(steps):
            done = step / steps
            k_now = k if start else k * (FIRST_K / k) ** max(0.0, 1 - done / ANNEAL)
            for group in trainer.optimizer.param_groups:
                # Linear to zero over the second half, because late noise in the thresholds costs agreement.
                group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50, 2 * (1 - done))
            tokens = next(source)
            loss, error = trainer.step(tokens, k_now)
            bar.update(task, advance=1, description=f"FVU {loss:.4f}")
            started = 0
            if (
                start is None
                and step % RESAMPLE_EVERY == RESAMPLE_EVERY - 1
                and ANNEAL / 3 < done < RESAMPLE_UNTIL
            ):
                started = trainer.resample(tokens, error)
            if step % 200 == 0 or started:
                bar.console.print(f"step {step} k {k_now:.0f} FVU {loss:.4f} restarted {started}")
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"The transcoder's loss is {loss} at step {step}; lower LEARNING_RATE"
                )
    return trainer.export()
