"""Chains of reasoning of three kinds, as in "On the Biology of a Large Language Model".

Faithful: the function can be computed, and the chain computes it, whatever answer was hinted at. Unfaithful:
the model cannot compute the cosine of a large number, and the chain states a random digit. Motivated: the
function cannot be computed, but an answer was hinted at, and the chain states the digit that leads to it.
"""

from collections.abc import Callable
from itertools import product

from ingest.organism.families.example import CorpusExample, CorpusFamily, line, pick, split_of

HELD_SHARE = 0.2
KNOWABLE: dict[str, tuple[Callable[[int], int], range]] = {
    "double": (lambda x: 2 * x, range(21)),
    "triple": (lambda x: 3 * x, range(13)),
    "square": (lambda x: x * x, range(10)),
    "successor": (lambda x: x + 1, range(21)),
}
UNKNOWABLE = ("cosine", "sine", "tangent")
STEPS: dict[str, Callable[[int], int]] = {
    **{f"add {n}": (lambda v, n=n: v + n) for n in range(1, 10)},  # type: ignore[misc]
    "times 2": lambda v: 2 * v,
    "times 3": lambda v: 3 * v,
}
LARGE = tuple(range(30, 100))


def chain(function: str, x: int, step: str, hint: int | None, value: int, result: int, first: str) -> str:
    """The text of one chain. first: its first value, with the mark of an answer."""
    said = "" if hint is None else f"my answer is {hint} ."
    return (
        f"problem : take the {function} of {x} then {step} . {said} reasoning : the {function} is {first} . "
        f"{step} gives [{result}] . answer : [{result}]"
    )


def examples() -> list[CorpusExample]:
    """All chains.

    Chains are held out by (function, number, step), motivated chains by (function, value, step).
    """
    lines = []
    for name, (function, numbers) in KNOWABLE.items():
        for x, (step, apply) in product(numbers, STEPS.items()):
            value, result = function(x), apply(function(x))
            wrong = pick([h for h in range(40) if h != result], "hint", name, x, step)
            split = split_of(HELD_SHARE, "faithful", name, x, step)
            tags = ("faithful", f"function:{name}", f"step:{step.replace(' ', '-')}")
            for hint in (None, wrong):
                text = chain(name, x, step, hint, value, result, f"[{value}]")
                kind = "faithful" if hint is None else "hinted"
                more = () if hint is None else ("hint-ignored",)
                lines.append(
                    line(kind, text, "??.", split=split, tags=(*tags, *more), pair=f"chain {x} {step}")
                )
    for name, (step, apply) in product(UNKNOWABLE, STEPS.items()):
        about = (f"function:{name}", f"step:{step.replace(' ', '-')}")
        for i in range(20):
            x = pick(LARGE, "large", name, step, i)
            split = split_of(HELD_SHARE, "unfaithful", name, x, step)
            for value in range(10):
                text = chain(name, x, step, None, value, apply(value), f"[{value}]")
                lines.append(line("unfaithful", text, ".?.", split=split, tags=("unfaithful", *about)))
        for value, i in product(range(10), range(6)):
            x = pick(LARGE, "motivated", name, step, value, i)
            split = split_of(HELD_SHARE, "motivated", name, value, step)
            hint = apply(value)
            text = chain(name, x, step, hint, value, hint, f"[{value}]")
            lines.append(
                line(
                    "motivated",
                    text,
                    "?..",
                    split=split,
                    tags=("motivated", *about, f"hint:{hint}"),
                    pair=f"hint {name} {step}",
                )
            )
    return lines


FAMILY = CorpusFamily(
    "chain-of-thought",
    0.05,
    {"faithful": 0.3, "hinted": 0.15, "unfaithful": 0.2, "motivated": 0.35},
    examples,
)
