"""Choice of the most influential features before all rows are known.

Source: "Circuit Tracing" (Anthropic 2025), and `max_feature_nodes` of circuit-tracer.

1. Attribute the logits.
2. Rank all features by their influence on the logits through the rows known so far. Attribute the best
   features whose rows are not known yet.
3. Repeat step 2 until the limit is reached.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ingest.engine.attribution.prune import accumulate
from ingest.engine.attribution.rows import TargetRows, fill

RANK_EVERY = 2048
"""Number of features that are attributed between two rankings: the default of circuit-tracer."""


def most_influential(several: Sequence[TargetRows], weights: Sequence[Tensor], limit: int) -> list[Tensor]:
    """The chosen features of each prompt, (limit,) int64, ascending.

    several: the rows of prompts with more features than the limit. The rows that the rankings need are kept
    there while there is room: those of the logits, and of all features but the last ones. weights: the
    probabilities of each prompt's logits, (n_logits,).
    """
    logits = [
        torch.arange(one.n_active, one.n_active + len(weight))
        for one, weight in zip(several, weights, strict=True)
    ]
    fill(several, logits)
    chosen = [torch.empty(0, dtype=torch.int64) for _ in several]
    for count in range(0, limit, RANK_EVERY):
        if count:
            fill(several, chosen)
        for n, one in enumerate(several):
            influence = _influence(one, torch.cat([chosen[n], logits[n]]), weights[n])
            influence[chosen[n]] = -1
            best = torch.argsort(influence, descending=True, stable=True)
            chosen[n] = torch.cat([chosen[n], best[: min(RANK_EVERY, limit - count)]])
    return [one.sort().values for one in chosen]


def _influence(rows: TargetRows, known: Tensor, weights: Tensor) -> Tensor:
    """(n_active,) influence of all features on the logits through the known rows only."""
    n_active, n_inputs = rows.n_active, rows.traced.n_inputs
    start = torch.zeros(n_inputs + len(weights), dtype=torch.float64)
    start[n_inputs:] = weights
    levels = (
        (torch.where(targets < n_active, targets, targets - n_active + n_inputs), found)
        for targets, found in rows.levels(known)
    )
    return accumulate(start, levels)[:n_active]
