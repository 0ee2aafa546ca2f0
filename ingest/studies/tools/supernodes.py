"""The supernodes of the atlas as tensors, so that studies can edit whole supernodes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ingest.engine.replacement.model import ReplacementModel


@dataclass(frozen=True, eq=False)
class SupernodeTensors:
    """Disjoint groups of features."""

    number: Tensor
    """(n_layers, n_features) number of each feature's group, -1 for features without a group"""
    size: Tensor
    """(n_layers, n_features) norm of what a feature writes when its activation is 1"""

    def total(self, activations: Tensor) -> Tensor:
        """(..., n_groups) how much each group writes in total. activations: (..., n_layers, n_features)."""
        flat = (activations * self.size).flatten(-2)[..., self._inside]
        shape = *flat.shape[:-1], self._n_groups
        return torch.zeros(shape).index_add_(-1, self._grouped, flat)

    def highest(self, values: Tensor) -> Tensor:
        """(..., n_groups) the highest value in each group.

        values: (..., n_layers, n_features), not negative.
        """
        flat = values.flatten(-2)[..., self._inside]
        shape = *flat.shape[:-1], self._n_groups
        return torch.zeros(shape).scatter_reduce_(-1, self._grouped.expand(flat.shape), flat, "amax")

    def members(self, chosen: Tensor) -> Tensor:
        """(..., n_layers, n_features) bool: features in the chosen groups. chosen: (..., n_groups) bool."""
        return chosen[..., self.number.clamp(min=0)] & (self.number >= 0)

    @property
    def _inside(self) -> Tensor:
        return (self.number >= 0).flatten()

    @property
    def _grouped(self) -> Tensor:
        return self.number.flatten()[self._inside]

    @property
    def _n_groups(self) -> int:
        return int(self.number.max()) + 1

    @classmethod
    def of(cls, model: ReplacementModel, roles: Mapping[tuple[int, int], str]) -> "SupernodeTensors":
        """Build from the role of each feature: (layer, index) → label.

        All layers must have the same width.
        """
        shape = len(model.transcoders.layers), model.transcoders.layers[0].n_features
        number, size = torch.full(shape, -1), torch.zeros(shape)
        labels = {label: group for group, label in enumerate(sorted(set(roles.values())))}
        for (layer, index), label in roles.items():
            number[layer, index] = labels[label]
        for layer in range(len(number)):
            (mine,) = (number[layer] >= 0).nonzero(as_tuple=True)
            written = model.transcoders.decoder_rows(layer, mine, torch.float32)
            size[layer, mine] = written.flatten(1).norm(dim=1).cpu()
        return cls(number, size)
