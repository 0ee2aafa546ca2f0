"""First labels: what a feature does, in words, from token statistics alone.

A feature that fires on (nearly) every occurrence of one to three tokens is named after them: it detects them.
Any other is named after what it promotes (`say austin`): the token that it fires on then says little, because
the feature is silent on most occurrences of it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ingest.labels.statistics import FeatureStatistics, TokenShare

METHOD = "token-statistics-v1"
AUTHOR = "atlas"

MIN_RECALL = 0.5
"""A detected token is one on at least half of whose occurrences the feature fires."""
MIN_SHARE = 0.8
"""Detected tokens hold at least this part of the feature's activation together."""
MAX_DETECTED = 3


class Explanation(NamedTuple):
    """A feature in words."""

    concept: str
    """Short name; features with the same one are grouped into supernodes."""
    text: str
    """The whole label."""


def explain(
    statistics: FeatureStatistics, promoted: Sequence[int], decode: Callable[[int], str]
) -> Explanation:
    """Name one feature. `promoted` are the vocabulary ids it raises most, best first (at least one)."""
    detected = _detected(statistics.tokens)
    says = ", ".join(_visible(decode(token)) for token in promoted)
    if detected:
        concept = " / ".join(_visible(decode(token)) for token in detected)
    else:
        concept = f"say {_visible(decode(promoted[0]))}"
    fires = ", ".join(f"{_visible(decode(t.token))} {t.share:.0%}" for t in statistics.tokens[:MAX_DETECTED])
    return Explanation(concept, f"{concept}: fires on {fires}; promotes {says}")


def _detected(tokens: Sequence[TokenShare]) -> list[int]:
    share = 0.0
    names: list[int] = []
    for token in tokens[:MAX_DETECTED]:
        if token.recall < MIN_RECALL:
            return []
        names.append(token.token)
        share += token.share
        if share >= MIN_SHARE:
            return names
    return []


def _visible(token: str) -> str:
    """Token text that survives in a table: no line breaks or outer blanks, never empty."""
    return token.strip().replace("\n", "⏎").replace("\t", "⇥") or repr(token)[1:-1]
