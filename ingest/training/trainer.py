"""Trains the transcoders of a group of layers, and exports them as JumpReLU transcoders.

The layers of a cross-layer set are one group: a feature of layer i writes to the outputs of layers i … L-1 of
its group. A set by layer has a group for each layer.

1. Inputs and outputs of every MLP are centred and scaled to unit variance (`scale`).
2. The skip connection, if there is one, starts as the robust least-squares fit of the outputs.
3. Each step keeps the k·tokens largest values of activation × decoder norm, over all layers of the group
   (batch-TopK, Bussmann et al. 2024). k falls from `FIRST_K` times its target over the first third, linearly
   in log k.
4. The loss is the mean squared error of the outputs of all layers. Outlier tokens have less weight.
5. Features that no longer fire are restarted at tokens that are badly reconstructed.
6. The running smallest kept score τ becomes the threshold τ / ‖decoder‖ of each feature, and the scaling is
   folded into the weights.

Training can start from the transcoders of another checkpoint. Then k has its target value from the first step
and step 5 is left out, so that every feature keeps its meaning as far as the checkpoint allows.

The gradient is written by hand. Few features are active, so sums over active features are far cheaper than
dense products: `embedding_bag` computes them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from ingest.engine.errors import ModelError
from ingest.engine.replacement.memory import say_smaller
from ingest.engine.transcoders.transcoder import Transcoder
from ingest.training.scale import Scale, TokenActivations, linear_fit, measure_scale
from schema.counted import counted

LEARNING_RATE = 1.5e-3
FIRST_K = 3.0
"""Times the target: active features at the first step."""
ANNEAL = 0.35
"""Share of the steps in which k falls."""
RESTARTS = 18
"""Times in a whole training that dead features could be restarted; those early and late are left out."""
RESTART_UNTIL = 0.6
"""Share of the steps after which no feature is restarted."""
WARM_UP = 50
"""Steps in which the learning rate rises, but at most a twentieth of all steps."""
SAMPLED = 8
"""One token in so many is used to find the cut between kept and dropped scores."""


@dataclass(frozen=True)
class Schedule:
    """How long a training is, and how sparse."""

    steps: int
    k: float
    """Mean number of active features of one token in the whole group of layers."""
    keeps: bool = False
    """Whether the features of a given start are kept: k is constant, and no feature is restarted."""

    def k_at(self, step: int) -> float:
        """The number of active features of a token at a step."""
        return self.k if self.keeps else self.k * FIRST_K ** max(0.0, 1 - step / self.steps / ANNEAL)

    def rate_at(self, step: int) -> float:
        """The learning rate at a step: a short rise, and a linear fall to 0 over the second half.

        Late noise in the thresholds costs agreement.
        """
        rise = max(1, min(WARM_UP, self.steps // 20))
        return LEARNING_RATE * min(1.0, (step + 1) / rise, 2 * (1 - step / self.steps))

    @property
    def memory(self) -> float:
        """Weight of the past in the running threshold, which looks back an eighteenth of all steps."""
        return 1 - 1 / self.restart_every

    @property
    def restart_every(self) -> int:
        """Steps between two restarts of dead features, and without firing after which a feature is dead."""
        return max(5, self.steps // RESTARTS)

    def restarts_at(self, step: int) -> bool:
        """Whether dead features are restarted after a step."""
        due = step % self.restart_every == self.restart_every - 1
        return due and not self.keeps and ANNEAL / 3 < step / self.steps < RESTART_UNTIL


class Trainer:
    """The transcoders of one group of layers in training, in scaled units."""

    def __init__(
        self,
        sample: TokenActivations,
        width: int,
        seed: int,
        *,
        skip: bool = False,
        start: Sequence[Transcoder] | None = None,
    ) -> None:
        """Begin with features that detect single tokens of a large sample.

        width: features of a layer. skip: whether to fit skip connections. start: transcoders of the same
        layers and width to continue from; they decide whether there are skip connections.
        """
        self.scale = measure_scale(sample)
        self.width = width
        self.steps_done = 0
        self.together: int | None = None
        """Tokens of a batch that are computed together; None for all, until they do not fit into memory."""
        self.n_layers, _, self.d_model = sample.x.shape
        self.random = torch.Generator().manual_seed(seed)
        device = sample.x.device
        self.tau = torch.zeros((), device=device)
        self.quiet = torch.zeros(self.n_layers, width, device=device)
        """Steps since each feature fired."""
        x, y = self.scale.scaled(sample)
        self.b_dec = torch.zeros(self.n_layers, self.d_model, device=device)
        self.w_enc: list[Tensor] = []
        """(width, d_model) of each layer"""
        self.b_enc: list[Tensor] = []
        """(width,) of each layer"""
        self.w_dec: list[Tensor] = []
        """(width, (n_layers - i) · d_model) of each layer i: its own output first, then the later ones"""
        self.w_skip: list[Tensor] = []
        """(d_model written, d_model read) of each layer; empty without skip connections"""
        if start is not None:
            self._take(start)
        else:
            self._begin(x, y, self.scale.weights(sample), skip)
        self.optimizer = torch.optim.Adam(
            [p.requires_grad_() for p in self.parameters], lr=LEARNING_RATE, betas=(0.9, 0.99), fused=True
        )

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors, always in the same order."""
        return [*self.w_enc, *self.b_enc, *self.w_dec, self.b_dec, *self.w_skip]

    def _begin(self, x: Tensor, y: Tensor, weight: Tensor, skip: bool) -> None:
        # 2
        if skip:
            self.w_skip = [linear_fit(x[i], y[i], weight[i]) for i in range(self.n_layers)]
            y = torch.stack([y[i] - x[i] @ self.w_skip[i].T for i in range(self.n_layers)])
        for i in range(self.n_layers):
            # Each feature starts as a detector of one token's input, and writes a little of its outputs.
            at = torch.randint(x.shape[1], (self.width,), generator=self.random).to(x.device)
            seen = x[i, at]
            norm = seen.norm(dim=1, keepdim=True).clamp(min=1e-6)
            self.w_enc.append(seen / norm)
            self.b_enc.append(torch.zeros(self.width, device=x.device))
            self.w_dec.append(0.01 * y[i:, at].transpose(0, 1).reshape(self.width, -1) / norm)

    def _take(self, start: Sequence[Transcoder]) -> None:
        """Take over transcoders, in the units of this trainer: the inverse of `export`."""
        s = self.scale
        for i, layer in enumerate(start):
            self.w_enc.append(layer.encoder.float() * s.x_size[i])
            self.b_enc.append(layer.encoder_bias + layer.encoder.float() @ s.x_mean[i, 0])
            self.w_dec.append((layer.decoder.float() / s.y_size[i:, 0]).reshape(self.width, -1))
            b_dec = layer.decoder_bias
            if layer.skip is not None:
                b_dec = b_dec + layer.skip @ s.x_mean[i, 0]
                self.w_skip.append(layer.skip * (s.x_size[i] / s.y_size[i]))
            self.b_dec[i] = (b_dec - s.y_mean[i, 0]) / s.y_size[i, 0]

    @torch.no_grad()
    def gradient(self, tokens: TokenActivations, k: float, memory: float = 0) -> tuple[float, Tensor]:
        """Set the gradient of every parameter for one batch, of which k features a token are kept.

        memory: weight of the past in the running threshold τ. A batch that does not fit into the device's
        memory is computed in parts, which changes the sums by rounding only. Raises ModelError when not even
        one token fits.

        Returns the loss, which is about the mean FVU, and the weighted errors (layer, token, d_model).
        """
        n = tokens.x.shape[1]
        while True:
            try:
                return self._gradient(tokens, k, memory)
            except torch.OutOfMemoryError as error:
                size = min(self.together or n, n)
                if size == 1:
                    raise ModelError(
                        f"The memory of {tokens.x.device} does not hold the training of "
                        f"{counted(self.width, 'feature')} a layer on one token",
                        next_step="train fewer --features, or on another --device",
                    ) from error
            # This is outside the handler, because the error keeps alive the tensors that did not fit.
            self.together = size - size // 2
            say_smaller(tokens.x.device, size, self.together)

    def _gradient(self, tokens: TokenActivations, k: float, memory: float) -> tuple[float, Tensor]:
        x, y = self.scale.scaled(tokens)
        weight = self.scale.weights(tokens)
        weight = weight / weight.mean(1, keepdim=True).clamp(min=1e-9)
        n = x.shape[1]
        size = min(self.together or n, n)
        norms = [w.norm(dim=1) for w in self.w_dec]
        # 3
        whole = self._before(x) if size == n else None
        # The k·n-th largest score, from some of the tokens: accurate enough, and cheaper than all scores.
        sampled = (
            [[a[::SAMPLED] for a in whole]]
            if whole is not None
            else [self._before(part) for part in x[:, ::SAMPLED].split(size, 1)]
        )
        sample = torch.cat(
            [(a * norm).flatten() for part in sampled for a, norm in zip(part, norms, strict=True)]
        )
        keep = min(len(sample) - 1, round(k * len(range(0, n, SAMPLED))))
        cut = sample.kthvalue(len(sample) - keep).values.clamp(min=1e-6)
        fired = torch.zeros_like(self.quiet, dtype=torch.bool)
        for p in self.parameters:
            p.grad = None
        loss, errors = 0.0, []
        for xs, ys, weights in zip(x.split(size, 1), y.split(size, 1), weight.split(size, 1), strict=True):
            before = self._before(xs) if whole is None else whole
            guess, active = self._guess(xs, before, norms, cut)
            for i, (_, feature, _, _) in enumerate(active):
                fired[i, feature] = True
            # 4
            error = ys - guess
            loss += (error.square().mean(2) * weights).mean().item() * (xs.shape[1] / n)
            pull = error * weights[..., None] * (-2 / y.numel())
            for i in range(self.n_layers):
                self._pull_back(i, xs[i], pull, *active[i])
            _add(self.b_dec, pull.sum(1))
            for i, skip in enumerate(self.w_skip):
                _add(skip, pull[i].T @ xs[i])
            errors.append(error * weights[..., None].sqrt())
        self.tau = cut if self.steps_done == 0 else memory * self.tau + (1 - memory) * cut
        self.quiet = (self.quiet + 1).masked_fill(fired, 0)
        return loss, errors[0] if len(errors) == 1 else torch.cat(errors, 1)

    def _before(self, x: Tensor) -> list[Tensor]:
        """(token, width) of each layer: activations before the cut. x: (layer, token, d_model)."""
        return [torch.addmm(b, xi, w.T).relu_() for xi, w, b in zip(x, self.w_enc, self.b_enc, strict=True)]

    def _guess(
        self, x: Tensor, before: Sequence[Tensor], norms: Sequence[Tensor], cut: Tensor
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor, Tensor]]]:
        """The outputs as the features give them, and the features that are kept in each layer.

        before: of `_before`. norms: of the decoder vectors of each layer. Kept features are pairs of token
        and feature with their value, ordered by token, and the place in them at which each token begins.
        """
        n = x.shape[1]
        places = torch.arange(n, device=x.device)
        guess = self.b_dec[:, None, :].expand(-1, n, -1).clone()
        active = []
        for i in range(self.n_layers):
            token, feature = (before[i] * norms[i] > cut).nonzero(as_tuple=True)
            value = before[i][token, feature]
            starts = torch.searchsorted(token, places)
            written = embedding_bag(
                feature, self.w_dec[i], starts, mode="sum", per_sample_weights=value
            ).view(n, self.n_layers - i, self.d_model)
            guess[i:] += written.transpose(0, 1)
            active.append((token, feature, value, starts))
        for i, skip in enumerate(self.w_skip):
            guess[i] += x[i] @ skip.T
        return guess, active

    def _pull_back(
        self, i: int, x: Tensor, pull: Tensor, token: Tensor, feature: Tensor, value: Tensor, starts: Tensor
    ) -> None:
        """Add to the gradients of the encoder and the decoder of layer i.

        pull: (layer, token, d_model), the gradient of the loss at the outputs.
        """
        at_output = pull[i:].transpose(0, 1).reshape(len(x), -1)
        with torch.enable_grad():
            amount = value.clone().requires_grad_()
            written = embedding_bag(
                feature, self.w_dec[i].detach(), starts, mode="sum", per_sample_weights=amount
            )
        (at_value,) = torch.autograd.grad(written, amount, at_output)
        # The same pairs of token and feature, ordered by feature: sums over tokens.
        order = torch.argsort(feature, stable=True)
        counts = torch.bincount(feature, minlength=self.width)
        begins = counts.cumsum(0) - counts
        by_feature = token[order]
        _add(
            self.w_dec[i],
            embedding_bag(by_feature, at_output, begins, mode="sum", per_sample_weights=value[order]),
        )
        _add(
            self.w_enc[i],
            embedding_bag(by_feature, x, begins, mode="sum", per_sample_weights=at_value[order]),
        )
        _add(self.b_enc[i], torch.zeros_like(self.b_enc[i]).index_add_(0, feature, at_value))

    def step(self, tokens: TokenActivations, schedule: Schedule) -> float:
        """Make one update. Returns the loss. Raises FloatingPointError when the loss is not finite."""
        step = self.steps_done
        loss, error = self.gradient(tokens, schedule.k_at(step), schedule.memory)
        if not math.isfinite(loss):
            raise FloatingPointError(f"The loss is {loss} at step {step}")
        for group in self.optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        if schedule.restarts_at(step):
            self.restart(tokens, error, schedule.restart_every)
        return loss

    @torch.no_grad()
    def restart(self, tokens: TokenActivations, error: Tensor, dead_after: int) -> int:
        """Restart features that no longer fire at badly reconstructed tokens. Returns their number.

        error: (layer, token, d_model) of these tokens. dead_after: steps without firing.
        """
        x, _ = self.scale.scaled(tokens)
        total = 0
        for i in range(self.n_layers):
            dead = (self.quiet[i] >= dead_after).nonzero()[:, 0]
            if not len(dead):
                continue
            total += len(dead)
            size = error[i:].square().sum((0, 2)).cpu()
            at = torch.multinomial(size, len(dead), replacement=len(dead) > len(size), generator=self.random)
            at = at.to(x.device)
            seen = x[i, at]
            norm = seen.norm(dim=1, keepdim=True).clamp(min=1e-6)
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
    def export(self) -> list[Transcoder]:
        """The transcoders in raw units, with one threshold for each feature."""
        s, found = self.scale, []
        for i in range(self.n_layers):
            encoder = self.w_enc[i] / s.x_size[i]
            decoder_bias = s.y_mean[i, 0] + s.y_size[i, 0] * self.b_dec[i]
            skip = None
            if self.w_skip:
                skip = self.w_skip[i] * (s.y_size[i] / s.x_size[i])
                decoder_bias = decoder_bias - skip @ s.x_mean[i, 0]
            found.append(
                Transcoder(
                    encoder=encoder,
                    encoder_bias=self.b_enc[i] - encoder @ s.x_mean[i, 0],
                    decoder=self.w_dec[i].view(self.width, -1, self.d_model) * s.y_size[i:, 0],
                    decoder_bias=decoder_bias,
                    threshold=self.tau / self.w_dec[i].norm(dim=1).clamp(min=1e-4),
                    skip=skip,
                )
            )
        return found

    def state(self) -> dict[str, Tensor]:
        """Everything that training needs to continue as if it had not stopped."""
        found = {f"parameter.{i}": p.detach() for i, p in enumerate(self.parameters)}
        for i, p in enumerate(self.parameters):
            found |= {f"adam.{i}.{name}": value for name, value in self.optimizer.state[p].items()}
        found |= {f"scale.{name}": value for name, value in self.scale._asdict().items()}
        counted = torch.tensor([self.steps_done, self.n_layers, self.width, len(self.w_skip)])
        return found | {
            "counts": counted, "tau": self.tau, "quiet": self.quiet, "random": self.random.get_state()
        }  # fmt: skip

    @classmethod
    def resume(cls, state: Mapping[str, Tensor]) -> "Trainer":
        """The trainer whose state was taken."""
        self = cls.__new__(cls)
        self.steps_done, self.n_layers, self.width, n_skips = state["counts"].tolist()
        self.together = None
        self.scale = Scale(*(state[f"scale.{name}"] for name in Scale._fields))
        self.tau, self.quiet = state["tau"], state["quiet"]
        self.random = torch.Generator()
        self.random.set_state(state["random"].cpu())
        n, parameters = self.n_layers, [
            state[f"parameter.{i}"].requires_grad_() for i in range(3 * self.n_layers + 1 + n_skips)
        ]  # fmt: skip
        self.w_enc, self.b_enc, self.w_dec = (parameters[i * n : (i + 1) * n] for i in range(3))
        self.b_dec, self.w_skip = parameters[3 * n], parameters[3 * n + 1 :]
        self.d_model = self.b_dec.shape[1]
        self.optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE, betas=(0.9, 0.99), fused=True)
        for i, p in enumerate(parameters):
            kept = {
                name.removeprefix(f"adam.{i}."): value
                for name, value in state.items()
                if name.startswith(f"adam.{i}.")
            }
            if kept:
                self.optimizer.state[p] = kept
        return self


def _add(parameter: Tensor, gradient: Tensor) -> None:
    """Add to the gradient of a parameter, which begins as None."""
    parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
