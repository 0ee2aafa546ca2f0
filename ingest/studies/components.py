"""Component specialisation: which heads matter for which task.

The ranking of heads by circuits is compared with that by ablation. The study also measures how much of a
circuit runs through attention.

Claim: the influence that runs through each head (`ingest.engine.heads.loadings`, gross, mean over a family's
circuits). Test: the output of the head is set to 0 at every position of the real model; the effect is the
mean drop of the correct answer's log-probability. Rank correlation compares the two rankings of all heads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.engine.attribution.prune import Pruned, node_influence, prune
from ingest.engine.heads.loadings import head_loadings, head_totals
from ingest.engine.intervention.ablate import heads, without
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.replacement.passes import next_logits
from ingest.progress import more
from ingest.studies.tools.graphs import graphs
from ingest.studies.tools.items import Item, answered, beginnings
from ingest.studies.tools.prompts import Prompts
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from schema.evidence.ranks import SHUFFLES, agreement

EACH = 12
"""Held-out prompts of each family whose circuits are analysed."""
EDGES = 50_000
"""Edges that are split into parts together."""
TESTED = 60
"""Held-out prompts of each family on which heads are ablated."""


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Compare claims and ablations for each family, and measure how much influence runs through heads."""
    findings = []
    for family in prompts.families:
        items = answered(model, prompts.splits(family).held_out[:TESTED])
        if not items:
            continue
        claimed = claims(model, items[:EACH], prompts.max_feature_nodes)
        shown = effects(model, items)
        agreed = agreement(claimed.heads.flatten().tolist(), shown.flatten().tolist())
        findings += [
            StudyFinding(
                f"{family}: rank correlation over {shown.numel()} heads, claimed influence with effect of "
                f"ablation (null: what 95 of 100 of {SHUFFLES} shuffles of the heads stay below)",
                agreed.correlation,
                agreed.null_95,
                len(items),
            ),
            StudyFinding(
                f"{family}: share of influence that crosses a layer in its heads",
                claimed.through,
                None,
                min(EACH, len(items)),
            ),
            *(
                StudyFinding(
                    f"{family}: share of feature influence in {name} layers",
                    share,
                    None,
                    min(EACH, len(items)),
                )
                for name, share in zip(
                    ("the first two", "the middle two", "the last two"), claimed.by_thirds, strict=True
                )
            ),
        ]
    return StudyResult([], findings)


class CircuitClaims(NamedTuple):
    """What circuits claim about heads and layers; means over circuits."""

    heads: Tensor
    """(n_layers, n_heads) influence that runs through each head"""
    through: float
    """Share of influence that crosses a layer in its heads, 0 to 1."""
    by_thirds: list[float]
    """Share of feature influence in the first, middle and last third of the layers; the sum is 1."""


def claims(model: ReplacementModel, items: Sequence[Item], max_feature_nodes: int | None) -> CircuitClaims:
    """What circuits claim about heads and layers.

    Returns (n_layers, n_heads) mean influence of each head, the share of influence in heads, and the share
    of feature influence in each third of the layers.
    """
    gross, through, layers = [], [], []
    for graph in graphs(model, [item.prompt for item in items], max_feature_nodes):
        pruned = prune(graph)
        of_heads, parts, past = torch.zeros(()), 0.0, 0.0
        for some in _edges(pruned):
            found = head_loadings(model, graph, some)
            of_heads = of_heads + head_totals(found, graph, some).gross
            parts += float(found.heads.abs().sum())
            past += float(found.past.abs().sum())
        gross.append(of_heads)
        # Over the layers that edges cross.
        through.append(parts / (parts + past))
        influence = node_influence(graph)[graph.feature_nodes]
        sums = torch.zeros(model.n_layers, dtype=influence.dtype)
        sums.index_add_(0, graph.features[:, 0], influence)
        layers.append(sums / sums.sum())
    thirds = [float(part.sum()) for part in torch.stack(layers).mean(0).tensor_split(3)]
    return CircuitClaims(torch.stack(gross).mean(0), sum(through) / len(through), thirds)


def _edges(pruned: Pruned) -> Iterator[Pruned]:
    """The graph with some of its edges at a time, because each edge has a part for every head."""
    for start in range(0, max(1, len(pruned.target)), EDGES):
        some = slice(start, start + EDGES)
        yield replace(
            pruned, target=pruned.target[some], source=pruned.source[some], weight=pruned.weight[some]
        )


def effects(model: ReplacementModel, items: Sequence[Item]) -> Tensor:
    """(n_layers, n_heads) mean drop of the correct answer's log-probability when a head's output is 0."""
    plain = _log_probability(model, items)
    every = heads(model)
    drops = torch.empty(len(every))
    steps = more("heads ablated", len(every))
    for place, head in enumerate(every):
        with without(model, head):
            drops[place] = float((plain - _log_probability(model, items)).mean())
        steps.advance()
    return drops.view(model.n_layers, -1)


@torch.no_grad()
def _log_probability(model: ReplacementModel, items: Sequence[Item]) -> Tensor:
    """(n_items,) log-probability of the correct answer."""
    wanted = next_logits(model, [(model.encode(item.prompt).ids, -1) for item in items])
    return torch.stack(
        [
            logits.log_softmax(-1)[list(beginnings(model, item.expected))].logsumexp(0)
            for item, logits in zip(items, wanted, strict=True)
        ]
    ).cpu()


STUDY = Study(
    "components",
    "Component specialisation",
    "Which heads matter for which task, and does ablating them show the same?",
    run,
)
