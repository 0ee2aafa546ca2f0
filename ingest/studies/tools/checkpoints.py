"""Compares checkpoints: how much of a finished circuit exists earlier, and whether features stay the same.

The transcoders of each checkpoint were trained from those of the next checkpoint
(`ingest.organism.transcoder`), so that layer and index should name the same feature at all checkpoints.
`identity` measures how true that is.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import prune
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import activity, text_tokens
from ingest.studies.tools.items import Item

Key = tuple[int | str, ...]


class CircuitParts(NamedTuple):
    """The parts of a pruned circuit, under names that do not depend on the checkpoint."""

    features: frozenset[Key]
    """(layer, position, index)"""
    edges: frozenset[tuple[Key, Key]]
    """(source, target) of features, tokens ("token", position) and logits ("logit", vocabulary id)"""


def parts(graph: GraphNodes) -> CircuitParts:
    """The kept features, and the kept edges except those from error nodes."""
    pruned = prune(graph)
    keys: list[Key | None] = [tuple(each) for each in graph.features.tolist()]
    keys += [None] * len(range(*graph.error_nodes.indices(graph.n_nodes)))
    keys += [("token", position) for position in range(graph.n_positions)]
    keys += [("logit", index) for index in graph.logit_ids.tolist()]
    kept = pruned.nodes.nonzero().flatten().tolist()
    edges = []
    for source, target in zip(pruned.source.tolist(), pruned.target.tolist(), strict=True):
        ends = keys[source], keys[target]
        if ends[0] is not None and ends[1] is not None:
            edges.append((ends[0], ends[1]))
    features = [key for node in kept if node < graph.n_features and (key := keys[node]) is not None]
    return CircuitParts(frozenset(features), frozenset(edges))


class Overlap(NamedTuple):
    """Share of finished circuits that exists at an earlier checkpoint; means over prompts, 0 to 1."""

    features: float
    """Share of the finished circuit's features that the earlier circuit of the same prompt has."""
    edges: float
    """Share of the finished circuit's edges that the earlier circuit of the same prompt has."""
    null_features: float
    """Share of features when the finished circuit is that of another prompt."""
    null_edges: float
    """Share of edges when the finished circuit is that of another prompt."""


def overlap(earlier: Sequence[CircuitParts], finished: Sequence[CircuitParts], *, seed: int = 0) -> Overlap:
    """Compare earlier and finished circuits, prompt by prompt. Needs at least two prompts."""
    random = Random(seed)
    others = [
        finished[random.choice([n for n in range(len(finished)) if n != at])] for at in range(len(finished))
    ]

    def shares(wanted: Sequence[CircuitParts]) -> tuple[float, float]:
        features = [
            len(e.features & w.features) / max(1, len(w.features))
            for e, w in zip(earlier, wanted, strict=True)
        ]
        edges = [len(e.edges & w.edges) / max(1, len(w.edges)) for e, w in zip(earlier, wanted, strict=True)]
        return sum(features) / len(features), sum(edges) / len(edges)

    return Overlap(*shares(finished), *shares(others))


class Identity(NamedTuple):
    """Similarity of equally named features; medians over the features that fire at both checkpoints.

    The nulls compare each feature with another feature of its layer.
    """

    cosine: float
    """Cosine of the decoder vectors, all written layers together."""
    agreement: float
    """Tokens on which the feature fires at both checkpoints, over tokens on which it fires at either; 0 to
    1."""
    null_cosine: float
    """Cosine with another feature."""
    null_agreement: float
    """Agreement with another feature."""
    n: int
    """Number of features."""


def identity(
    one: ReplacementModel, other: ReplacementModel, items: Sequence[Item], *, seed: int = 0
) -> Identity:
    """Measure whether equal layer and index mean the same feature at two checkpoints."""
    firing = [fires(model, items) for model in (one, other)]
    generator = torch.Generator().manual_seed(seed)
    rows: list[Tensor] = []
    for layer in range(one.n_layers):
        a, b = (each[:, layer] for each in firing)
        alive = (a.any(0) & b.any(0)).nonzero().flatten()
        if len(alive) < 2:
            continue
        drawn = _derange(alive, generator)
        writes = [model.transcoders.layers[layer].decoder.cpu().float().flatten(1) for model in (one, other)]
        rows.append(
            torch.stack(
                [
                    cosine_similarity(writes[0][alive], writes[1][alive]),
                    _jaccard(a[:, alive], b[:, alive]),
                    cosine_similarity(writes[0][alive], writes[1][drawn]),
                    _jaccard(a[:, alive], b[:, drawn]),
                ]
            )
        )
    found = torch.cat(rows, 1)
    cosine, agreement, null_cosine, null_agreement = found.median(1).values.tolist()
    return Identity(cosine, agreement, null_cosine, null_agreement, found.shape[1])


def _derange(alive: Tensor, generator: torch.Generator) -> Tensor:
    """Another feature for each feature: the next one in a random circle."""
    order = torch.randperm(len(alive), generator=generator)
    found = torch.empty_like(alive)
    found[order] = alive[order.roll(1)]
    return found


def fires(model: ReplacementModel, items: Sequence[Item]) -> Tensor:
    """(n_tokens, n_layers, n_features) bool: the tokens on which features fire.

    Tokens that are put before a prompt are left out.
    """
    return torch.cat([dense > 0 for dense in activity(model, items, text_tokens(model))])


def _jaccard(a: Tensor, b: Tensor) -> Tensor:
    return (a & b).sum(0) / (a | b).sum(0)


def half_way(points: Sequence[tuple[int, float]]) -> int:
    """The first training step at which a curve is at least halfway from its first value to its last."""
    middle = (points[0][1] + points[-1][1]) / 2
    return next(step for step, value in points if value >= middle)
