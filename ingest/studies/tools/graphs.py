"""Attribution graphs of a study's prompts, and measures of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ingest.engine.attribution.attribute import attribute_each
from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import node_influence, prune
from ingest.engine.attribution.targets import DEFAULT
from ingest.engine.replacement.model import ReplacementModel
from ingest.progress import more

TOGETHER = 16
"""Prompts attributed together."""
MEMORY = 1 << 30
"""Bytes that attribution may take besides the model. Larger graphs are streamed."""


def graphs(
    model: ReplacementModel, prompts: Sequence[str], max_feature_nodes: int | None
) -> Iterator[GraphNodes]:
    """The attribution graph of each prompt, with its most probable next tokens as targets.

    max_feature_nodes: most features of a graph, the most influential ones first; None for no limit. Release
    each graph before the next one.
    """
    steps = more("graphs", len(prompts))
    for start in range(0, len(prompts), TOGETHER):
        part = [(model.encode(prompt), DEFAULT) for prompt in prompts[start : start + TOGETHER]]
        for graph in attribute_each(model, part, memory=MEMORY, max_feature_nodes=max_feature_nodes):
            yield graph
            steps.advance()


def token_influence(graph: GraphNodes) -> Tensor:
    """(n_positions,) each token's share of the influence of all tokens of the prompt."""
    found = node_influence(graph)[graph.token_nodes]
    return found / found.sum()


def leads_through(
    graph: GraphNodes,
    tokens: Iterable[int],
    through: Iterable[tuple[int, int, int]],
    logits: Collection[int],
) -> bool:
    """Whether the pruned graph has a path of positive effects token → feature → … → logit.

    tokens: positions. through: (layer, position, index) of features; the path must visit one of them.
    logits: vocabulary ids; the path ends in one of them.
    """
    targets = torch.isin(
        graph.logit_ids, torch.tensor(sorted(logits), device=graph.logit_ids.device)
    ).nonzero()[:, 0]
    if not len(targets):
        return False
    pruned = prune(graph)
    positive = torch.zeros(graph.n_nodes, graph.n_nodes, dtype=torch.bool)
    positive[pruned.target, pruned.source] = pruned.weight > 0
    below = torch.zeros(graph.n_nodes, dtype=torch.bool)
    below[torch.tensor(list(tokens)) + graph.token_nodes.start] = True
    above = torch.zeros(graph.n_nodes, dtype=torch.bool)
    above[targets + graph.logit_nodes.start] = True
    wanted = set(through)
    here = torch.zeros(graph.n_nodes, dtype=torch.bool)
    here[: graph.n_features] = torch.tensor([tuple(at) in wanted for at in graph.features.tolist()])
    return bool((_closure(below, positive) & _closure(above, positive.T) & here).any())


def _closure(start: Tensor, edges: Tensor) -> Tensor:
    """The nodes that `start` reaches along edges, indexed [target, source]."""
    reached = start
    while True:
        more = reached | (edges[:, reached].any(1))
        if bool((more == reached).all()):
            return reached
        reached = more
