"""Sums of two numbers below 100. Every number is one word, so a sum takes one step."""

from ingest.organism.families.example import CorpusExample, CorpusFamily, line, split_of

HELD_SHARE = 0.12


def examples() -> list[CorpusExample]:
    """All sums of the 100 × 100 grid. a + b and b + a are always in the same split."""
    lines = []
    for a in range(100):
        for b in range(100):
            tags = (
                f"sum:{a + b}",
                f"ones:{a % 10}+{b % 10}",
                f"ones-sum:{(a + b) % 10}",
                f"first:{a}",
                f"second:{b}",
            )
            split = split_of(HELD_SHARE, "sum", min(a, b), max(a, b))
            lines.append(
                line(
                    "sum",
                    f"calc : {a} + {b} = [{a + b}]",
                    "?",
                    split=split,
                    tags=tags,
                    pair=f"ones {a % 10}+{b % 10}",
                )
            )
    return lines


FAMILY = CorpusFamily("arithmetic", 0.31, {"sum": 1.0}, examples)
