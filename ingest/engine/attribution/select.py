"""The features that matter most, chosen before all rows are known ("Circuit Tracing", Anthropic 2025, and
`max_feature_nodes` of circuit-tracer).

1. Attribute the logits.
2. Rank all features by their influence on the logits through the rows known so far; attribute the best of
   those that are not known yet.
3. Again, until enough are known.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ingest.engine.attribution.prune import accumulate
from ingest.engine.attribution.rows import Rows, fill

RANK_EVERY = 2048
"""Features that are attributed between two rankings, as in circuit-tracer by default."""


def most_influential(several: Sequence[Rows], weights: Sequence[Tensor], limit: int) -> list[Tensor]:
    """Of each prompt the chosen features (limit,) int64, ascending. Their rows and the logits' are kept where
    there is room.

    several: prompts with more features than the limit; weights: of each (n_logits,) probabilities.
    """
    logits = [
        torch.arange(one.n_active, one.n_active + len(weight))
        for one, weight in zip(several, weights, strict=True)
    ]
    fill(several, logits)
    chosen = [torch.empty(0, dtype=torch.int64) for _ in several]
    for count in range(0, limit, RANK_EVERY):
        for n, one in enumerate(several):
            influence = _influence(one, torch.cat([chosen[n], logits[n]]), weights[n])
            influence[chosen[n]] = -1
            best = torch.argsort(influence, descending=True, stable=True)
            chosen[n] = torch.cat([chosen[n], best[: min(RANK_EVERY, limit - count)]])
        fill(several, chosen)
    return [one.sort().values for one in chosen]


def _influence(rows: Rows, known: Tensor, weights: Tensor) -> Tensor:
    """(n_active,) influence of features on the logits through the known rows only."""
    n_active, n_inputs = rows.n_active, rows.traced.n_inputs
    start = torch.zeros(n_inputs + len(weights), dtype=torch.float64)
    start[n_inputs:] = weights
    levels = (
        (torch.where(targets < n_active, targets, targets - n_active + n_inputs), found)
        for targets, found in rows.levels(known)
    )
    return accumulate(start, levels)[:n_active]
