"""The prompts of a study: what is asked, what should follow, and what each prompt is about."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ingest.engine.intervene import Case, intervene_many
from ingest.engine.model import ReplacementModel
from ingest.organism.corpus import Question, questions
from ingest.organism.families.example import HELD_OUT, TRAIN, unit

DEVELOPMENT_SHARE = 0.15
"""Of the prompts that the model was trained on: rules are chosen on these, concepts formed on the others."""


class Item(NamedTuple):
    """One prompt of a study."""

    prompt: str
    expected: str
    """The word that should follow."""
    kind: str
    """Which question of its family it asks."""
    labels: dict[str, str]
    """What it is about, from its tags `name:value`."""
    tags: frozenset[str]


class Splits(NamedTuple):
    """The prompts of a family, in three parts that share none."""

    forming: list[Item]
    """Trained on; concepts are formed on these."""
    development: list[Item]
    """Trained on; rules and strengths are chosen on these."""
    held_out: list[Item]
    """Never trained on; used once, for the rates that are reported."""


def splits(family: str, wanted: Callable[[Item], bool] = lambda item: True) -> Splits:
    """The prompts of a family of the bundled corpus that are `wanted`, in an order fixed by a hash."""
    trained = [found for found in map(_item, questions(TRAIN)[family]) if wanted(found)]
    held = [found for found in map(_item, questions(HELD_OUT)[family]) if wanted(found)]
    parts: tuple[list[Item], list[Item]] = ([], [])
    for item in trained:
        parts[unit("development", item.prompt) < DEVELOPMENT_SHARE].append(item)
    return Splits(*(sorted(part, key=lambda item: unit(item.prompt)) for part in (*parts, held)))


def _item(question: Question) -> Item:
    tags = question.example.tags
    labels = dict(tag.split(":", 1) for tag in tags if ":" in tag)
    return Item(" ".join(question.prompt), question.expected, question.example.kind, labels, frozenset(tags))


def word(model: ReplacementModel, text: str) -> int:
    """The vocabulary id of one word. Raises PromptError when the tokenizer does not know it."""
    return model.encode(text).ids[-1]


def next_words(model: ReplacementModel, cases: Sequence[Case]) -> list[int]:
    """The most probable next token of each case, under its edits."""
    return [int(outcome.logits[-1].argmax()) for outcome in intervene_many(model, cases)]


def answered(model: ReplacementModel, items: Sequence[Item]) -> list[Item]:
    """The items that the model answers rightly."""
    tops = next_words(model, [Case(item.prompt, []) for item in items])
    return [item for item, top in zip(items, tops, strict=True) if top == word(model, item.expected)]
