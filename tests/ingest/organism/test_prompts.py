"""The prompts that are bundled with the model."""

from collections import Counter

from ingest.organism.corpus import vocabulary
from ingest.organism.evaluate import top_words
from ingest.organism.families.example import HELD_OUT
from tests.support.organism import NAMES, model, prompts


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
