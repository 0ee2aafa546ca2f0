"""The bundled model: its corpus, its tokenizer, and what the shipped weights can do."""

import json
from collections import Counter
from functools import cache
from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ingest.organism.agreement import agreement
from ingest.organism.clt import CrossLayerTranscoder
from ingest.organism.corpus import (
    BOS,
    CONTEXT,
    FAMILIES,
    attention_mask,
    batches,
    examples,
    pack,
    questions,
    stream,
    vocabulary,
    word_ids,
)
from ingest.organism.evaluate import NEVER_COMPOSED, accuracy, gated, top_words, two_hop_lens
from ingest.organism.families import medical, multi_step, multilingual, poetry
from ingest.organism.families.example import HELD_OUT, TRAIN
from ingest.organism.gates import streams
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR

NAMES = {
    "multi-step",
    "arithmetic",
    "multilingual",
    "poetry",
    "medical",
    "entities",
    "refusals",
    "chain-of-thought",
}


@cache
def model():
    loaded = AutoModelForCausalLM.from_pretrained(MODEL_DIR, dtype=torch.float32, attn_implementation="eager")
    return loaded.eval()


@cache
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL_DIR)


@cache
def prompts():
    return [json.loads(line) for line in PROMPTS_PATH.read_text(encoding="utf-8").splitlines()]


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


def test_vocabulary_begins_with_special_words_and_numbers():
    words = vocabulary()
    assert words[:5] == ("<bos>", "<end>", "<unk>", "<pad>", "0")
    assert words[4 + 198] == "198"
    assert len(set(words)) == len(words)


def test_tokenizer_round_trip():
    ids = tokenizer()("calc : 36 + 59 =").input_ids
    assert tokenizer().convert_ids_to_tokens(ids) == [BOS, "calc", ":", "36", "+", "59", "="]
    assert tokenizer().decode(ids, skip_special_tokens=True) == "calc : 36 + 59 ="
    assert tokenizer()("Calc: 36+59=").input_ids == ids
    assert tokenizer()("the zebra").input_ids[-1] == tokenizer().unk_token_id
    assert (tokenizer().bos_token, tokenizer().eos_token) == ("<bos>", "<end>")
    assert tokenizer().get_vocab() == word_ids()


def test_every_corpus_word_is_one_token():
    for group in questions(HELD_OUT).values():
        for q in group[:50]:
            assert tokenizer()(" ".join(q.prompt)).input_ids == [word_ids()[w] for w in (BOS, *q.prompt)]


def test_the_saved_files_are_small():
    files = [p for p in MODEL_DIR.parent.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 25 * 2**20
    assert model().lm_head.weight.shape == (len(vocabulary()), 128)


def test_held_out_accuracy():
    scores = accuracy(model(), limit=150)
    assert set(scores) == NAMES | {NEVER_COMPOSED}
    assert min(s.n for s in scores.values()) >= 50
    assert {family: s.share for family, s in scores.items() if s.share < 0.9} == {}


@pytest.mark.parametrize("ask", ["capital", "code"])
def test_the_state_is_on_top_before_the_answer(ask):
    """At the last position, of all words: first the state, then what was asked about it."""
    table = {row.layer: row for row in two_hop_lens(model(), ask)}
    for layer in (1, 2):
        assert table[layer].state_on_top >= 0.9
        assert table[layer].answer_on_top <= 0.1
    assert table[5].answer_on_top >= 0.9
    assert table[5].state_on_top <= 0.1


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


def test_gates_hold_what_is_taught_and_answers_come_through_them():
    """On held-out prompts, with later words seeing earlier ones through gates alone."""
    found = gated(model(), limit=150)
    assert set(found) == {"multilingual", "poetry"}
    for family, each in found.items():
        assert each.gates >= each.n >= 50, family
        assert each.legible >= 0.95, family
        assert each.accuracy >= 0.95, family


def test_beyond_a_gate_only_what_its_mlps_wrote_is_known():
    """Other words before the line break change what follows, but not once the gate's MLPs are silent."""
    group = [e for e in examples(TRAIN)["poetry"] if e.kind == "poem"]
    one = next(e for e in group if e.words[2:5] == ("i", "sang", "about"))
    other = next(
        e
        for e in group
        if e.words[7:] == one.words[7:] and e.words[5] != one.words[5] and len(e.words) == len(one.words)
    )
    batch = pack([[one], [other]], lambda: True)
    assert batch.gate.nonzero().tolist() == [[0, 7], [1, 7]]
    after = slice(8, 1 + len(one.words))

    def differ() -> float:
        with torch.no_grad():
            last = streams(model(), batch)[-1]
        return float((last[0, after] - last[1, after]).abs().max())

    def silence(_m, _a, out: torch.Tensor) -> torch.Tensor:
        return out * ~batch.gate[..., None]

    assert differ() > 0.1
    hooks = [layer.mlp.register_forward_hook(silence) for layer in model().model.layers[:2]]
    try:
        assert differ() < 1e-4  # rounding
    finally:
        for hook in hooks:
            hook.remove()


def test_replacement_model_agrees():
    scores = agreement(model(), CrossLayerTranscoder.load(TRANSCODERS_DIR), limit=150)
    assert scores.pop("all").share >= 0.93
    # Not a family of its own, and new to the transcoder as to the model.
    assert scores.pop(NEVER_COMPOSED).share >= 0.7
    assert {family: s.share for family, s in scores.items() if s.share < 0.85} == {}


def test_prompts_file():
    lines = prompts()
    assert len(lines) >= 240
    assert {frozenset(p) for p in lines} == {
        frozenset(("prompt", "family", "expected", "tags", "pair", "split"))
    }
    counts = Counter(p["family"] for p in lines)
    assert set(counts) == NAMES
    assert min(counts.values()) >= 25
    assert len({p["prompt"] for p in lines}) == len(lines)
    assert sum(p["split"] == HELD_OUT for p in lines) > len(lines) / 2
    words = set(vocabulary())
    for p in lines:
        assert set(p["prompt"].split()) <= words, p["prompt"]
        assert p["expected"] in words


def test_prompts_are_answered_as_expected():
    tops = top_words(model(), [p["prompt"].split() for p in prompts()]).tolist()
    wrong = [
        p["prompt"] for p, top in zip(prompts(), tops, strict=True) if vocabulary()[top] != p["expected"]
    ]
    assert wrong == []


def test_prompts_come_in_the_groups_that_studies_need():
    tagged = Counter(t for p in prompts() for t in p["tags"])
    assert min(tagged["refuse"], tagged["comply"]) >= 12
    assert min(tagged["known"], tagged["unknown"]) >= 12
    assert min(tagged[t] for t in ("faithful", "unfaithful", "motivated", "jailbreak")) >= 5
    ones = Counter(t for p in prompts() for t in p["tags"] if t.startswith("ones:"))
    assert sum(n >= 4 for n in ones.values()) >= 5
    cities: dict[str, set[str]] = {}
    for p in prompts():
        if p["family"] == "multi-step":
            tags = dict(t.split(":") for t in p["tags"] if ":" in t)
            cities.setdefault(f"{tags['state']} {tags['ask']}", set()).add(tags["city"])
    assert sum(len(c) >= 3 for c in cities.values()) >= 6
    assert any("dallas" in c for c in cities["texas capital"])
    assert any("oakland" in c for c in cities["california capital"])
    pairs = Counter(p["pair"] for p in prompts() if p["pair"] and p["family"] in ("refusals", "entities"))
    assert min(pairs.values()) >= 2
