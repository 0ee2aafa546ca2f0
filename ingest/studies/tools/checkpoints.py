"""How much of a finished circuit is there at an earlier checkpoint, and whether features are still the same.

Checkpoints are read through transcoders that were each started from the next one's
(`ingest.organism.transcoder`), so that layer and index name the same feature all along; how true that is,
`identity` measures.
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import prune
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import Places, activity
from ingest.studies.tools.items import Item

Key = tuple[int | str, ...]


class CircuitParts(NamedTuple):
    """What a pruned circuit consists of, under names that do not depend on the checkpoint."""

    features: frozenset[Key]
    """(layer, position, index)"""
    edges: frozenset[tuple[Key, Key]]
    """Between features, tokens ("token", position) and logits ("logit", vocabulary id)."""


def parts(graph: AttributionGraph) -> CircuitParts:
    """The kept features and the kept edges but those from errors."""
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
    """Means over prompts."""

    features: float
    """Share of the finished circuit's features that the earlier circuit of the same prompt has."""
    edges: float
    null_features: float
    """The same with the finished circuit of another prompt."""
    null_edges: float


def overlap(earlier: Sequence[CircuitParts], finished: Sequence[CircuitParts], *, seed: int = 0) -> Overlap:
    """Compare circuits prompt by prompt; at least two prompts."""
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
    """Medians over features that fire in both; the null: with another feature of the layer."""

    cosine: float
    """Of what a feature writes, all layers together."""
    agreement: float
    """Firings in both over firings in one of them, on the same tokens."""
    null_cosine: float
    null_agreement: float
    n: int
    """Features."""


def identity(
    one: ReplacementModel, other: ReplacementModel, items: Sequence[Item], *, seed: int = 0
) -> Identity:
    """Whether equal layer and index mean the same feature for two checkpoints."""
    firing = [fires(model, items) for model in (one, other)]
    generator = torch.Generator().manual_seed(seed)
    rows: list[Tensor] = []
    for layer in range(one.n_layers):
        a, b = (each[:, layer] for each in firing)
        alive = (a.any(0) & b.any(0)).nonzero().flatten()
        if len(alive) < 2:
            continue
        drawn = _derange(alive, generator)
        writes = [model.transcoders.layers[layer].decoder.float().flatten(1) for model in (one, other)]
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
    """Each feature's partner: the next one in a random circle."""
    order = torch.randperm(len(alive), generator=generator)
    found = torch.empty_like(alive)
    found[order] = alive[order.roll(1)]
    return found


def fires(model: ReplacementModel, items: Sequence[Item]) -> Tensor:
    """(n_tokens, n_layers, n_features) bool, all prompts but their first tokens."""
    every: Places = lambda item, n_tokens: range(n_tokens)  # noqa: E731
    return torch.cat([dense[1:] > 0 for dense in activity(model, items, every)])


def _jaccard(a: Tensor, b: Tensor) -> Tensor:
    return (a & b).sum(0) / (a | b).sum(0)


def half_way(points: Sequence[tuple[int, float]]) -> int:
    """The first step at which a curve has gone half of the way from its first value to its last."""
    middle = (points[0][1] + points[-1][1]) / 2
    return next(step for step, value in points if value >= middle)
