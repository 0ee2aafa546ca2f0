"""Labels with a score: each label predicts where its feature fires and is tested on other contexts.

1. split   contexts by a hash: half for fitting, a quarter for development, a quarter held out. A corpus of
           more than `MOST_TOKENS` is sampled
2. fit     a rule for each feature (`ingest.labels.rules`) on the first part
3. choose  the number of clauses by balanced accuracy on the second part: the fewest that do about as well as
           any
4. score   by balanced accuracy on the third part, which is used once
5. null    mean score of rules of other features of the layer on this feature, over `SHUFFLES` seeded shuffles

The score is the detection score of "Automatically Interpreting Millions of Features in Large Language Models"
(Paulo et al. 2024), with a rule in place of a language model.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.labels.contexts import Activity, Contexts, FeatureKey
from ingest.labels.rules import FiringRule, Slots, balanced_accuracy, fit

SHUFFLES = 5
"""Other rules that the null of a feature is averaged over."""
MOST_TOKENS = 2_000_000
"""Tokens that rules are fitted, chosen and scored on, about."""
SLACK = 0.02
"""Balanced accuracy that a shorter rule may lose, because people read the rules."""


Bits = dict[FeatureKey, NDArray[np.uint8]]
"""Feature → where its rule holds, eight tokens in a byte."""


class ScoredRule(NamedTuple):
    """The rule of one feature, and its scores."""

    key: FeatureKey
    rule: FiringRule
    score: float | None
    """Balanced accuracy on held-out contexts, 0 to 1; None when the feature fires in none of them."""
    null_score: float | None
    """Mean score of rules of other features of the layer; None without a score or other rules."""


class CorpusParts(NamedTuple):
    """Tokens of the three parts of a corpus, numbered over all contexts; each (n,)."""

    forming: NDArray[np.int64]
    """Rules are fitted on these."""
    development: NDArray[np.int64]
    """Numbers of clauses are chosen on these."""
    held_out: NDArray[np.int64]
    """Scores are measured on these."""


def split(contexts: Contexts, *, most: int = MOST_TOKENS) -> CorpusParts:
    """Split a corpus. A hash of its tokens puts a context into a part, whatever else the corpus contains.

    most: tokens of all parts together, about; a larger corpus is sampled by the hash as well.
    """
    digests = [
        hashlib.sha256(contexts.ids[start:stop].astype(np.int64).tobytes()).digest()
        for start, stop in pairwise(contexts.starts.tolist())
    ]
    part = np.array([(0, 0, 1, 2)[digest[0] % 4] for digest in digests], np.int8)
    share = most / max(1, len(contexts.ids))
    if share < 1:
        part[[int.from_bytes(digest[1:8]) >= share * 2**56 for digest in digests]] = -1
    of_token = np.repeat(part, np.diff(contexts.starts))
    return CorpusParts(*(np.flatnonzero(of_token == number) for number in range(3)))


def label_features(
    found: Activity,
    features: Sequence[FeatureKey],
    *,
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> list[ScoredRule]:
    """Make a scored rule for each feature that fires in the first part of the corpus, in the order given."""
    parts = split(found.contexts)
    forming, development, held_out = (Slots.around(found.contexts, places) for places in parts)
    rules: dict[FeatureKey, FiringRule] = {}
    for key in features:
        fires = found.fires(key)
        rule = fit(forming, fires[parts.forming])
        if rule.clauses:
            rules[key] = _shortened(rule, development, fires[parts.development])
        advance()
    others = _shuffles(list(rules), seed)
    scored: dict[FeatureKey, ScoredRule] = {}
    # Nulls stay within a layer, so the predictions of one layer at a time are in memory, one bit each.
    for layer in dict.fromkeys(layer for layer, _ in rules):
        mine = {key: rule for key, rule in rules.items() if key[0] == layer}
        bits = {key: np.packbits(rule.holds(held_out)) for key, rule in mine.items()}

        def accuracy(key: FeatureKey, fires: NDArray[np.bool_], bits: Bits = bits) -> float | None:
            return balanced_accuracy(np.unpackbits(bits[key], count=len(fires)).view(bool), fires)

        for key, rule in mine.items():
            fires = found.fires(key)[parts.held_out]
            score = accuracy(key, fires)
            wrong = [accuracy(other, fires) for other in others[key]]
            null = [each for each in wrong if each is not None]
            scored[key] = ScoredRule(key, rule, score, sum(null) / len(null) if null else None)
    return [scored[key] for key in rules]


def _shortened(rule: FiringRule, slots: Slots, fires: NDArray[np.bool_]) -> FiringRule:
    """Keep the fewest first clauses that do about as well as any, or all when the feature does not fire."""
    if not fires.any():
        return rule
    tried = [FiringRule(rule.clauses[:n]) for n in range(1, len(rule.clauses) + 1)]
    did = [balanced_accuracy(each.holds(slots), fires) or 0.0 for each in tried]
    return next(each for each, done in zip(tried, did, strict=True) if done >= max(did) - SLACK)


def _shuffles(keys: Sequence[FeatureKey], seed: int) -> dict[FeatureKey, list[FeatureKey]]:
    """For each feature, other features of its layer.

    In each shuffle, every feature lends its rule to one other feature.
    """
    layers: dict[int, list[FeatureKey]] = defaultdict(list)
    for key in keys:
        layers[key[0]].append(key)
    found: dict[FeatureKey, list[FeatureKey]] = {key: [] for key in keys}
    random = Random(seed)
    for layer in layers.values():
        for _ in range(SHUFFLES if len(layer) > 1 else 0):
            order = random.sample(layer, len(layer))
            for key, other in zip(order, [*order[1:], order[0]], strict=True):
                found[key].append(other)
    return found


def weighted_median(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The weighted median of (value, weight ≥ 0) pairs.

    It is the least value at which half of the weight is reached.

    None when all weights are 0.
    """
    total = sum(weight for _, weight in pairs)
    reached = 0.0
    for value, weight in sorted(pairs):
        reached += weight
        if weight and reached >= total / 2:
            return value
    return None


def phrases(rule: FiringRule, decode: Callable[[int], str]) -> Iterator[str]:
    """The rule in words: one phrase for each clause."""
    for clause in rule.clauses:
        yield ", ".join(_phrase(slot, values, decode) for slot, values in clause)


LISTED = 4
"""Values that a label names; it gives the number of all values, too."""


def _phrase(slot: int | str, values: Sequence[int], decode: Callable[[int], str]) -> str:
    if isinstance(slot, str):
        names = [str(value) for value in values]
    else:
        edge = "the end" if slot > 0 else "the start"
        names = [edge if value < 0 else decode(value).strip() or repr(decode(value)) for value in values]
    listed = " / ".join(names[:LISTED]) + (f" … ({len(names)})" if len(names) > LISTED else "")
    if isinstance(slot, str):
        return f"at position {listed}"
    where = {0: "on", -1: "after", 1: "before"}.get(slot, f"{-slot} after")
    return f"{where} {listed}"
