"""Effects by gradients and streams that meet, against gradients that walk all the way down."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ingest.engine.attribution import attribute as attributing
from ingest.engine.attribution.attribute import attribute, trace
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.meet import meeting, met
from ingest.engine.attribution.targets import DEFAULT, resolve
from ingest.engine.attribution.walk import Traced, effects
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, save, tokenizer
from tests.support.models import IDS, MODELS, random_model, random_transcoders

TINY = {
    "plain": Tiny(n_layers=4, biases=True, n_groups=2),
    "reads the residual": Tiny(n_layers=4, read_at="hook_resid_mid", skip=True),
    "reads before the gain": Tiny(n_layers=4, read_at="ln2.hook_normalized", skip=True, special=False),
    "two layers": Tiny(n_layers=2, skip=True, n_groups=1),
}


def traced_of(model: ReplacementModel, ids: list[int]) -> Traced:
    """A prompt with every third of its features, traced."""
    encoded = model.encode(ids)
    frozen = model.freeze(encoded.ids)
    whole = trace(model, frozen, resolve(model, frozen, DEFAULT), n_left_out=encoded.n_left_out)
    return whole.among(model, torch.arange(0, len(whole.active.activation), 3))


def rows_of(model: ReplacementModel, traced: Traced, bottom: int) -> Tensor:
    """(n_targets, n_inputs): all effects; the walks meet before `bottom`, or do not meet for 0."""
    n_targets = len(traced.starts.layer)
    found = torch.full((n_targets, traced.n_inputs), torch.nan, dtype=torch.float64)
    if bottom:
        for targets, rows in met(model, traced, bottom, 5):
            assert bool(found[targets].isnan().all()), "a target occurs twice"
            found[targets] = rows.double()
    else:
        for _, targets, rows in effects(model, [(traced, torch.arange(n_targets))], 5):
            found[targets] = rows.double()
    return found


def check(model: ReplacementModel, ids: list[int], tolerance: float = 1e-10) -> None:
    traced = traced_of(model, ids)
    expected = rows_of(model, traced, 0)
    assert not expected.isnan().any()
    for bottom in range(1, model.n_layers):
        found = rows_of(model, traced, bottom)
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("tiny", TINY.values(), ids=TINY.keys())
def test_the_layer_where_walks_meet_changes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(tiny, tmp_path), dtype=torch.float64)
    check(model, list(model.encode(PROMPT).ids))


def test_walks_meet_in_sixteen_bits(tmp_path: Path) -> None:
    folders = save(Tiny(n_layers=4, n_groups=2, skip=True, half=True), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.bfloat16)
    check(model, list(model.encode(PROMPT).ids), 1e-5)


@pytest.mark.parametrize("cross_layer", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_walks_meet_in_every_architecture(name: str, cross_layer: bool) -> None:
    transcoders = random_transcoders("mlp.hook_in", cross_layer=cross_layer)
    check(ReplacementModel.build(random_model(name), tokenizer(Tiny()), transcoders), list(IDS))


def test_a_graph_with_a_limit_has_the_effects_of_the_whole_graph(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(n_layers=6, n_features=40), tmp_path), dtype=torch.float64)
    whole = attribute(model, PROMPT)
    for limit in (1, 5, 60):
        graph = attribute(model, PROMPT, max_feature_nodes=limit)
        assert isinstance(graph, AttributionGraph)
        rest = torch.arange(whole.n_features, whole.n_nodes)
        nodes = torch.cat([graph.selected, rest])
        torch.testing.assert_close(graph.adjacency, whole.adjacency[nodes[:, None], nodes])


def test_walks_meet_where_the_work_is_least(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(n_layers=12, n_features=40), tmp_path))
    ids = model.encode(PROMPT).ids
    frozen = model.freeze(ids)
    whole = trace(model, frozen, resolve(model, frozen, DEFAULT), n_left_out=1)
    layers = whole.active.where[:, 0]
    found = set()
    for first in (0, 6, 11):
        traced = whole.among(model, (layers >= first).nonzero().flatten())
        features = [(layer, position) for layer, position, _ in traced.active.where.tolist()]
        targets = [*features, *((11, len(ids) - 1) for _ in traced.starts.logits)]
        errors = [(layer, position) for layer in range(12) for position in range(1, len(ids))]
        sources = [*features, *errors, *((-1, position) for position in range(len(ids)))]

        def passes(m: int, targets: Any = targets, sources: Any = sources) -> int:
            """Positions of vectors that pass a layer's attention."""
            if m == 0:
                return sum(layer * (position + 1) for layer, position in targets)
            down = sum((layer - m + 1) * (position + 1) for layer, position in targets if layer >= m)
            up = ((m - 1 - layer) * (len(ids) - position) for layer, position in sources if layer < m)
            return down + sum(up)

        assert meeting(model, traced, 512) == min(range(12), key=passes)
        assert meeting(model, traced, 0) == 0
        found.add(meeting(model, traced, 512))
    assert len(found) > 1
    assert max(found) > 6


def test_walks_do_not_meet_where_the_memory_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ReplacementModel.load(*save(Tiny(n_layers=6, n_features=40), tmp_path))
    monkeypatch.setattr(attributing, "meeting", lambda *given: 3)
    expected = attribute(model, PROMPT, max_feature_nodes=30)
    tried: list[int] = []

    def full(model: ReplacementModel, walked: object, bottom: int, batch_size: int) -> AttributionGraph:
        tried.append(bottom)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(attributing, "_met", full)
    found = attribute(model, PROMPT, max_feature_nodes=30)
    assert tried == [3]
    assert torch.equal(found.selected, expected.selected)
    torch.testing.assert_close(found.adjacency, expected.adjacency, rtol=1e-4, atol=1e-5)
