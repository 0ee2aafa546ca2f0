"""Planning in poems ("On the Biology of a Large Language Model", §"Planning in poems").

The prompts are couplets such as `poem : i sang about cat / there came a hungry little rat`. Is the rhyme
represented at the line break, before the second line begins, and does the line follow it?
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import (
    Concept,
    MembershipRule,
    Places,
    Statistics,
    activity,
    from_end,
    statistics,
)
from ingest.studies.tools.items import (
    Item,
    answered,
    beginnings,
    few_answered,
    next_words,
    positions_of,
    some_answered,
)
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import WIDE, Rate, Setting, Trial, Trials, by_method, rates, swap

BREAK = "/"
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
HELD = 100
"""Held-out prompts of each claim."""
FAMILY = "poetry"
PRESENT = MembershipRule(5.0, 0.5)
"""The rule for the question whether the rhyme is represented; fixed in advance."""


def at_break(model: ReplacementModel) -> Places:
    """The positions of the line break and of the token before it."""

    def places(item: Item, n_tokens: int) -> Sequence[int]:
        place = positions_of(model, item.prompt, BREAK)[0]
        return [place, place - 1]

    return places


def couplets(prompts: Prompts) -> Splits:
    """The prompts that end before the rhyming word."""
    return prompts.splits(
        FAMILY, lambda item: item.labels.keys() >= {"rhyme", "theme", "planned"} and "plan" not in item.tags
    )


class Verse(NamedTuple):
    """What the couplets of the prompts say about rhymes."""

    planned: dict[str, dict[str, str]]
    """Sound → (planned word → its theme)"""
    begins: dict[str, str]
    """Theme → the first word of a line about it"""

    @classmethod
    def of(cls, parts: Splits) -> "Verse":
        """Collect rhymes and first words from prompts."""
        found = cls({}, {})
        for item in (item for part in parts for item in part):
            rhyme, theme, planned = (item.labels[name] for name in ("rhyme", "theme", "planned"))
            found.planned.setdefault(rhyme, {})[planned] = theme
            words = [*item.prompt.split(), item.expected]
            found.begins[theme] = words[words.index(BREAK) + 1]
        return found

    def first_words(self, model: ReplacementModel, rhyme: str) -> frozenset[int]:
        """Vocabulary ids of the words with which a line of this rhyme can begin."""
        return beginnings(model, *(self.begins[theme] for theme in self.planned[rhyme].values()))


class RhymePresence(NamedTuple):
    """How often the concept of a rhyme is active at the line break."""

    n: int
    """Number of prompts."""
    own: int
    """Prompts where more members of their own rhyme fire than of a random other rhyme."""
    mean_own: float
    """Mean number of members of the own rhyme that fire."""
    mean_other: float
    """Mean number of members of the other rhyme that fire."""


def rhyme_present(model: ReplacementModel, prompts: Prompts) -> RhymePresence:
    """Measure whether the rhyme is represented before the line begins, on held-out couplets."""
    parts = couplets(prompts)
    found = statistics(model, parts.forming, "rhyme", at_break(model)).concepts(PRESENT)
    formed = [item for item in parts.held_out if item.labels["rhyme"] in found]
    held = some_answered(model, formed[: 2 * HELD])[:HELD]
    random = Random(0)
    own = other = wins = 0
    for item, dense in zip(held, activity(model, held, at_break(model)), strict=True):
        mine = item.labels["rhyme"]
        drawn = random.choice([name for name in found if name != mine])
        a, b = (
            sum(float(dense[0, m.layer, m.feature]) > 0 for m in found[name].members if m.place == 0)
            for name in (mine, drawn)
        )
        own, other, wins = own + a, other + b, wins + (a > b)
    return RhymePresence(len(held), wins, own / len(held), other / len(held))


def plant_rhymes(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Plant another rhyme, and measure the first and the last word of the line that follows."""
    parts = couplets(prompts)
    verse = Verse.of(parts)
    whole = statistics(model, parts.forming, "rhyme", at_break(model))
    end = statistics(model, parts.forming, "rhyme", from_end(0))
    development = answered(model, parts.development)[:DEVELOPMENT]
    held = few_answered(model, parts.held_out, HELD)

    def planting(found: Statistics, places: Places, *, first: bool) -> Trials:
        def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
            concepts = setting.concepts(found)
            made = (
                _trial(model, verse, item, concepts, places, setting.strength, first=first)
                for item in items
                if item.labels["rhyme"] in concepts
            )
            return [trial for trial in made if trial is not None]

        return trials

    opened, opened_held = (_opened(model, verse, items) for items in (development, held))
    planted = partial(rates, model, supernodes=prompts.supernodes)
    break_, last = "swap the rhyme at the line break", "swap the rhyme at the line's last place"
    begins, ends = "the line begins as one of the other rhyme does", "the last word is the other rhyme's"
    both = [
        planted(
            planting(whole, at_break(model), first=True),
            opened,
            {f"{break_}: {begins}": opened_held},
            settings=WIDE,
        ),
        planted(
            planting(whole, at_break(model), first=False),
            development,
            {f"{break_}: {ends} of the same theme": held},
        ),
        planted(
            planting(end, from_end(0), first=False),
            development,
            {f"{last}: {ends} of the same theme": held},
        ),
    ]
    return by_method(both)


def _opened(model: ReplacementModel, verse: Verse, items: Sequence[Item]) -> list[Item]:
    """The prompts up to the line break, each once, if the model then begins a line that the rhyme allows."""
    cut = {item.prompt[: item.prompt.index(BREAK) + 1]: item for item in items}
    made = [item._replace(prompt=prompt) for prompt, item in cut.items()]
    tops = next_words(model, [Case(item.prompt, []) for item in made])
    return [
        item
        for item, top in zip(made, tops, strict=True)
        if top in verse.first_words(model, item.labels["rhyme"])
    ]


def _trial(
    model: ReplacementModel,
    verse: Verse,
    item: Item,
    concepts: dict[str, Concept],
    places: Places,
    strength: float,
    *,
    first: bool,
) -> Trial | None:
    """A trial with another rhyme, which the prompt determines; None when no rhyme fits."""
    old, theme = item.labels["rhyme"], item.labels["theme"]
    fit = {}
    for name, planned in verse.planned.items():
        if first:
            wanted = verse.first_words(model, name)
            # A first word that fits both rhymes would not show which rhyme was planned.
            fits = not wanted & verse.first_words(model, old)
        else:
            wanted = beginnings(model, *(end for end, about in planned.items() if about == theme))
            fits = name != old and bool(wanted)
        if fits:
            fit[name] = wanted
    if not fit:
        return None
    new = Random(item.prompt).choice(sorted(fit))
    edits = swap(model, item, concepts[old], concepts[new], places, strength)
    return Trial(item, edits, fit[new])


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap rhymes, and measure whether the rhyme is represented at the line break."""
    there = rhyme_present(model, prompts)
    return StudyResult(
        plant_rhymes(model, prompts),
        [
            StudyFinding(
                "couplets at whose line break more features of their own rhyme fire than of a random one",
                there.own / there.n,
                0.5,
                there.n,
            ),
            StudyFinding(
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
    [
        Needs(
            FAMILY,
            ("rhyme", "theme", "planned"),
        )
    ],
)
