"""Planning in poems ("On the Biology of a Large Language Model", §"Planning in poems").

Couplets such as `poem : i sang about cat / there came a hungry little rat`: is the rhyme there at the line
break, before the line begins, and does the line follow it?
"""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from ingest.engine.intervene import Case
from ingest.engine.model import ReplacementModel
from ingest.organism.families.poetry import LEADS, rhymes
from ingest.studies.concepts import Concept, Places, Rule, Statistics, activity, from_end, statistics
from ingest.studies.items import Item, answered, next_words, splits, word
from ingest.studies.study import Finding, Result, Study
from ingest.studies.trials import GRID, WIDE, Rate, Setting, Trial, Trials, measure, swap

BREAK = "/"
DEVELOPMENT = 60
HELD = 100
PRESENT = Rule(5.0, 0.5)
"""Fixed beforehand for the question whether the rhyme is there."""


def at_break(item: Item, n_tokens: int) -> Sequence[int]:
    """The line break and the word before it."""
    place = 1 + item.prompt.split().index(BREAK)
    return [place, place - 1]


class Presence(NamedTuple):
    """How often a rhyme's concept is active at the line break."""

    n: int
    own: int
    """Prompts at whose break more members of their own rhyme fire than of a rhyme drawn at random."""
    mean_own: float
    """Members that fire, on average."""
    mean_other: float
    """Members of the other rhyme that fire."""


def rhyme_present(model: ReplacementModel) -> Presence:
    """Whether the rhyme is there before the line begins, on held-out couplets."""
    parts = splits("poetry", lambda item: item.kind == "poem")
    found = statistics(model, parts.forming, "rhyme", at_break).concepts(PRESENT)
    held = answered(model, parts.held_out[: 2 * HELD])[:HELD]
    random = Random(0)
    own = other = wins = 0
    for item, dense in zip(held, activity(model, held, at_break), strict=True):
        mine = item.labels["rhyme"]
        drawn = random.choice([name for name in found if name != mine])
        a, b = (
            sum(float(dense[0, m.layer, m.feature]) > 0 for m in found[name].members if m.place == 0)
            for name in (mine, drawn)
        )
        own, other, wins = own + a, other + b, wins + (a > b)
    return Presence(len(held), wins, own / len(held), other / len(held))


def plant_rhymes(model: ReplacementModel) -> list[Rate]:
    """What follows when another rhyme is planted: the line's first word, and its last."""
    parts = splits("poetry", lambda item: item.kind == "poem")
    whole = statistics(model, parts.forming, "rhyme", at_break)
    end = statistics(model, parts.forming, "rhyme", from_end(0))
    development = answered(model, parts.development)[:DEVELOPMENT]
    held = answered(model, parts.held_out[: 2 * HELD])[:HELD]

    def planting(found: Statistics, places: Places, *, first: bool) -> Trials:
        def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
            concepts = found.concepts(setting.rule)
            return [_trial(model, item, concepts, places, setting.strength, first=first) for item in items]

        return trials

    opened, opened_held = (_opened(model, items) for items in (development, held))
    return [
        measure(
            model,
            "swap the rhyme at the line break: the line begins as one of the other rhyme does",
            planting(whole, at_break, first=True),
            opened,
            opened_held,
            settings=WIDE,
        ),
        measure(
            model,
            "swap the rhyme at the line break: the last word is the other rhyme's of the same theme",
            planting(whole, at_break, first=False),
            development,
            held,
            settings=GRID[::4],
        ),
        measure(
            model,
            "swap the rhyme at the line's last place: the last word is the other rhyme's of the same theme",
            planting(end, from_end(0), first=False),
            development,
            held,
        ),
    ]


def _opened(model: ReplacementModel, items: Sequence[Item]) -> list[Item]:
    """The prompts up to the line break, once each, where the model begins a line that its rhyme allows."""
    cut = {item.prompt[: item.prompt.index(BREAK) + 1]: item for item in items}
    made = [item._replace(prompt=prompt) for prompt, item in cut.items()]
    tops = next_words(model, [Case(item.prompt, []) for item in made])
    return [item for item, top in zip(made, tops, strict=True) if top in _begins(model, item.labels["rhyme"])]


def _begins(model: ReplacementModel, rhyme: str) -> frozenset[int]:
    """The words that a line ending in this rhyme can begin with."""
    return frozenset(word(model, LEADS[theme].split()[0]) for theme in rhymes()[rhyme][0].values())


def _trial(
    model: ReplacementModel,
    item: Item,
    concepts: dict[str, Concept],
    places: Places,
    strength: float,
    *,
    first: bool,
) -> Trial:
    """One other rhyme in the item's place, which one is fixed by the prompt."""
    old, theme = item.labels["rhyme"], item.labels["theme"]
    fit = {}
    for name, (planned, _) in rhymes().items():
        if first:
            wanted = _begins(model, name) - _begins(model, old)
        else:
            wanted = frozenset(word(model, end) for end, about in planned.items() if about == theme)
        if name != old and wanted:
            fit[name] = wanted
    new = Random(item.prompt).choice(sorted(fit))
    edits = swap(model, item, concepts[old], concepts[new], places, strength)
    return Trial(item, edits, fit[new])


def run(model: ReplacementModel) -> Result:
    """The swaps, and whether the rhyme is there at the line break."""
    there = rhyme_present(model)
    return Result(
        plant_rhymes(model),
        [
            Finding(
                "couplets at whose line break more features of their own rhyme fire than of a random one",
                there.own / there.n,
                0.5,
                there.n,
            ),
            Finding(
                "features of the rhyme that fire at the line break (null: of a random rhyme)",
                there.mean_own,
                there.mean_other,
                there.n,
            ),
        ],
    )


STUDY = Study(
    "poetry",
    "Planning in poems",
    "Is the rhyme chosen before the line begins, and does the line follow the choice?",
    run,
)
