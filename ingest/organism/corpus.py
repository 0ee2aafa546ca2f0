"""The corpus: the examples of all families, their vocabulary, and seeded batches of packed rows.

A batch consists of rows of `CONTEXT` words. Each row contains whole examples, each enclosed in `<bos>` …
`<end>`. A block-diagonal mask lets a word see its own example only.
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

CONTEXT = 64  # words of a row
BOS, END, UNKNOWN, PAD = "<bos>", "<end>", "<unk>", "<pad>"
SPECIAL = (BOS, END, UNKNOWN, PAD)
LARGEST_NUMBER = 198  # 99 + 99
# Loss weight of words that are not answers. Most are unpredictable (which city comes next?), and with a full
# weight they would dominate the loss.
CONTEXT_WEIGHT = 0.1
# Share of examples whose gates are closed. The others keep the model used to seeing everything.
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
    """Rows of packed examples. In the shapes, `row` counts rows and `word` counts positions in a row."""

    ids: Tensor
    """int64 (row, word) vocabulary ids"""
    weights: Tensor
    """float32 (row, word) loss weight of *predicting* the word at this position; 0 for `<bos>` and padding"""
    block: Tensor
    """int64 (row, word) number of the word's example in its row, from 1; 0 for padding"""
    taught: Tensor
    """int64 (n, 3) row, word, and the vocabulary id of the word that must be legible there"""
    share: Tensor
    """float32 (n,) weight of each entry of `taught`; the entries of one place sum to 1"""
    chunk: Tensor
    """int64 (row, word) number of closed gates before the word in its example"""
    gate: Tensor
    """bool (row, word) closed gates: the only words of a chunk that later chunks see"""


class CorpusQuestion(NamedTuple):
    """A prompt of the corpus and the word that should follow."""

    family: str
    prompt: tuple[str, ...]
    """Words, without `<bos>`."""
    expected: str
    """The correct next word."""
    example: CorpusExample
    """The example that the prompt is the beginning of."""
    step: int
    """Number of the answer among the asked answers of the example, from 0."""


@cache
def examples(split: str) -> dict[str, list[CorpusExample]]:
    """All examples of a split by family, in a fixed order. Raises KeyError for an unknown split."""
    groups: dict[str, dict[str, list[CorpusExample]]] = {TRAIN: {}, HELD_OUT: {}}
    for name, family in FAMILIES.items():
        for found in groups.values():
            found[name] = []
        for example in family.examples():
            groups[example.split][name].append(example)
    return groups[split]


@cache
def vocabulary() -> tuple[str, ...]:
    """All words of the corpus: special tokens, the numbers 0 to 198, then all others in sorted order."""
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
    """Word → vocabulary id."""
    return {word: i for i, word in enumerate(vocabulary())}


def questions(split: str = HELD_OUT) -> dict[str, list[CorpusQuestion]]:
    """All questions of a split by family. A prompt with several correct answers is listed once."""
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
    """An endless stream of training examples.

    Each step chooses a family by its share, then a kind by its share, then any example of the kind.
    """
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
    """An endless stream of batches of `n_rows` packed rows. Equal seeds give equal batches."""
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
    """Turn rows of examples into tensors. Raises ValueError for a row longer than `CONTEXT`.

    narrowed: is called once for each example and says whether its gates are closed.
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
                raise ValueError(f"A row has {CONTEXT} words, but these examples need {at + length}")
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
    """bool (row, 1, reader, read): whether a word may see another word.

    Padding sees itself, because a softmax over nothing is NaN.
    """
    same = block[:, None, :, None] == block[:, None, None, :]
    return same & torch.ones(block.shape[1], block.shape[1], dtype=torch.bool).tril()
