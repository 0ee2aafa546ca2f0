"""Many prompts at once against one at a time, and a device whose memory is too small."""

import pytest
import torch

from ingest.engine.attribution import walk as walking
from ingest.engine.attribution.attribute import attribute, attribute_many
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.targets import DEFAULT
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, save

PROMPTS = (PROMPT, "w1 w2", "w9 w8 w7 w6 w5 w4 w3 w2 w1", "w30", "w3 w1 w4 w1 w5", "w36 w35 w34")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    folders = save(Tiny(n_groups=2, n_layers=4, biases=True), tmp_path_factory.mktemp("tiny"))
    return ReplacementModel.load(*folders)


@pytest.fixture(scope="module", params=[None, 9])
def limit(request: pytest.FixtureRequest) -> int | None:
    """At most so many features; or all."""
    found: int | None = request.param
    return found


@pytest.fixture(scope="module")
def each_alone(model: ReplacementModel, limit: int | None) -> list[AttributionGraph]:
    return [attribute(model, prompt, max_feature_nodes=limit, batch_size=7) for prompt in PROMPTS]


@pytest.mark.parametrize("batch_size", [1, 13, 50, 10_000])
def test_many_prompts_give_what_each_gives_alone(
    model: ReplacementModel, batch_size: int, limit: int | None, each_alone: list[AttributionGraph]
) -> None:
    jobs = [(model.encode(prompt), DEFAULT) for prompt in PROMPTS]
    together = attribute_many(model, jobs, batch_size=batch_size, max_feature_nodes=limit)
    again = attribute_many(model, jobs, batch_size=batch_size, max_feature_nodes=limit)
    for alone, graph, same in zip(each_alone, together, again, strict=True):
        assert torch.equal(graph.active, alone.active)
        assert torch.equal(graph.selected, alone.selected)
        size = alone.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
        torch.testing.assert_close(graph.adjacency / size, alone.adjacency / size, rtol=1e-5, atol=1e-5)
        assert torch.equal(graph.adjacency, same.adjacency)


def test_out_of_memory_halves_the_batch_and_goes_on(
    model: ReplacementModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [(model.encode(prompt), DEFAULT) for prompt in PROMPTS]
    expected = attribute_many(model, jobs)
    tried: list[int] = []
    real = walking.walk

    def small(model, traced, chosen):
        """As a device does that holds 20 gradients."""
        tried.append(sum(map(len, chosen)))
        if tried[-1] > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, traced, chosen)

    monkeypatch.setattr(walking, "walk", small)
    found = attribute_many(model, jobs)
    for graph, other in zip(found, expected, strict=True):
        torch.testing.assert_close(graph.adjacency, other.adjacency, rtol=1e-4, atol=1e-5)
    # Halved until it fits, and not tried again at a size that failed.
    failed = [size for size in tried if size > 20]
    assert len(failed) <= 6
    assert failed == sorted(failed, reverse=True)


def test_memory_for_not_even_one_gradient_is_an_error(
    model: ReplacementModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(model, traced, chosen):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(walking, "walk", none)
    with pytest.raises(torch.OutOfMemoryError):
        attribute(model, PROMPT)
