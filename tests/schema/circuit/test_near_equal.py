"""Clusters of nearly equal prompts, compared with an edit distance between all pairs of prompts."""

import random
from collections.abc import Sequence

import pytest

from schema.circuit.near_equal import COMMON, PromptText, clusters, words_of
from tests.support.counting import slow_clusters


def grouped(prompts: Sequence[PromptText]) -> list[list[str]]:
    return [[prompts[place].text for place in cluster] for cluster in clusters(prompts)]


def test_case_blanks_and_special_tokens_do_not_count():
    same = ["The capital of Texas is", " the  capital of TEXAS is", "<bos>The capital of Texas is"]
    assert len({words_of(text) for text in same}) == 1
    assert grouped([PromptText(text) for text in (*same, "Two and two make")]) == [same, ["Two and two make"]]


@pytest.mark.parametrize(
    ("one", "other", "linked"),
    [
        ("the capital of Texas", "the capital of Ohio", True),
        ("the capital of Texas", "the capital of Texas is", True),
        ("the capital of Texas", "capital of Texas", True),
        ("the capital of Texas", "a capital of Ohio", False),
        ("3 + 4 =", "3 - 4 =", True),
        ("3 + 4 =", "5 - 4 =", False),
        ("hello world", "hello there", False),
        ("", "hello", False),
        ("a b c d", "d a b c", False),
    ],
)
def test_one_word_may_differ(one, other, linked):
    assert (len(clusters([PromptText(one), PromptText(other)])) == 1) is linked


def test_a_minimal_pair_is_a_cluster():
    prompts = [PromptText("one"), PromptText("two", "p"), PromptText("three", "q"), PromptText("four", "p")]
    assert clusters(prompts) == [[0], [1, 3], [2]]


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_those_of_all_pairs_of_prompts(seed):
    rng = random.Random(seed)
    prompts = [
        PromptText(
            " ".join(rng.choice("abc") for _ in range(rng.randint(0, COMMON + 4))),
            f"pair {rng.randrange(8)}" if rng.random() < 0.1 else None,
        )
        for _ in range(60)
    ]
    found = clusters(prompts)
    assert found == slow_clusters(prompts)
    assert 1 < len(found) < 60
    # The order of the prompts changes nothing.
    places = rng.sample(range(60), 60)
    moved = clusters([prompts[place] for place in places])
    assert sorted(sorted(places[i] for i in cluster) for cluster in moved) == sorted(found)


def test_long_texts_are_linked_when_they_are_equal():
    long = " ".join(str(n) for n in range(5000))
    assert clusters([PromptText(long), PromptText(long + " more"), PromptText(long.upper())]) == [[0, 2], [1]]
