"""The prompts of a study: what is asked, what should follow, and what each prompt is about."""

from collections.abc import Sequence
from typing import NamedTuple

from ingest.engine.intervention.intervene import Case, intervene_many
from ingest.engine.replacement.model import ReplacementModel
from schema.errors import InputError


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


def word(model: ReplacementModel, text: str) -> int:
    """The vocabulary id of the token that a word begins with. Raises PromptError when the tokenizer does not
    know it.

    A tokenizer that writes the space before a word into its token is given the space.
    """
    for written in (f" {text.strip()}", text):
        encoded = model.encode(written)
        ids = encoded.ids[1:] if encoded.special_first_token and len(encoded.ids) > 1 else encoded.ids
        if model.decode(ids[0]).strip():
            return ids[0]
    return ids[0]


def next_words(model: ReplacementModel, cases: Sequence[Case]) -> list[int]:
    """The most probable next token of each case, under its edits."""
    return [int(outcome.logits[-1].argmax()) for outcome in intervene_many(model, cases)]


def some_answered(model: ReplacementModel, items: Sequence[Item]) -> list[Item]:
    """As `answered`. Raises InputError when there is none."""
    found = answered(model, items)
    if not found:
        raise InputError(
            f"The model answers none of {len(items)} prompts rightly, so that there is nothing to change",
            next_step="give prompts whose `expected` is what this model says next",
        )
    return found


def answered(model: ReplacementModel, items: Sequence[Item]) -> list[Item]:
    """The items that the model answers rightly."""
    tops = next_words(model, [Case(item.prompt, []) for item in items])
    return [item for item, top in zip(items, tops, strict=True) if top == word(model, item.expected)]
