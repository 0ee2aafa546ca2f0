"""Items: the prompts of a study, with expected answers and labels.

The functions ask which items a model answers correctly.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ingest.circuits.expected import continuation
from ingest.engine.intervention.intervene import Case, intervene_many
from ingest.engine.replacement.model import NONE, ReplacementModel
from ingest.engine.replacement.passes import next_logits
from ingest.progress import more
from schema.counted import counted
from schema.errors import InputError


class Item(NamedTuple):
    """One prompt of a study."""

    prompt: str
    expected: str
    """The correct answer, or its beginning."""
    kind: str
    """Which question of its family the prompt asks, such as `capital`."""
    labels: dict[str, str]
    """What the prompt is about, from its tags `name:value`."""
    tags: frozenset[str]
    """All tags of the prompt."""
    accepted: tuple[str, ...] = ()
    """Other answers that are correct."""
    line: int | None = None
    """Number of its line in the prompts file; None for a prompt of the bundled corpus."""

    @property
    def answers(self) -> tuple[str, ...]:
        """All correct answers, or their beginnings."""
        return self.expected, *self.accepted

    @property
    def place(self) -> str:
        """Where the prompt stands, for errors."""
        return repr(self.prompt) if self.line is None else f"line {self.line} ({self.prompt!r})"


def beginnings(model: ReplacementModel, *texts: str) -> frozenset[int]:
    """The vocabulary ids of the tokens that an answer can begin with when it is one of some texts.

    Each text counts as it is written, and with a space before it, because many tokenizers put the space into
    the token. Raises PromptError when the tokenizer cannot encode a text.
    """
    found = set()
    for text in texts:
        first = [model.encode(form, first_token=NONE).ids[0] for form in (f" {text.strip()}", text)]
        found.update([token for token in first if model.decode(token).strip()] or first[1:])
    return frozenset(found)


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
    steps = more("edited prompts", len(cases))
    found = []
    for outcome in intervene_many(model, cases):
        found.append(int(outcome.logits[-1].argmax()))
        steps.advance()
    return found


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
    """The items that the model answers correctly, over as many tokens as their answers have."""
    right = says(model, items, [item.answers for item in items])
    return [item for item, is_right in zip(items, right, strict=True) if is_right]


def says(model: ReplacementModel, items: Sequence[Item], answers: Sequence[Sequence[str]]) -> list[bool]:
    """Whether the model's answer to each item begins with one of the texts for it, over all their tokens."""
    encoded = [model.encode(item.prompt).ids for item in items]
    tops = [int(logits.argmax()) for logits in next_logits(model, [(ids, -1) for ids in encoded])]
    return [_says(model, ids, top, texts) for ids, top, texts in zip(encoded, tops, answers, strict=True)]


def _says(model: ReplacementModel, ids: Sequence[int], top: int, texts: Sequence[str]) -> bool:
    if top not in beginnings(model, *texts):
        return False
    said = continuation(model, ids, top, texts)
    return said is None or said.strip() in {text.strip() for text in texts}
