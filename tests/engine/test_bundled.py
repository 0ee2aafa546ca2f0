"""The engine on the bundled model: edges against autograd and against interventions, and sensible graphs."""

import pytest
import torch

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import prune, scores
from ingest.engine.intervention.intervene import Edit, Freeze, intervene, pre_activations
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from tests.support.engine import Folders, attribute_slowly

PROMPT = "calc : 66 + 49 ="


@pytest.fixture(scope="module")
def model() -> ReplacementModel:
    return ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)


@pytest.fixture(scope="module")
def graph(model: ReplacementModel) -> AttributionGraph:
    return attribute(model, PROMPT)


def test_every_edge_is_what_autograd_finds(graph: AttributionGraph) -> None:
    slow = attribute_slowly(
        Folders(MODEL_DIR, TRANSCODERS_DIR),
        list(graph.token_ids),
        graph.logit_ids.tolist(),
        n_left_out=1,
        dtype=torch.float32,
    )
    assert [tuple(row) for row in graph.active.tolist()] == slow.features
    size = slow.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-3)
    torch.testing.assert_close(graph.adjacency / size, slow.adjacency / size, rtol=1e-5, atol=1e-5)


def test_ablations_change_targets_by_their_edges(model: ReplacementModel, graph: AttributionGraph) -> None:
    influence = prune(graph).influence[graph.feature_nodes]
    plain = intervene(model, PROMPT, [], freeze=Freeze.EVERYTHING)
    before = pre_activations(model, plain.read, graph.features)
    for source in influence.topk(10).indices.tolist():
        layer, position, index = graph.features[source].tolist()
        after = intervene(model, PROMPT, [Edit(layer, position, index, 0.0)], freeze=Freeze.EVERYTHING)
        measured = before - pre_activations(model, after.read, graph.features)
        edges = graph.adjacency[graph.feature_nodes, source]
        torch.testing.assert_close(measured, edges, rtol=1e-4, atol=1e-4 * float(before.abs().max()))
        change = (plain.logits - after.logits)[-1]
        effect = (change - change.mean())[graph.logit_ids]
        expected = graph.adjacency[graph.logit_nodes, source]
        torch.testing.assert_close(effect, expected, rtol=1e-4, atol=1e-4 * float(plain.logits.abs().max()))


def test_the_answer_is_right_and_mostly_explained(graph: AttributionGraph) -> None:
    assert graph.logit_tokens[0] == "115"
    found = scores(graph)
    assert found.replacement > 0.5
    assert found.completeness > 0.8
    pruned = prune(graph)
    assert 0 < int(pruned.nodes[graph.feature_nodes].sum()) < graph.n_features
    assert pruned.kept_influence > 0.6
