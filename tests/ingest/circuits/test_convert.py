"""Engine tensors to records: nothing lost, nothing invented."""

import shutil
from pathlib import Path

import pytest
import torch

from ingest.circuits import convert
from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.prune import Pruned, prune, scores
from ingest.engine.attribution.targets import Difference, Salient, Target, Tokens
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.records import Circuit, NodeKind, Prompt
from tests.support.engine import PROMPT, Folders, Tiny, save


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return save(Tiny(), tmp_path / "one")


@pytest.fixture
def model(folders: Folders) -> ReplacementModel:
    return ReplacementModel.load(*folders)


def circuit_of(model: ReplacementModel, graph: AttributionGraph, pruned: Pruned) -> Circuit:
    prompt = Prompt(PROMPT, graph.tokens, graph.token_ids, family="tiny", expected=graph.logit_tokens[0])
    return convert.circuit(
        graph, pruned, prompt, convert.model_record(model), convert.transcoders_record(model)
    )


def test_an_unpruned_circuit_holds_the_whole_graph(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    pruned = prune(graph, node_threshold=1, edge_threshold=1)
    found = circuit_of(model, graph, pruned)
    assert len(found.nodes) == graph.n_nodes
    assert [node.layer for node in found.nodes] == graph.node_layers().tolist()
    assert [node.position for node in found.nodes] == graph.node_positions().tolist()
    adjacency = torch.zeros_like(graph.adjacency)
    share = torch.zeros_like(graph.adjacency)
    for edge in found.edges:
        adjacency[edge.target, edge.source] = edge.weight
        assert edge.share is not None
        share[edge.target, edge.source] = edge.share
    assert torch.equal(adjacency, graph.adjacency)
    assert not any(edge.weight == 0 for edge in found.edges)
    driven = graph.adjacency.abs().sum(1) > 0
    torch.testing.assert_close(share.sum(1), driven.float())


def test_every_kind_of_node_says_what_it_is(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    pruned = prune(graph, node_threshold=1, edge_threshold=1)
    nodes = circuit_of(model, graph, pruned).nodes
    raw, cumulative = pruned.influence.tolist(), pruned.cumulative.tolist()
    feature, error = nodes[0], nodes[graph.error_nodes.start + graph.n_positions + 2]
    token, logit = nodes[graph.token_nodes.start + 1], nodes[graph.logit_nodes.start]
    layer, position, index = graph.features[0].tolist()
    assert (feature.key, feature.token) == (f"feature:{layer}:{position}:{index}", None)
    assert feature.activation == pytest.approx(float(graph.feature_activations[0]))
    assert (feature.influence, feature.cumulative) == (raw[0], cumulative[0])
    assert (error.key, error.activation, error.token) == ("error:1:2:-", None, None)
    assert (token.key, token.token, token.activation) == ("token:-1:1:6", "w3", None)
    assert logit.key == f"logit:3:7:{int(graph.logit_ids[0])}"
    assert logit.token == graph.logit_tokens[0]
    assert logit.probability == logit.influence == pytest.approx(float(graph.logit_probabilities[0]))
    assert logit.cumulative is None
    assert len({node.key for node in nodes}) == len(nodes)


def test_a_pruned_circuit_holds_what_was_kept(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    pruned = prune(graph)
    found = circuit_of(model, graph, pruned)
    assert len(found.nodes) == int(pruned.nodes.sum()) < graph.n_nodes
    assert len(found.edges) == int(pruned.edges.sum())
    kept = pruned.nodes.nonzero().flatten().tolist()
    inputs = graph.adjacency.double().abs().sum(1)
    for edge in found.edges:
        source, target = kept[edge.source], kept[edge.target]
        weight = float(graph.adjacency[target, source])
        assert edge.weight == weight
        assert edge.share == pytest.approx(abs(weight) / float(inputs[target]), rel=1e-6)
    score = scores(graph)
    assert (found.replacement_score, found.completeness_score, found.error_share) == tuple(score)
    assert found.kept_influence == pruned.kept_influence
    assert (found.node_threshold, found.edge_threshold, found.max_feature_nodes) == (0.8, 0.98, None)
    assert (found.n_active_features, found.n_selected_features) == (graph.n_active, graph.n_features)
    assert (found.target, found.target_position) == ("salient-logits(10, 0.95)", 7)
    assert (found.dtype, found.special_first_token, found.correct) == ("float32", True, True)
    assert {node.kind for node in found.nodes} == set(NodeKind) - {NodeKind.OTHER}


def test_the_same_inputs_give_the_same_circuit(model: ReplacementModel) -> None:
    graph = attribute(model, PROMPT)
    first = circuit_of(model, graph, prune(graph))
    again = attribute(model, PROMPT)
    assert circuit_of(model, again, prune(again)) == first
    assert circuit_of(model, graph, prune(graph, node_threshold=0.7)).id != first.id


def test_revisions_hash_what_is_in_the_files_and_not_where_they_lie(
    model: ReplacementModel, folders: Folders, tmp_path: Path
) -> None:
    shutil.copytree(folders.model.parent, tmp_path / "copy")
    copy = ReplacementModel.load(tmp_path / "copy" / "lm", tmp_path / "copy" / "clt")
    assert convert.model_record(copy) == convert.model_record(model)
    assert convert.transcoders_record(copy) == convert.transcoders_record(model)
    other = ReplacementModel.load(*save(Tiny(seed=1), tmp_path / "two"))
    assert convert.model_record(other).id != convert.model_record(model).id
    assert convert.transcoders_record(other).id != convert.transcoders_record(model).id


def test_what_the_records_say_of_the_model(model: ReplacementModel) -> None:
    found, transcoders = convert.model_record(model), convert.transcoders_record(model, "tiny@0")
    assert (found.name, found.architecture, found.n_layers, found.d_model, found.vocab_size) == (
        "tiny",
        "LlamaForCausalLM",
        3,
        16,
        40,
    )
    assert (transcoders.name, transcoders.kind, transcoders.activation, transcoders.n_features) == (
        "clt",
        "clt",
        "jumprelu",
        12,
    )
    assert (transcoders.input_hook, transcoders.output_hook, transcoders.model_id) == (
        "mlp.hook_in",
        "hook_mlp_out",
        "tiny@0",
    )
    assert convert.transcoders_record(model).model_id == found.id


@pytest.mark.parametrize(
    ("targets", "known"),
    [
        ((Salient(),), True),
        ((Tokens(("w5",)),), False),
        ((Difference("w3", "w4"),), False),
        ((Salient(position=2),), False),
        ((Salient(position=2), Tokens(("w5",))), False),
        ((Salient(), Tokens(("w5",), 2)), True),
    ],
)
def test_the_answer_is_said_only_when_the_targets_hold_it(
    model: ReplacementModel, targets: tuple[Target, ...], known: bool
) -> None:
    graph = attribute(model, PROMPT, targets)
    prompt = Prompt(PROMPT, graph.tokens, graph.token_ids, expected="w5")
    found = convert.circuit(
        graph, prune(graph), prompt, convert.model_record(model), convert.transcoders_record(model, "tiny@0")
    )
    logits = model.model(torch.tensor([graph.token_ids])).logits[0, -1]
    assert (found.answer is not None) == known == (found.correct is not None)
    assert found.answer is None or found.answer.index == int(logits.argmax())


@pytest.mark.parametrize(
    ("folder", "step"),
    [("step-00600", 600), ("checkpoint-500", 500), ("step5", 5), ("llama-3", None), ("last-step-5", None)],
)
def test_a_checkpoints_folder_names_its_step(folder: str, step: int | None) -> None:
    assert convert.training_step(folder) == step
