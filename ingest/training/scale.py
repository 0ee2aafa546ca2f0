"""Means and sizes of activations, and weights that keep outliers from ruling a fit.

The MLPs of language models write outputs a thousand times the usual size at a few tokens ("Massive
Activations in Large Language Models", Sun et al. 2024). A plain least-squares fit explains those tokens and
nothing else. Here a token's weight falls with the square of its size beyond `OUTLIER` times the median, so
that no token counts more than a token at that limit:

    weight = min(1, (OUTLIER · median / ‖y − centre‖)²)
"""

from typing import NamedTuple

import torch
from torch import Tensor

OUTLIER = 5.0
"""Times the median size: larger outputs get less weight."""
RIDGE = 1e-3
"""Penalty of the skip connection, in units of an input's mean square."""
SMALLEST = 1e-8
"""Least size of activations that are scaled; keeps constant activations from dividing by 0."""


class TokenActivations(NamedTuple):
    """Raw activations of the model on some tokens."""

    x: Tensor
    """float32 (layer, token, d_model) MLP inputs, after the norm"""
    y: Tensor
    """float32 (layer, token, d_model) MLP outputs"""
    weight: Tensor
    """float32 (token,) weight of each token in the loss"""


class Scale(NamedTuple):
    """What scales the activations of some layers to mean 0 and unit variance."""

    x_mean: Tensor
    """float32 (layer, 1, d_model)"""
    x_size: Tensor
    """float32 (layer, 1, 1)"""
    y_mean: Tensor
    """float32 (layer, 1, d_model)"""
    y_size: Tensor
    """float32 (layer, 1, 1)"""
    limit: Tensor
    """float32 (layer, 1): distance of an output from the mean beyond which its token gets less weight"""

    def scaled(self, tokens: TokenActivations) -> tuple[Tensor, Tensor]:
        """Inputs and outputs, each (layer, token, d_model), with mean 0 and unit variance."""
        return (tokens.x - self.x_mean) / self.x_size, (tokens.y - self.y_mean) / self.y_size

    def weights(self, tokens: TokenActivations) -> Tensor:
        """(layer, token): the weight of each token in the loss of each layer."""
        distance = (tokens.y - self.y_mean).norm(dim=-1)
        return (self.limit / distance.clamp(min=SMALLEST)).square().clamp(max=1) * tokens.weight


def measure_scale(tokens: TokenActivations) -> Scale:
    """Measure means and sizes on a large sample, robustly."""
    centre = tokens.y.median(1, keepdim=True).values
    distance = (tokens.y - centre).norm(dim=-1)
    limit = OUTLIER * distance.median(1, keepdim=True).values.clamp(min=SMALLEST)
    weight = (limit / distance.clamp(min=SMALLEST)).square().clamp(max=1)[..., None]
    weight = weight / weight.mean(1, keepdim=True)
    x_mean, y_mean = ((a * weight).mean(1, keepdim=True) for a in (tokens.x, tokens.y))
    x_size, y_size = (
        ((a - mean).square() * weight).mean((1, 2), keepdim=True).sqrt().clamp(min=SMALLEST)
        for a, mean in ((tokens.x, x_mean), (tokens.y, y_mean))
    )
    return Scale(x_mean, x_size, y_mean, y_size, limit)


def linear_fit(x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """(d_written, d_read): the matrix S with the least Σ weight · ‖y − S x‖² + ridge · ‖S‖².

    x: (token, d_read), y: (token, d_written), both with mean 0; weight: (token,). Solved in float64.
    """
    wide = (x * weight[:, None]).double()
    gram = wide.T @ x.double()
    gram.diagonal().add_(RIDGE * gram.diagonal().mean() + SMALLEST)
    return torch.linalg.solve(gram, wide.T @ y.double()).T.to(x.dtype)
