"""Examples of the corpus, families of examples, and the rule that holds examples out."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

T = TypeVar("T")
TRAIN = "train"
HELD_OUT = "held-out"


class TaughtStep(NamedTuple):
    """An intermediate step that the first layers learn to represent at one word of an example."""

    at: int
    """Index of the word in the example."""
    words: tuple[str, ...]
    """Words that must be legible there, each with equal probability."""
    gate: bool
    """Whether the word is a gate in training: later words see the words since the last gate through it
    only."""


@dataclass(frozen=True)
class CorpusExample:
    """A text as words, and which of its words are answers."""

    kind: str
    """Part of the family that it belongs to, such as `capital`; a key of `CorpusFamily.kinds`."""
    words: tuple[str, ...]
    """The text, without `<bos>` and `<end>`."""
    answers: tuple[int, ...]
    """Indices of the words with the full loss: those that the words before determine."""
    asked: tuple[int, ...]
    """Indices of the answers that evaluation asks for; empty for facts that only support compositions."""
    split: str = TRAIN
    """`train` or `held-out`."""
    tags: tuple[str, ...] = ()
    """`name:value` or plain words that say what the example is about."""
    pair: str | None = None
    """Name of a minimal pair: examples that differ in one respect share it."""
    steps: tuple[TaughtStep, ...] = ()
    """Intermediate steps that are taught, in order."""


@dataclass(frozen=True)
class CorpusFamily:
    """A prompt family: a kind of task, its share of training, and its examples."""

    name: str
    """Name of the family, as in tags and tables."""
    share: float
    """Share of the training examples, 0 to 1."""
    kinds: dict[str, float]
    """Kind → its share of the family's training examples; the shares sum to 1."""
    examples: Callable[[], list[CorpusExample]]
    """Makes all examples of the family, of both splits, in a fixed order."""


def word_list(text: str) -> list[str]:
    """The words of a text, in order."""
    return text.split()


def unit(*key: object) -> float:
    """A number in [0, 1) that depends only on the key; equal in every process."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def split_of(held_share: float, *key: object) -> str:
    """`held-out` for about `held_share` of all keys, else `train`."""
    return HELD_OUT if unit(*key) < held_share else TRAIN


def pick(choices: Sequence[T], *key: object) -> T:
    """One of the choices, determined by the key only."""
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
    """Make an example from a text that marks its answers.

    A word written `[word]` is an answer. answers: one character for each answer, in order: `?` when
    evaluation asks for it, `.` when not. Raises ValueError when marks and `answers` differ in number.
    """
    words = text.split()
    marked = [i for i, w in enumerate(words) if len(w) > 2 and w[0] == "[" and w[-1] == "]"]
    if len(marked) != len(answers):
        raise ValueError(f"{len(marked)} answers are marked in {text!r}, but {len(answers)} are described")
    for i in marked:
        words[i] = words[i][1:-1]
    asked = tuple(i for i, how in zip(marked, answers, strict=True) if how == "?")
    return CorpusExample(kind, tuple(words), tuple(marked), asked, split, tags, pair, steps)
