"""What the bundled weights can do."""

import pytest
import torch

from ingest.engine.transcoders.formats import recognise
from ingest.organism.agreement import agreement
from ingest.organism.corpus import examples, pack, vocabulary
from ingest.organism.evaluate import NEVER_COMPOSED, accuracy, gated, two_hop_lens
from ingest.organism.families.example import TRAIN
from ingest.organism.gates import streams
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from tests.support.organism import NAMES, model


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
    scores = agreement(model(), recognise.read(TRANSCODERS_DIR), limit=150)
    assert scores.pop("all").share >= 0.93
    # Not a family of its own, and new to the transcoder as to the model.
    assert scores.pop(NEVER_COMPOSED).share >= 0.7
    assert {family: s.share for family, s in scores.items() if s.share < 0.85} == {}
