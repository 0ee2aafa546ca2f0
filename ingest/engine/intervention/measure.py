"""Measured effects of ablating a node of a graph while everything else is held, to check the graph's edges.

With patterns, norm scales and MLP outputs held, the model is linear. Removing what source s writes therefore
changes target t by -A[t, s], up to rounding. Each source is one row of a batch. What it wrote is subtracted
from the embeddings or MLP outputs of the real model, whose own modules then compute the rest.
"""

import torch
from torch import Tensor

from ingest.engine.adapters.anatomy import wide
from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.intervention.hold import Added, Freeze, Hold, run
from ingest.engine.intervention.streams import centred, choose, writes
from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.transcoder import Active

BATCH_SIZE = 64
"""Number of sources that are ablated in one pass."""


def measured_effects(
    model: ReplacementModel,
    graph: GraphNodes,
    sources: Tensor,
    *,
    logit_vectors: Tensor | None = None,
    batch_size: int = BATCH_SIZE,
) -> Tensor:
    """(n_nodes, n_sources) measured effects of sources on all nodes, to compare with `adjacency`.

    sources: (n,) int64 nodes of the graph, except logits. logit_vectors: (n_logits, d_model) directions at
    the last norm's output; None for the mean-centred directions of the graph's logits. batch_size: sources
    ablated in one pass. Raises SettingError when `logit_vectors` is needed: a target is not a single token.
    """
    device, n_inputs = model.device, graph.n_active + (graph.n_layers + 1) * graph.n_positions
    inputs = torch.cat([graph.selected, torch.arange(graph.n_active, n_inputs)])[sources].to(device)
    with torch.no_grad():
        frozen = model.freeze(graph.token_ids)
        active = Active(graph.active.to(device), graph.activations.to(device, frozen.embedding.dtype))
        written = writes(model, frozen, active, n_left_out=graph.n_left_out)
        tokens = torch.tensor([graph.token_ids], device=device)
        plain = run(model, tokens)
        found = []
        for nodes in inputs.split(batch_size):
            size = (len(nodes), graph.n_positions, model.d_model)
            taken = []
            for each in written:
                mine = choose(each, nodes, n_inputs)
                change = torch.zeros(size, dtype=frozen.embedding.dtype, device=device)
                taken.append(change.index_put((mine.rows, mine.position), -mine.vectors, accumulate=True))
            rows = torch.zeros(len(nodes), dtype=torch.int64, device=device)
            after = run(
                model,
                tokens.expand(len(nodes), -1),
                hold=Hold(plain, rows, Freeze.EVERYTHING),
                added=_from(taken[1:]),
                embedded=taken[0],
            )
            read = [new - old for new, old in zip(after.read, plain.read, strict=True)]
            found.append(_effects(model, graph, read, after.final - plain.final, logit_vectors))
    return torch.cat(found, dim=1).cpu()


def _from(changes: list[Tensor]) -> Added:
    return lambda layer, read: changes[layer]


def _effects(
    model: ReplacementModel,
    graph: GraphNodes,
    read: list[Tensor],
    final: Tensor,
    logit_vectors: Tensor | None,
) -> Tensor:
    """(n_nodes, n_rows): minus the change of every node.

    read, final: the changes of the inputs of the transcoders and of the unembedding.
    """
    effects = final.new_zeros(graph.n_nodes, len(final))
    features = graph.features.to(final.device)
    for layer, change in enumerate(read):
        mine = (features[:, 0] == layer).nonzero().flatten()
        encoder = model.transcoders.encoder_rows(layer, features[mine, 2])
        effects[mine] = -torch.einsum("bfd,fd->fb", change[:, features[mine, 1]], encoder)
    if logit_vectors is None:
        logit_vectors = centred(model, graph.logit_ids)
    position = graph.node_positions()[graph.logit_nodes].to(final.device)
    effects[graph.logit_nodes] = -torch.einsum("bld,ld->lb", final[:, position], wide(logit_vectors))
    return effects
