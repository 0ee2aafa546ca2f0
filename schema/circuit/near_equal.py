"""Clusters of prompts that are nearly equal, and so no independent observations.

1. A text becomes its words and signs, without case, blanks and the special tokens at its beginning:
   `<bos>The capital of  Texas` and `the capital of texas` are equal.
2. Two prompts are linked if their texts are equal, if one word or sign is replaced, added or left out and at
   least `COMMON` others stay, or if they are the members of one minimal pair.
3. A cluster is what links connect, over any number of prompts. All prompts of a template with one slot are
   therefore one cluster, and a prompt's cluster does not depend on the order of the prompts.

Two texts of which one word differs have a common key: the words before it and the words after it. Prompts are
linked through such keys, so the time grows with the number of words and not with the number of pairs of
prompts. Longer texts than `LONGEST` are linked only if they are equal or a pair.
"""

import re
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

COMMON = 3
"""Words and signs that two texts must have in common when one of them differs."""
LONGEST = 200
"""Words and signs of the longest text that is compared word by word."""
_SPECIAL = re.compile(r"^(?:\s*<[^<>\s]+>)+")
_WORDS = re.compile(r"\w+|[^\w\s]")


class PromptText(NamedTuple):
    """What is compared of a prompt."""

    text: str
    pair: str | None = None
    """Name of its minimal pair; None when it has none."""


def words_of(text: str) -> tuple[str, ...]:
    """The words and signs of a text (step 1)."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return tuple(_WORDS.findall(_SPECIAL.sub("", plain))) or (plain,)


def clusters(prompts: Sequence[PromptText]) -> list[list[int]]:
    """The clusters, each as the places of its prompts in ascending order; the first cluster holds place 0."""
    parent = list(range(len(prompts)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    first: dict[Hashable, int] = {}
    for place, prompt in enumerate(prompts):
        for key in _keys(prompt):
            other, mine = root(first.setdefault(key, place)), root(place)
            parent[max(other, mine)] = min(other, mine)
    found: dict[int, list[int]] = {}
    for place in range(len(prompts)):
        found.setdefault(root(place), []).append(place)
    return list(found.values())


def _keys(prompt: PromptText) -> Iterator[Hashable]:
    """Two prompts are linked if they have a key in common (step 2)."""
    if prompt.pair is not None:
        yield "pair", prompt.pair
    words = words_of(prompt.text)
    yield words
    if len(words) > LONGEST:
        return
    before, after = [0], [0]
    for word in words:
        before.append(hash((before[-1], word)))
    for word in reversed(words):
        after.append(hash((after[-1], word)))
    after.reverse()
    for place in range(len(words) + 1):
        if len(words) >= COMMON:  # a word may have been left out here
            yield len(words), place, before[place], after[place]
        if place < len(words) > COMMON:  # this word may be another one, or none
            yield len(words) - 1, place, before[place], after[place + 1]
