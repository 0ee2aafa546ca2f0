"""First labels and supernodes, against slow obvious versions."""

from collections import Counter, defaultdict

import numpy as np

from ingest.labels.explain import explain
from ingest.labels.statistics import FeatureStatistics, Firings, TokenShare, count_tokens, feature_statistics
from ingest.labels.supernodes import group_by_concept
from schema.circuit.records import Node, NodeKind, Supernode

WORDS = ["<bos>", "dallas", "houston", "is", "austin", " \n"]


def random_firings(seed: int, n: int) -> Firings:
    rng = np.random.default_rng(seed)
    return Firings(
        layer=rng.integers(0, 2, n).astype(np.int32),
        index=rng.integers(0, 3, n).astype(np.int32),
        token=rng.integers(1, 5, n).astype(np.int32),
        activation=rng.random(n).astype(np.float32) + 0.1,
    )


def test_statistics_equal_a_slow_count():
    firings = random_firings(0, 200)
    occurrences = np.bincount(firings.token, minlength=6) * 2
    mass: dict = defaultdict(Counter)
    count: dict = defaultdict(Counter)
    for layer, index, token, activation in zip(
        firings.layer, firings.index, firings.token, firings.activation, strict=True
    ):
        mass[layer, index][token] += float(activation)
        count[layer, index][token] += 1
    found = feature_statistics(firings, occurrences, top=2)
    assert [(s.layer, s.index) for s in found] == sorted(mass)
    for s in found:
        key = (s.layer, s.index)
        assert s.n_firings == sum(count[key].values())
        expected = sorted(mass[key].items(), key=lambda item: -item[1])[:2]
        assert [t.token for t in s.tokens] == [token for token, _ in expected]
        for t, (token, m) in zip(s.tokens, expected, strict=True):
            assert abs(t.share - m / sum(mass[key].values())) < 1e-9
            assert t.recall == count[key][token] / occurrences[token]


def test_no_firings_give_no_statistics():
    assert feature_statistics(Firings.join([]), np.zeros(3, np.int64)) == []


def test_tokens_are_counted_without_the_special_first_one():
    assert count_tokens([[0, 1, 1], [0, 2]], vocab_size=4, n_left_out=1).tolist() == [0, 2, 1, 0]
    assert count_tokens([[0, 1, 1], [0, 2]], vocab_size=4, n_left_out=0).tolist() == [2, 2, 1, 0]


def test_a_detector_is_named_after_its_tokens():
    statistics = FeatureStatistics(0, 7, 9, (TokenShare(1, 0.6, 1.0), TokenShare(2, 0.3, 0.9)))
    assert explain(statistics, [4, 3], WORDS.__getitem__) == (
        "dallas / houston",
        "dallas / houston: fires on dallas 60%, houston 30%; promotes austin, is",
    )


def test_a_feature_silent_on_most_of_its_token_is_named_after_what_it_says():
    statistics = FeatureStatistics(3, 7, 9, (TokenShare(3, 1.0, 0.1),))
    assert explain(statistics, [4], WORDS.__getitem__) == (
        "say austin",
        "say austin: fires on is 100%; promotes austin",
    )


def test_blank_tokens_stay_visible():
    statistics = FeatureStatistics(3, 7, 9, (TokenShare(5, 1.0, 1.0),))
    assert explain(statistics, [4], WORDS.__getitem__).concept == " \\n"


def test_supernodes_group_like_names_at_one_position():
    def node(layer: int, position: int, index: int) -> Node:
        return Node(NodeKind.FEATURE, layer, position, index)

    nodes = [node(0, 1, 5), node(1, 1, 6), node(0, 2, 5), node(1, 2, 9), node(2, 1, 8)]
    nodes.append(Node(NodeKind.ERROR, 0, 1, None))
    names = {(0, 5): "texas", (1, 6): "texas", (2, 8): "say austin"}
    assert group_by_concept(nodes, names) == (
        Supernode("texas", 1, (0, 1), "label-and-position-v1", "atlas"),
    )
