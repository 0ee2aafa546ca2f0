"""The corpus: every family's examples, the vocabulary they need, and seeded batches of packed rows.

A batch is made of rows of `CONTEXT` words. Each row holds whole examples, each wrapped in `<bos>` … `<end>`,
and a block-diagonal mask lets a word see only its own example.
"""

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from ingest.organism.families import (
    arithmetic,
    chain_of_thought,
    entities,
    medical,
    multi_step,
    multilingual,
    poetry,
    refusals,
)
from ingest.organism.families.example import HELD_OUT, TRAIN, CorpusExample, CorpusFamily

CONTEXT = 64
BOS, END, UNKNOWN, PAD = "<bos>", "<end>", "<unk>", "<pad>"
SPECIAL = (BOS, END, UNKNOWN, PAD)
LARGEST_NUMBER = 198
# Words that are no answer are mostly unknowable (which city is next?); a full loss would drown the rest.
CONTEXT_WEIGHT = 0.1
# Examples with gates whose sight is narrowed to them: not all, so that the model knows itself with all of it.
NARROWED = 0.75
FAMILIES: dict[str, CorpusFamily] = {
    family.name: family
    for family in (
        multi_step.FAMILY,
        arithmetic.FAMILY,
        multilingual.FAMILY,
        poetry.FAMILY,
        medical.FAMILY,
        entities.FAMILY,
        refusals.FAMILY,
        chain_of_thought.FAMILY,
    )
}


class Batch(NamedTuple):
    """Rows of packed examples; `row` and `word` below count rows and positions in a row."""

    ids: Tensor
    """int64 (row, word)."""
    weights: Tensor
    """float32 (row, word): loss weight of *predicting* the word at this position; 0 for `<bos>`, padding."""
    block: Tensor
    """int64 (row, word): which example of the row a word belongs to, from 1; 0 for padding."""
    taught: Tensor
    """int64 (n, 3): row, word and the vocabulary id of what must be legible there."""
    share: Tensor
    """float32 (n,): part of one that each of `taught` is of its place."""
    chunk: Tensor
    """int64 (row, word): number of gates before a word, in the examples drawn for it; 0 elsewhere."""
    gate: Tensor
    """bool (row, word): the words through which alone later chunks know the words of this one."""


class CorpusQuestion(NamedTuple):
    """A prompt and the one word that should follow."""

    family: str
    prompt: tuple[str, ...]
    expected: str
    example: CorpusExample
    step: int
    """Which of the example's asked answers this is, from 0."""


@cache
def examples(split: str) -> dict[str, list[CorpusExample]]:
    """All examples of a split by family, in a fixed order. Raises KeyError for another split."""
    groups: dict[str, dict[str, list[CorpusExample]]] = {TRAIN: {}, HELD_OUT: {}}
    for name, family in FAMILIES.items():
        for found in groups.values():
            found[name] = []
        for example in family.examples():
            groups[example.split][name].append(example)
    return groups[split]


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word the corpus can say: special tokens, the numbers 0 to 198, then the rest in sorted order."""
    numbers = [str(n) for n in range(LARGEST_NUMBER + 1)]
    words = {
        word
        for split in (TRAIN, HELD_OUT)
        for found in examples(split).values()
        for example in found
        for word in example.words
    }
    return (*SPECIAL, *numbers, *sorted(words - set(numbers)))


@cache
def word_ids() -> dict[str, int]:
    """Word -> its token id."""
    return {word: i for i, word in enumerate(vocabulary())}


def questions(split: str = HELD_OUT) -> dict[str, list[CorpusQuestion]]:
    """Everything a split can be asked, by family; one prompt with several right answers is listed once."""
    found: dict[str, list[CorpusQuestion]] = {}
    for family, group in examples(split).items():
        seen: dict[tuple[str, ...], CorpusQuestion] = {}
        for example in group:
            for step, at in enumerate(example.asked):
                prompt = example.words[:at]
                seen.setdefault(prompt, CorpusQuestion(family, prompt, example.words[at], example, step))
        found[family] = list(seen.values())
    return found


def stream(seed: int) -> Iterator[CorpusExample]:
    """Training examples without end: a family by its share, a kind by its, then any example of the kind."""
    rng = Random(seed)
    pools: dict[str, dict[str, list[CorpusExample]]] = {}
    for name, group in examples(TRAIN).items():
        pools[name] = {kind: [] for kind in FAMILIES[name].kinds}
        for example in group:
            pools[name][example.kind].append(example)
    names = list(FAMILIES)
    shares = [FAMILIES[name].share for name in names]
    while True:
        family = FAMILIES[rng.choices(names, shares)[0]]
        kind = rng.choices(list(family.kinds), list(family.kinds.values()))[0]
        yield rng.choice(pools[family.name][kind])


def batches(seed: int, n_rows: int) -> Iterator[Batch]:
    """Batches of `n_rows` packed rows without end, the same for the same seed."""
    source = stream(seed)
    held = next(source)
    narrowing = Random(seed)
    while True:
        rows: list[list[CorpusExample]] = []
        for _ in range(n_rows):
            row: list[CorpusExample] = []
            room = CONTEXT
            while len(held.words) + 2 <= room:
                row.append(held)
                room -= len(held.words) + 2
                held = next(source)
            rows.append(row)
        yield pack(rows, lambda: narrowing.random() < NARROWED)


def pack(rows: list[list[CorpusExample]], narrowed: Callable[[], bool]) -> Batch:
    """Lay out rows of examples as tensors. Raises ValueError for a row longer than `CONTEXT`.

    narrowed: asked for each example in turn, whether its gates are to be closed.
    """
    index = word_ids()
    ids = torch.full((len(rows), CONTEXT), index[PAD])
    weights = torch.zeros(len(rows), CONTEXT)
    block = torch.zeros(len(rows), CONTEXT, dtype=torch.long)
    chunk = torch.zeros(len(rows), CONTEXT, dtype=torch.long)
    gate = torch.zeros(len(rows), CONTEXT, dtype=torch.bool)
    taught: list[tuple[int, int, int]] = []
    share: list[float] = []
    for r, row in enumerate(rows):
        at = 0
        for number, example in enumerate(row, start=1):
            length = len(example.words) + 2
            if at + length > CONTEXT:
                raise ValueError(f"A row holds {CONTEXT} words, but these examples need {at + length}")
            words = (BOS, *example.words, END)
            ids[r, at : at + length] = torch.tensor([index[w] for w in words])
            weights[r, at + 1 : at + length] = CONTEXT_WEIGHT
            for answer in example.answers:
                weights[r, at + 1 + answer] = 1.0
            block[r, at : at + length] = number
            closed = narrowed()
            for step in example.steps:
                place = at + 1 + step.at
                taught += [(r, place, index[word]) for word in step.words]
                share += [1 / len(step.words)] * len(step.words)
                if step.gate and closed:
                    gate[r, place] = True
                    chunk[r, place + 1 : at + length] += 1
            at += length
    return Batch(
        ids,
        weights,
        block,
        torch.tensor(taught, dtype=torch.long).view(-1, 3),
        torch.tensor(share),
        chunk,
        gate,
    )


def attention_mask(block: Tensor) -> Tensor:
    """bool (row, 1, word, word): may the word at the third place see the one at the fourth?

    Padding sees itself, because a softmax over nothing is not a number.
    """
    same = block[:, None, :, None] == block[:, None, None, :]
    return same & torch.ones(block.shape[1], block.shape[1], dtype=torch.bool).tril()
