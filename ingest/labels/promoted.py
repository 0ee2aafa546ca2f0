"""The tokens whose logits features raise or lower most, for many features at a time.

1. write     what one unit of each feature's activation adds to the residual stream, over all layers that it
             writes to. The scale of the last norm is taken as 1
2. multiply  with the unembedding, `BYTES` of logits at a time: the candidates are somewhat more tokens than
             are wanted
3. order     the candidates by products in float64. The last bits of the product of step 2 depend on the
             features that are computed together, and the answer must not
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.adapters.anatomy import wide
from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import FeatureKey

BYTES = 64 << 20
"""Size of the logits that are computed together."""
SPARE = 8
"""Candidates beyond the tokens that are wanted."""


class Promoted(NamedTuple):
    """The tokens of some features, each (n_features, n) vocabulary ids, the strongest effect first."""

    raised: Tensor
    lowered: Tensor


def written(model: ReplacementModel, keys: Sequence[FeatureKey]) -> Tensor:
    """(n_features, d_model): what a unit of each feature's activation writes, times the last norm's gain."""
    found = torch.empty(len(keys), model.d_model, device=model.device)
    layers = torch.tensor([layer for layer, _ in keys])
    indices = torch.tensor([index for _, index in keys], device=model.device)
    for layer in layers.unique().tolist():
        mine = (layers == layer).nonzero().flatten().to(model.device)
        found[mine] = model.transcoders.decoder_rows(layer, indices[mine], torch.float32).sum(1)
    return model.anatomy.final_norm.forward(found, found.new_ones(1)).float()


def promoted(model: ReplacementModel, vectors: Tensor, n: int) -> Tensor:
    """(n_vectors, n): the tokens whose logits each vector raises most.

    Among equal effects, the lower id is first. A small vocabulary gives fewer than n tokens.

    vectors: (n_vectors, d_model) float32, as from `written`.
    """
    return _joined([_strongest(model, part, effects, n) for part, effects in _effects(model, vectors)], n)


def promoted_and_suppressed(model: ReplacementModel, vectors: Tensor, n: int) -> Promoted:
    """The tokens whose logits each vector raises most, and those that it lowers most; see `promoted`."""
    raised, lowered = [], []
    for part, effects in _effects(model, vectors):
        raised.append(_strongest(model, part, effects, n))
        lowered.append(_strongest(model, -part, effects.neg_(), n))
    return Promoted(_joined(raised, n), _joined(lowered, n))


def _effects(model: ReplacementModel, vectors: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Some vectors at a time, with their effects (n, vocab_size) on all logits."""
    weight = model.anatomy.unembedding
    for part in vectors.split(max(1, BYTES // (4 * model.vocab_size))):
        yield part, wide(part.to(weight.dtype) @ weight.T)


def _strongest(model: ReplacementModel, vectors: Tensor, effects: Tensor, n: int) -> Tensor:
    tokens = effects.topk(min(n + SPARE, model.vocab_size)).indices.sort().values
    exact = torch.einsum("vd,vtd->vt", vectors.double(), model.anatomy.unembedding[tokens].double())
    order = exact.sort(dim=1, descending=True, stable=True).indices
    return tokens.gather(1, order[:, :n])


def _joined(parts: list[Tensor], n: int) -> Tensor:
    return torch.cat(parts) if parts else torch.empty(0, n, dtype=torch.int64)
