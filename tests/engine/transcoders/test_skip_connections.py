"""Skip connections of transcoders count in the edges, and no attention head carries their share."""

from pathlib import Path

import pytest
import torch

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.heads.loadings import head_loadings
from ingest.engine.intervention.measure import measured_effects
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, save


@pytest.mark.parametrize("read_at", ["mlp.hook_in", "hook_resid_mid", "ln2.hook_normalized"])
def test_skip_connections_count_in_measured_edges_and_go_past_the_heads(read_at: str, tmp_path: Path) -> None:
    folders = save(Tiny(skip=True, read_at=read_at), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.float64)
    graph = attribute(model, PROMPT)
    sources = torch.arange(graph.logit_nodes.start)
    driven = torch.cat([torch.arange(graph.n_features), torch.arange(graph.logit_nodes.start, graph.n_nodes)])
    measured = measured_effects(model, graph, sources)[driven]
    edges = graph.adjacency[driven][:, sources].double()
    assert int((edges != 0).sum()) > 1000
    torch.testing.assert_close(measured, edges, rtol=1e-4, atol=1e-5)
    found = head_loadings(model, graph, prune(graph, node_threshold=1, edge_threshold=1))
    total = found.heads.sum(-1) + found.past + found.above
    for layer in range(3):
        mine = found.crosses[layer]
        torch.testing.assert_close(
            total[layer, mine], found.weight[mine].to(total.dtype), rtol=1e-5, atol=1e-6
        )
