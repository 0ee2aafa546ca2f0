"""First labels: what a feature does, in words, from token statistics only.

A feature that fires on most occurrences of one to three tokens detects them, and is named after them. Any
other feature is named after the token that it promotes most (`say austin`). The token that it fires on would
then be a poor name, because the feature does not fire on most of its occurrences.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ingest.labels.statistics import FeatureStatistics, TokenShare

METHOD = "token-statistics-v1"
"""`Label.method` of first labels."""

MIN_RECALL = 0.5
"""Least share of a detected token's occurrences on which the feature fires."""
MIN_SHARE = 0.8
"""Least share of the feature's total activation that falls on the detected tokens together."""
MAX_DETECTED = 3
"""Most tokens that a name lists."""


class Explanation(NamedTuple):
    """What a feature does, in words."""

    concept: str
    """Short name. Features with equal names form supernodes."""
    text: str
    """The full label."""


def explain(
    statistics: FeatureStatistics, promoted: Sequence[int], decode: Callable[[int], str]
) -> Explanation:
    """Name one feature.

    promoted: vocabulary ids of the tokens whose logits the feature raises most, the strongest first; at
    least one.
    """
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
    """The text of a token for one table cell: without line breaks and outer spaces, and never empty."""
    return token.strip().replace("\n", "⏎").replace("\t", "⇥") or repr(token)[1:-1]
