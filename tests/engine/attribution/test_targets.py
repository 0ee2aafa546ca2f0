"""Targets against the logits and the edges that they stand for, and what bad ones say."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.graph import AttributionGraph
from ingest.engine.attribution.targets import (
    Difference,
    Direction,
    Salient,
    Target,
    Tokens,
    parse,
    salient_logits,
)
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import PROMPT, Tiny, attribute_slowly, save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    folders = save(Tiny(n_groups=2, n_layers=4), tmp_path_factory.mktemp("tiny"))
    return ReplacementModel.load(*folders, dtype=torch.float64)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    found = found.to(expected.dtype)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def logit_rows(graph: AttributionGraph) -> torch.Tensor:
    return graph.adjacency[graph.logit_nodes, : graph.logit_nodes.start]


def test_logits_are_taken_until_they_hold_the_probability() -> None:
    logits = torch.tensor([0.1, 0.5, 0.05, 0.3, 0.05]).log()
    for wanted, ids in [(0.5, [1]), (0.51, [1, 3]), (0.9, [1, 3, 0])]:
        found = salient_logits(logits, max_n_logits=4, desired_logit_prob=wanted - 1e-6)
        assert found[0].tolist() == ids
    assert len(salient_logits(logits, max_n_logits=2, desired_logit_prob=1.0)[0]) == 2
    assert len(salient_logits(logits, max_n_logits=50, desired_logit_prob=1.0)[0]) == 5


def test_given_tokens_are_what_autograd_finds(tmp_path: Path) -> None:
    folders = save(Tiny(n_groups=2), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.float64)
    graph = attribute(model, PROMPT, [Tokens(("w5", 7))])
    slow = attribute_slowly(
        folders, list(graph.token_ids), graph.logit_ids.tolist(), n_left_out=1, dtype=torch.float64
    )
    assert graph.logit_tokens == ("w5", "w4")
    assert graph.target == "tokens(8, 7)"
    size = slow.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
    close(graph.adjacency / size, slow.adjacency / size)


def test_a_difference_is_the_difference_of_two_rows(model: ReplacementModel) -> None:
    both = logit_rows(attribute(model, PROMPT, [Tokens(("w5", "w6"))]))
    graph = attribute(model, PROMPT, [Difference("w5", "w6")])
    close(logit_rows(graph), both[:1] - both[1:])
    assert (graph.target, graph.logit_tokens) == ("difference(8, 9)", ("w5 - w6",))
    assert graph.logit_ids.tolist() == [-1]


def test_a_direction_is_linear_in_the_vector(model: ReplacementModel) -> None:
    unembedding = model.anatomy.unembedding
    vector = unembedding[8] - unembedding.mean(0)
    graph = attribute(model, PROMPT, [Direction(tuple(vector.tolist()), "mine")])
    close(logit_rows(graph), logit_rows(attribute(model, PROMPT, [Tokens((8,))])))
    assert (graph.logit_tokens, graph.logit_probabilities.tolist()) == (("mine",), [1.0])


@pytest.mark.parametrize("position", range(1, 8))
def test_a_target_inside_a_prompt_is_that_of_the_prompt_cut_there(
    model: ReplacementModel, position: int
) -> None:
    whole = attribute(model, PROMPT, [Salient(3, 1.0, position)])
    ids = whole.token_ids[: position + 1]
    part = attribute(model, ids, [Salient(3, 1.0)])
    assert torch.equal(whole.logit_ids, part.logit_ids)
    assert whole.target_position == part.target_position == position
    close(whole.logit_probabilities, part.logit_probabilities)
    seen = whole.node_positions()[: whole.logit_nodes.start] <= position
    close(logit_rows(whole)[:, seen], logit_rows(part))
    assert not logit_rows(whole)[:, ~seen].any()


def test_several_targets_share_a_graph(model: ReplacementModel) -> None:
    wanted: list[Target] = [Tokens(("w5",), 3), Difference("w1", "w2"), Salient(2, 1.0, 5)]
    graph = attribute(model, PROMPT, wanted)
    assert graph.target == "tokens(8) @ 3 + difference(4, 5) @ 7 + salient-logits(2, 1) @ 5"
    assert graph.target_position == 7
    assert graph.node_positions()[graph.logit_nodes].tolist() == [3, 7, 5, 5]
    close(logit_rows(graph), torch.cat([logit_rows(attribute(model, PROMPT, [one])) for one in wanted]))


def test_the_first_token_can_be_counted_or_left_away(tmp_path: Path) -> None:
    folders = save(Tiny(n_groups=2), tmp_path)
    model = ReplacementModel.load(*folders, dtype=torch.float64)
    graph = attribute(model, PROMPT, first_token="counted")
    assert (graph.tokens[0], graph.n_left_out) == ("<bos>", 0)
    assert (graph.active[:, 1] == 0).any()
    slow = attribute_slowly(
        folders, list(graph.token_ids), graph.logit_ids.tolist(), n_left_out=0, dtype=torch.float64
    )
    size = slow.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
    close(graph.adjacency / size, slow.adjacency / size)
    without = attribute(model, PROMPT, first_token="none")
    assert without.tokens == tuple(PROMPT.split())
    assert without.n_left_out == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Paris", (Tokens(("Paris",)),)),
        ({"tokens": ["a", 3], "position": 2}, (Tokens(("a", 3), 2),)),
        ('{"difference": ["a", "b"]}', (Difference("a", "b"),)),
        (["a", {"salient": [5, 0.5]}], (Tokens(("a",)), Salient(5, 0.5))),
        ({"direction": [1, 2.5], "name": "n"}, (Direction((1.0, 2.5), "n"),)),
    ],
)
def test_targets_are_read_from_text_and_json(value: object, expected: tuple[Target, ...]) -> None:
    assert parse(value) == expected


@pytest.mark.parametrize(
    "value", ["{broken", [], 3, {"tokens": []}, {"token": "a", "place": 1}, {"token": "a", "position": "1"}]
)
def test_a_target_that_is_not_understood_says_so(value: object) -> None:
    with pytest.raises(SettingError) as caught:
        parse(value)
    assert caught.value.next_step is not None
    assert "salient" in caught.value.next_step


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Tokens(("w1 w2",)), "'w1 w2' is 2 tokens, not one: 'w1' 'w2'"),
        (Tokens(("other",)), "The tokenizer does not know the token 'other'"),
        (Tokens((99,)), "The token 99 is outside the vocabulary of 40 tokens"),
        (Tokens((1,), 8), "The target's position is 8, but the prompt ends at position 7"),
        (Direction((1.0, 2.0)), "The direction 'direction' has length 2 where the model's width is 16"),
    ],
)
def test_a_target_that_does_not_exist_says_so(model: ReplacementModel, target: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        attribute(model, PROMPT, [target])
    assert caught.value.what.startswith(message)
