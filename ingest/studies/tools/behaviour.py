"""What a model does without edits: whether it refuses or declines at all, before anything is swapped."""

from collections import Counter
from collections.abc import Collection, Sequence

from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.items import Item, next_words, says
from ingest.studies.tools.study import StudyFinding

NAMED = 3
"""Beginnings of answers that a finding names."""


def share_that_says(model: ReplacementModel, items: Sequence[Item], texts: Collection[str]) -> float:
    """Share of items, at least one, whose answer begins with one of some texts."""
    wanted = tuple(texts)
    return sum(says(model, items, [wanted] * len(items))) / len(items)


def behaviour(
    model: ReplacementModel,
    items: Sequence[Item],
    others: Sequence[Item],
    texts: Collection[str],
    what: str,
    other: str,
) -> StudyFinding:
    """Share of items whose answer begins with one of some texts; null: share of other items.

    When there are none, the finding says so, and with what the answers begin instead. what: the items that
    answer so, in words. other: the other items, in words.
    """
    share, null = (share_that_says(model, part, texts) for part in (items, others))
    if not share:
        said = Counter(next_words(model, [Case(item.prompt, []) for item in items])).most_common(NAMED)
        named = ", ".join(f"{model.decode(token)!r} ({n})" for token, n in said)
        what += f": none, so there is nothing to swap; its answers begin with {named}"
    return StudyFinding(f"{what} (null: {other})", share, null, len(items))
