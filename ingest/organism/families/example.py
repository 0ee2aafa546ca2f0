"""One line of the corpus, and the rule that puts it in the training or the held-out split."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")
TRAIN = "train"
HELD_OUT = "held-out"


class TaughtStep(NamedTuple):
    """What the first layers are taught to hold at one word of an example."""

    at: int
    """Index of that word."""
    words: tuple[str, ...]
    """What must be legible there, in equal parts."""
    gate: bool
    """Whether, in training, the words since the last gate are known to later ones through this word alone."""


@dataclass(frozen=True)
class CorpusExample:
    """A text of words separated by single spaces, and which of its words are answers."""

    kind: str
    """Which part of the family it belongs to, e.g. `capital`; a key of `CorpusFamily.kinds`."""
    words: tuple[str, ...]
    answers: tuple[int, ...]
    """Indices of the words that carry the full loss: what a reader of the words before could know."""
    asked: tuple[int, ...]
    """Indices of the answers that evaluation asks for; empty for facts that only serve compositions."""
    split: str = TRAIN
    tags: tuple[str, ...] = ()
    """`key:value` or plain words that say what the example is about."""
    pair: str | None = None
    """Shared by examples that differ in one thing only."""
    steps: tuple[TaughtStep, ...] = ()
    """What is taught beside the next words, in order."""


@dataclass(frozen=True)
class CorpusFamily:
    """A kind of task: how large a share of training it has and all its examples."""

    name: str
    share: float
    """Share of the training examples."""
    kinds: dict[str, float]
    """How the family's share is divided among its kinds; sums to one."""
    examples: Callable[[], list[CorpusExample]]
    """Every example of the family, both splits, always in the same order."""


def word_list(text: str) -> list[str]:
    """The words of a text, in order."""
    return text.split()


def unit(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone, the same in every process."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def split_of(held_share: float, *key: object) -> str:
    """`held-out` for about `held_share` of the keys, else `train`."""
    return HELD_OUT if unit(*key) < held_share else TRAIN


def pick(choices: Sequence[T], *key: object) -> T:
    """One of the choices, fixed by the key alone."""
    return choices[int(unit(*key) * len(choices))]


def line(
    kind: str,
    text: str,
    answers: str,
    *,
    split: str = TRAIN,
    tags: tuple[str, ...] = (),
    pair: str | None = None,
    steps: tuple[TaughtStep, ...] = (),
) -> CorpusExample:
    """Read an example from a text that marks its answers.

    A word written `[word]` is an answer; `answers` says for each in turn whether evaluation asks for it (`?`)
    or not (`.`). Raises ValueError when the marks and `answers` differ in number.
    """
    words = text.split()
    marked = [i for i, w in enumerate(words) if len(w) > 2 and w[0] == "[" and w[-1] == "]"]
    if len(marked) != len(answers):
        raise ValueError(f"{len(marked)} answers are marked in {text!r}, but {len(answers)} are described")
    for i in marked:
        words[i] = words[i][1:-1]
    asked = tuple(i for i, how in zip(marked, answers, strict=True) if how == "?")
    return CorpusExample(kind, tuple(words), tuple(marked), asked, split, tags, pair, steps)
