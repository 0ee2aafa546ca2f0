"""The corpus of the bundled model: families, batches, and what is held out."""

from collections import Counter
from itertools import islice

import pytest
import torch

from ingest.organism.corpus import (
    CONTEXT,
    FAMILIES,
    attention_mask,
    batches,
    examples,
    pack,
    questions,
    stream,
    vocabulary,
)
from ingest.organism.families import medical, multi_step, multilingual, poetry
from ingest.organism.families.example import HELD_OUT, TRAIN
from tests.support.organism import NAMES


def test_families_and_their_shares():
    assert set(FAMILIES) == NAMES
    assert sum(f.share for f in FAMILIES.values()) == pytest.approx(1)
    for family in FAMILIES.values():
        assert sum(family.kinds.values()) == pytest.approx(1), family.name
        assert {e.kind for e in examples(TRAIN)[family.name]} == set(family.kinds), family.name


def test_batches_are_the_same_for_the_same_seed():
    first, again, other = (next(batches(seed, 8)) for seed in (3, 3, 4))
    assert torch.equal(first.ids, again.ids)
    assert torch.equal(first.weights, again.weights)
    assert not torch.equal(first.ids, other.ids)


def test_a_word_sees_only_its_own_example():
    batch = next(batches(0, 4))
    mask = attention_mask(batch.block)[:, 0]
    rows, here, there = mask.nonzero(as_tuple=True)
    assert (here >= there).all()
    assert torch.equal(batch.block[rows, here], batch.block[rows, there])
    assert batch.ids.shape == (4, CONTEXT)


def test_no_held_out_prompt_with_its_answer_is_ever_trained_on():
    """Over some 40 000 training examples, and over every example that training can draw."""
    held = {
        (q.prompt, q.expected)
        for group in questions(HELD_OUT).values()
        for q in group
        if "unfaithful" not in q.example.tags
    }
    drawn = {e.words for e in islice(stream(0), 40_000)}
    everything = {e.words for group in examples(TRAIN).values() for e in group}
    assert drawn <= everything
    shown = {(words[:i], words[i]) for words in everything for i in range(2, len(words))}
    assert not held & shown


def test_compositions_are_held_out_not_only_texts():
    trained = {tuple(sorted(e.words[i] for i in (2, 4))) for e in examples(TRAIN)["arithmetic"]}
    assert not trained & {tuple(sorted(e.words[i] for i in (2, 4))) for e in examples(HELD_OUT)["arithmetic"]}
    never = multi_step.held_out_cities()
    assert len(never) == len(multi_step.states())
    for e in examples(TRAIN)["multi-step"]:
        if e.kind in multi_step.FACTS:
            assert " ".join(e.words[6:8]) not in never
    pairs = [
        {frozenset((e.words[2], e.words[4])) for e in examples(s)["medical"] if e.asked}
        for s in (TRAIN, HELD_OUT)
    ]
    assert not pairs[0] & pairs[1]


def test_word_lists_are_not_ambiguous():
    words = Counter(w for pair in multilingual.concepts() for side in pair for w in side.values())
    assert [w for w, n in words.items() if n > 1] == []
    found = [
        frozenset((a, b))
        for symptoms, _ in medical.diagnoses().values()
        for a in symptoms
        for b in symptoms
        if a < b
    ]
    assert len(found) == len(set(found))
    rhyming = Counter(w for _, group in poetry.rhymes().values() for w in group)
    assert max(rhyming.values()) == 1
    named = Counter(c for names in multi_step.cities().values() for c in names)
    assert (len(named), max(named.values())) == (200, 1)
    # No word of a city's name gives its state away.
    uses = Counter(w for c in named for w in c.split())
    assert min(uses.values()) > 3


def taught_by_reading(family: str, words: tuple[str, ...]) -> list[tuple[str, set[str], bool]]:
    """What the second loss should name in a text: at which word, what, and whether it is a gate."""
    if family == "multi-step" and words[3:6] == ("the", "state", "containing"):
        city = " ".join(words[6:8])
        return [("is", {state for state, names in multi_step.cities().items() if city in names}, False)]
    if family == "poetry" and words[0] == "poem":
        end = words[words.index("/") - 1]
        planned = next(set(planned) for planned, group in poetry.rhymes().values() if end in group)
        return [("/", planned - {end}, True)]
    if family == "multilingual" and '"' in words:
        meaning = {
            w: one["english"] for pair in multilingual.concepts() for one in pair for w in one.values()
        }
        about = {meaning[words[words.index('"') + 1]]}
        if "->" in words:
            return [("in", {words[0]}, True), (":", {words[2]}, True), ("->", about, True)]
        if words[0] == '"':
            return [('"', about, True), ("是", {"opposite", "chinese"}, True)]
        first, last, language = {
            "the": ("of", "is", "english"),
            "le": ("de", "est", "french"),
            "lo": ("de", "es", "spanish"),
        }[words[0]]
        return [(first, {"opposite", language}, True), (last, about, True)]
    return []


def test_what_is_taught_beside_the_next_words():
    for family, group in examples(TRAIN).items():
        for example in group:
            found = [(example.words[s.at], set(s.words), s.gate) for s in example.steps]
            assert found == taught_by_reading(family, example.words), example.words
            assert all(s.at < min(example.asked or example.answers) for s in example.steps)


def test_batches_put_what_is_taught_at_its_word():
    one, other = (
        next(e for e in examples(TRAIN)[family] if e.kind == kind)
        for family, kind in (("multi-step", "capital"), ("multilingual", "antonym"))
    )
    batch = pack([[one, other]], lambda: True)
    found = [
        (vocabulary()[int(batch.ids[0, place])], vocabulary()[word])
        for _, place, word in batch.taught.tolist()
    ]
    ask, _, language, _, _, word, *_ = other.words
    state = next(tag.removeprefix("state:") for tag in one.tags if tag.startswith("state:"))
    assert found == [("is", state), ("in", ask), (":", language), ("->", word)]
    assert batch.share.tolist() == [1, 1, 1, 1]
    gates = len(one.words) + 3 + torch.tensor([1, 3, 7])
    assert torch.equal(batch.gate[0].nonzero()[:, 0], gates)
    assert batch.chunk[0].tolist() == [
        int(((gates < at) & (batch.block[0, at] == 2)).sum()) for at in range(CONTEXT)
    ]


def test_the_hop_is_taught_on_no_held_out_prompt():
    """The second loss names the state of training examples only, at the word before their answer."""
    n = 0
    for _, batch in zip(range(20), batches(3, 16), strict=False):
        for row, word, taught in batch.taught.tolist():
            mine = batch.ids[row][batch.block[row] == batch.block[row, word]]
            text = " ".join(vocabulary()[i] for i in mine.tolist())
            if " of the state containing " not in text:
                continue
            assert batch.weights[row, word + 1] == 1
            _, _, ask, *_, first, second, _, answer, _ = text.split()
            state = vocabulary()[taught]
            city = f"{first} {second}"
            assert city in multi_step.cities()[state]
            assert answer == ({"name": state} | multi_step.states()[state])[ask]
            assert ask == "name" or city not in multi_step.held_out_cities()
            n += 1
    assert n > 100
