"""Items: the prompts of a study, with expected answers and labels.

The functions ask which items a model answers correctly.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ingest.engine.intervention.intervene import Case, intervene_many
from ingest.engine.replacement.model import ReplacementModel
from schema.counted import counted
from schema.errors import InputError


class Item(NamedTuple):
    """One prompt of a study."""

    prompt: str
    expected: str
    """The word that a correct answer begins with."""
    kind: str
    """Which question of its family the prompt asks, such as `capital`."""
    labels: dict[str, str]
    """What the prompt is about, from its tags `name:value`."""
    tags: frozenset[str]
    """All tags of the prompt."""


def word(model: ReplacementModel, text: str) -> int:
    """The vocabulary id of the token that a word begins with.

    For a tokenizer whose tokens include the space before a word, the space is added. Raises PromptError when
    the tokenizer cannot encode the word.
    """
    for written in (f" {text.strip()}", text):
        encoded = model.encode(written)
        ids = encoded.ids[1:] if encoded.n_left_out and len(encoded.ids) > 1 else encoded.ids
        if model.decode(ids[0]).strip():
            return ids[0]
    return ids[0]


def positions_of(model: ReplacementModel, prompt: str, text: str) -> range:
    """The positions of the tokens that hold the last occurrence of a text in a prompt.

    Raises InputError when the prompt does not contain the text, or when the tokenizer does not say where its
    tokens are.
    """
    start = prompt.rfind(text)
    if start < 0 or not text:
        raise InputError(
            f"{prompt!r} does not contain {text!r}",
            next_step="write the value of the tag as it stands in the prompt",
        )
    if not model.tokenizer.is_fast:
        raise InputError(
            "The tokenizer of this model does not say where its tokens are in the text",
            next_step="save the tokenizer in its fast form, as tokenizer.json",
        )
    spans = model.tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    first = len(model.encode(prompt).ids) - len(spans)  # the special first token
    held = [place for place, (a, b) in enumerate(spans, first) if a < start + len(text) and b > start]
    return range(held[0], held[-1] + 1)


def next_words(model: ReplacementModel, cases: Sequence[Case]) -> list[int]:
    """The vocabulary id of the most probable next token of each case, under its edits."""
    return [int(outcome.logits[-1].argmax()) for outcome in intervene_many(model, cases)]


def some_answered(model: ReplacementModel, items: Sequence[Item]) -> list[Item]:
    """The items that the model answers correctly, at least one. Raises InputError when there are none."""
    found = answered(model, items)
    if not found:
        raise InputError(
            f"The model answers none of {counted(len(items), 'prompt')} correctly, so there is no answer to "
            "change",
            next_step="give prompts whose `expected` is the next word that this model predicts",
        )
    return found


def few_answered(model: ReplacementModel, items: Sequence[Item], n: int) -> list[Item]:
    """At most `n` items that the model answers correctly, among the first 2n items."""
    return answered(model, items[: 2 * n])[:n]


def answered(model: ReplacementModel, items: Sequence[Item]) -> list[Item]:
    """The items that the model answers correctly."""
    tops = next_words(model, [Case(item.prompt, []) for item in items])
    return [item for item, top in zip(items, tops, strict=True) if top == word(model, item.expected)]
