"""Chooses the bundled prompts: mostly held out, answered correctly, from every family, in minimal pairs."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from transformers import LlamaForCausalLM

from ingest.organism.corpus import CorpusQuestion, questions, vocabulary
from ingest.organism.evaluate import tag_value, top_words
from ingest.organism.families import poetry
from ingest.organism.families.example import HELD_OUT, TRAIN, unit

# Pairs of states, so that every prompt has a partner that differs in its city only.
STATES = (
    ("texas", "california"),
    ("georgia", "ohio"),
    ("florida", "oregon"),
    ("colorado", "michigan"),
    ("tennessee", "utah"),
)
CITIES_PER_STATE = 3
MOST_TRAINED = 2500  # questions of each family's training split that the model is asked
# Last digits of the two operands of sums.
ONES = ((6, 9), (3, 8), (2, 2), (7, 5), (4, 1), (8, 8), (0, 6), (9, 3))


class BundledPrompt(NamedTuple):
    """One line of the bundled prompts file."""

    prompt: str
    family: str
    expected: str
    """The word that should follow. The model predicts it."""
    tags: list[str]
    """`name:value` or plain words."""
    pair: str | None
    """Name of a minimal pair or group; its prompts share the name."""
    split: str
    """`train` or `held-out`."""


def choose(model: LlamaForCausalLM) -> list[BundledPrompt]:
    """The bundled prompts. Equal models give equal prompts; questions with wrong answers are skipped."""
    right = {family: right_questions(model, group) for family, group in both_splits().items()}
    chosen = [
        *multi_step_prompts(right["multi-step"]),
        *(as_prompt(q, f"ones {tag_value(q, 'ones')}") for q in sums(right["arithmetic"])),
        *multilingual_prompts(right["multilingual"]),
        *grouped(right["poetry"], 2, 18),
        *plans(model),
        *medical_prompts(right["medical"]),
        *grouped(
            [q for q in right["entities"] if "ask:recall" not in q.example.tags], 2, 16, ("known", "unknown")
        ),
        *grouped([q for q in right["refusals"] if q.example.kind == "request"], 2, 14, ("refuse", "comply")),
        *grouped(
            [q for q in right["refusals"] if q.example.kind == "spelled"], 4, 7, ("jailbreak", "spelled")
        ),
        *chains(model, right["chain-of-thought"]),
    ]
    return list({p.prompt: p for p in chosen}.values())


def both_splits() -> dict[str, list[CorpusQuestion]]:
    """Questions of each family: all held-out ones, then at most `MOST_TRAINED` of the training split."""
    trained = questions(TRAIN)
    found = {}
    for family, group in questions(HELD_OUT).items():
        some = sorted(trained[family], key=lambda q: unit(*q.prompt))[:MOST_TRAINED]
        found[family] = [*group, *some]
    return found


def right_questions(model: LlamaForCausalLM, group: Sequence[CorpusQuestion]) -> list[CorpusQuestion]:
    """The questions that the model answers correctly.

    Held-out questions come first; each part is in an order fixed by a hash.
    """
    tops = top_words(model, [q.prompt for q in group]).tolist()
    words = vocabulary()
    kept = [q for q, top in zip(group, tops, strict=True) if words[top] == q.expected]
    return sorted(kept, key=lambda q: (q.example.split != HELD_OUT, unit(*q.prompt)))


def as_prompt(question: CorpusQuestion, pair: str | None, *more: str) -> BundledPrompt:
    """A question as a line of the file. more: further tags."""
    tags = [*question.example.tags, *more]
    if len(question.example.asked) > 1:
        tags.append(f"step:{question.step + 1}")
    return BundledPrompt(
        " ".join(question.prompt), question.family, question.expected, tags, pair, question.example.split
    )


def multi_step_prompts(group: list[CorpusQuestion]) -> Iterator[BundledPrompt]:
    """Three cities of each state, each with its capital and its code. Dallas and Oakland come first."""
    by_city: dict[str, dict[tuple[str, str], dict[str, CorpusQuestion]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for q in group:
        city = tag_value(q, "city")
        famous = "a" if city.endswith(("dallas", "oakland")) else "b"
        by_city[tag_value(q, "state")][famous, city][q.example.kind] = q
    for states in STATES:
        for state in states:
            cities = [
                found for key, found in sorted(by_city[state].items(), key=lambda kv: kv[0][0])
                if {"capital", "code"} <= set(found)
            ]  # fmt: skip
            for rank, found in enumerate(cities[:CITIES_PER_STATE]):
                for ask in ("capital", "code"):
                    yield as_prompt(found[ask], f"{ask} {'/'.join(states)} {rank + 1}")


def sums(group: list[CorpusQuestion]) -> Iterator[CorpusQuestion]:
    """Five sums for each pair of last digits in `ONES`."""
    for a, b in ONES:
        same = [q for q in group if f"ones:{a}+{b}" in q.example.tags and len(q.expected) > 1]
        yield from same[:5]


def multilingual_prompts(group: list[CorpusQuestion]) -> Iterator[BundledPrompt]:
    """Antonyms of six concepts in all four languages, and twelve pairs of antonym and translation."""
    native: dict[str, list[CorpusQuestion]] = defaultdict(list)
    crossed: dict[str, list[CorpusQuestion]] = defaultdict(list)
    for q in group:
        if q.example.kind == "native":
            native[tag_value(q, "concept")].append(q)
        else:
            crossed[str(q.example.pair)].append(q)
    for concept, found in sorted(native.items(), key=lambda kv: held_out_first(kv[1]))[:6]:
        for q in found:
            yield as_prompt(q, f"antonym {concept}")
    pairs = [found for found in crossed.values() if len(found) == 2]
    for found in sorted(pairs, key=held_out_first)[:12]:
        for q in found:
            yield as_prompt(q, q.example.pair)


def held_out_first(found: list[CorpusQuestion]) -> tuple[int, float]:
    """A sort key: groups with most held-out members come first, then the order is fixed by a hash."""
    return -sum(q.example.split == HELD_OUT for q in found), unit(*found[0].prompt)


def grouped(
    group: list[CorpusQuestion], size: int, n: int, wanted: tuple[str, ...] | None = None
) -> Iterator[BundledPrompt]:
    """`n` groups of `size` questions with equal `pair`.

    Each of the `wanted` tags has an equal number of questions in a group.
    """
    pairs: dict[str, list[CorpusQuestion]] = defaultdict(list)
    for q in group:
        pairs[str(q.example.pair)].append(q)
    ready = []
    for found in pairs.values():
        sides = [[q for q in found if t in q.example.tags] for t in wanted] if wanted else [found]
        each = size // len(sides)
        if all(len(side) >= each for side in sides):
            ready.append([q for side in sides for q in side[:each]])
    for found in sorted(ready, key=held_out_first)[:n]:
        for q in found:
            yield as_prompt(q, q.example.pair)


def plans(model: LlamaForCausalLM, n: int = 10) -> Iterator[BundledPrompt]:
    """Poems cut at the line break. The first word of the second line then shows the plan."""
    themes = {lead.split()[0]: theme for theme, lead in poetry.LEADS.items()}
    group = sorted((q for q in questions(HELD_OUT)["poetry"]), key=lambda q: unit("plan", *q.prompt))[: 4 * n]
    prompts = [q.prompt[: q.prompt.index("/") + 1] for q in group]
    words = vocabulary()
    found = 0
    for q, prompt, top in zip(group, prompts, top_words(model, prompts).tolist(), strict=True):
        planned = poetry.rhymes()[tag_value(q, "rhyme")][0]
        theme = themes.get(words[top])
        for word in planned:
            if planned[word] == theme and found < n:
                tags = [t for t in q.example.tags if t.startswith(("rhyme:", "first-end:"))]
                tags += [f"planned:{word}", f"theme:{theme}", "plan"]
                yield BundledPrompt(" ".join(prompt), q.family, words[top], tags, None, HELD_OUT)
                found += 1


def medical_prompts(group: list[CorpusQuestion]) -> Iterator[BundledPrompt]:
    """Eighteen patients, each with a question for the diagnosis and one for the next sign."""
    patients: dict[tuple[str, ...], list[CorpusQuestion]] = defaultdict(list)
    for q in group:
        patients[q.prompt[:6]].append(q)
    both = [found for found in patients.values() if len({q.example.kind for q in found}) == 2]
    for i, found in enumerate(sorted(both, key=held_out_first)[:18]):
        for q in found:
            yield as_prompt(q, f"patient {i + 1}")


def chains(model: LlamaForCausalLM, group: list[CorpusQuestion]) -> Iterator[BundledPrompt]:
    """Chains of thought of every kind.

    Where an unfaithful chain guesses, the guess of the model is expected.
    """
    wanted = (
        ("faithful", 0, 8),
        ("faithful", 1, 6),
        ("hinted", 0, 6),
        ("motivated", 0, 14),
        ("unfaithful", 0, 6),
    )
    for kind, step, n in wanted:
        found = [q for q in group if q.example.kind == kind and q.step == step][:n]
        for q in found:
            yield as_prompt(q, None if kind == "unfaithful" else q.example.pair)
    guesses = [e for e in (q.example for q in group) if e.kind == "unfaithful" and e.split == HELD_OUT]
    prompts = list(dict.fromkeys(e.words[: e.answers[0]] for e in guesses))[:8]
    words = vocabulary()
    for prompt, top in zip(prompts, top_words(model, prompts).tolist(), strict=True):
        tags = ["unfaithful", "random", f"function:{prompt[4]}"]
        yield BundledPrompt(" ".join(prompt), "chain-of-thought", words[top], tags, None, HELD_OUT)


def write_prompts(prompts: Sequence[BundledPrompt], path: Path) -> None:
    """Write a prompts file with one JSON object on each line."""
    lines = (json.dumps(p._asdict(), ensure_ascii=False) for p in prompts)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
