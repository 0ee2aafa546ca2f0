"""Edges are causal: predicted effects against changes measured in the real model."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from engine_oracle import PROMPT, Tiny, save

from ingest.engine.attribute import attribute
from ingest.engine.errors import SettingError
from ingest.engine.intervene import Edit, Freeze, intervene, pre_activations
from ingest.engine.model import ReplacementModel


@pytest.mark.parametrize(
    "tiny",
    [Tiny(n_groups=2, biases=True), Tiny(read_at="hook_resid_mid"), Tiny(read_at="ln2.hook_normalized")],
    ids=lambda tiny: tiny.read_at,
)
def test_with_everything_held_an_ablation_changes_targets_by_their_edges(tiny: Tiny, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(tiny, tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    plain = intervene(model, PROMPT, [], freeze=Freeze.EVERYTHING)
    before = pre_activations(model, plain.read, graph.features)
    assert graph.n_features > 20
    for source, (layer, position, index) in enumerate(graph.features.tolist()):
        edit = Edit(layer, position, index, 0.0)
        after = intervene(model, PROMPT, [edit], freeze=Freeze.EVERYTHING)
        measured = pre_activations(model, after.read, graph.features) - before
        edges = graph.adjacency[graph.feature_nodes, source].double()
        torch.testing.assert_close(-measured, edges, rtol=1e-4, atol=1e-6)
        change = (after.logits - plain.logits)[-1]
        effect = (change - change.mean())[graph.logit_ids]
        torch.testing.assert_close(
            -effect, graph.adjacency[graph.logit_nodes, source].double(), rtol=1e-4, atol=1e-6
        )


def test_edges_of_one_target_add_up_over_several_edits(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path), dtype=torch.float64)
    graph = attribute(model, PROMPT)
    chosen = graph.features[::3].tolist()
    plain = intervene(model, PROMPT, [], freeze=Freeze.EVERYTHING)
    edits = [Edit(layer, position, index, 0.0) for layer, position, index in chosen]
    after = intervene(model, PROMPT, edits, freeze=Freeze.EVERYTHING)
    change = (after.logits - plain.logits)[-1]
    measured = (change - change.mean())[graph.logit_ids]
    predicted = -graph.adjacency[graph.logit_nodes, graph.feature_nodes][:, ::3].double().sum(1)
    torch.testing.assert_close(measured, predicted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("freeze", list(Freeze))
def test_no_edit_changes_nothing(freeze: Freeze, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(n_groups=2, biases=True), tmp_path))
    encoded = model.encode(PROMPT)
    after = intervene(model, PROMPT, [], freeze=freeze)
    torch.testing.assert_close(after.logits, model.freeze(encoded.ids).logits, rtol=1e-5, atol=1e-5)


def test_how_far_an_edit_reaches_depends_on_what_is_held(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    layer, position, index = attribute(model, PROMPT).features[0].tolist()
    logits = [
        intervene(model, PROMPT, [Edit(layer, position, index, 5.0)], freeze=freeze).logits
        for freeze in Freeze
    ]
    assert not any(torch.allclose(a, b, atol=1e-3) for a, b in pairwise(logits))
    plain = model.freeze(model.encode(PROMPT).ids).logits
    # Nothing before the edited position can change.
    for found in logits:
        torch.testing.assert_close(found[:position], plain[:position])


def test_hooks_are_gone_afterwards(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    before = attribute(model, PROMPT)
    layer, position, index = before.features[0].tolist()
    intervene(model, PROMPT, [Edit(layer, position, index, 9.0)], freeze=Freeze.EVERYTHING)
    assert torch.equal(before.adjacency, attribute(model, PROMPT).adjacency)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Edit(3, 1, 0, 0.0), "no such layer\n  → use 0 to 2"),
        (Edit(0, 1, 12, 0.0), "no such feature\n  → use 0 to 11"),
        (Edit(0, 8, 0, 0.0), "outside the prompt\n  → use 0 to 7"),
        (
            Edit(0, 0, 0, 0.0),
            "at the special first token, which has no features\n  → edit positions from 1 on",
        ),
    ],
)
def test_an_edit_outside_says_so(edit: Edit, message: str, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    with pytest.raises(SettingError) as caught:
        intervene(model, PROMPT, [edit])
    assert str(caught.value).endswith(message)


def test_an_edit_given_twice_says_so(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(), tmp_path))
    with pytest.raises(SettingError, match="position 2, feature 1 is given twice"):
        intervene(model, PROMPT, [Edit(0, 2, 1, 0.0), Edit(0, 2, 1, 1.0)])
