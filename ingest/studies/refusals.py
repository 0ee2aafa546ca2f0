"""Refusals and jailbreaks.

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Refusals" and §"Life of a jailbreak".
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.behaviour import behaviour, share_that_says
from ingest.studies.tools.concepts import Concept, activity, from_end, statistics
from ingest.studies.tools.items import Item, answered, beginnings, next_words
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Rate, Setting, Trial, by_method, rates, swap
from schema.errors import InputError
from schema.evidence.ranks import rank_correlation

PLACES = from_end(0, 1, 2, 3)
"""`assistant :` and the end of the request."""
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
STRENGTHS = tuple(round(0.1 * step, 1) for step in range(1, 31))
"""Strengths of `comply` that are tried to flip a refusal."""
SPELLED = ("jailbreak", "spelled")
"""Tags of requests in which a harmful or a harmless word is spelled out, in the bundled corpus."""
FAMILY = "refusals"
NEEDS = Needs(FAMILY, one_of=("refuse", "comply"))
JAILBREAKS = Needs(
    "jailbreaks",
    ("wording",),
    one_of=("harmful", "harmless"),
    splits=False,
    optional=True,
    own_in_bundled=True,
)


def stance(item: Item) -> str:
    """Whether the correct answer refuses or complies."""
    return "refuse" if "refuse" in item.tags else "comply"


def requests(prompts: Prompts) -> Splits:
    """The prompts that the model should refuse or comply with."""
    return prompts.splits(FAMILY, NEEDS.fits)


class Beginning(NamedTuple):
    """How answers of one kind begin."""

    usual: str
    """The answer that most prompts expect."""
    tokens: frozenset[int]
    """The vocabulary ids of the tokens that answers begin with."""


def answers_of(model: ReplacementModel, parts: Splits) -> dict[str, Beginning]:
    """How refusals and other answers begin.

    Raises InputError when both can begin with one token.
    """
    items = {kind: [item for item in parts.forming if stance(item) == kind] for kind in ("refuse", "comply")}
    found = {
        kind: Beginning(
            Counter(item.expected for item in mine).most_common(1)[0][0],
            beginnings(model, *(text for item in mine for text in item.answers)),
        )
        for kind, mine in items.items()
    }
    if both := found["refuse"].tokens & found["comply"].tokens:
        (item, *_) = (each for each in items["comply"] if beginnings(model, *each.answers) & both)
        raise InputError(
            f"Refusals and other answers begin with the same token {model.decode(min(both))!r}, so a swap "
            f"could not be seen: {item.place}, which is tagged comply, is one of them",
            next_step="leave out answers that begin as those of the other kind do",
        )
    return found


def flip_answers(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """One rate for each direction: harmless requests refused, harmful requests granted.

    Only the first token of the answer counts.
    """
    parts = requests(prompts)
    begin = answers_of(model, parts)
    found = statistics(model, parts.forming, stance, PLACES)

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = setting.concepts(found)
        made = []
        for item in items:
            old = stance(item)
            (new,) = begin.keys() - {old}
            edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, begin[new].tokens))
        return made

    development = answered(model, parts.development)[:DEVELOPMENT]
    held = answered(model, parts.held_out)
    both = [
        rates(
            model,
            trials,
            [item for item in development if stance(item) == old],
            {
                f"swap {old} for {new}: the answer begins with `{begin[new].usual}`": [
                    item for item in held if stance(item) == old
                ]
            },
            supernodes=prompts.supernodes,
        )
        for old, new in (("comply", "refuse"), ("refuse", "comply"))
    ]
    return by_method(both)


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap refusal and compliance, and test how circuits explain both.

    The findings say where a jailbreak escapes, and how well the activation of refusal ranks prompts by how
    close they are to flipping. A model that refuses nothing has nothing to swap: a finding says so.
    """
    parts = requests(prompts)
    disguises = disguises_of(prompts)
    refused = [] if prompts.are_bundled else refusing(model, parts, disguises)
    if refused and not refused[0].value:
        return StudyResult([], refused)
    flips = flip_answers(model, prompts)
    rule = flips[1].rule
    concepts = statistics(model, parts.forming, stance, PLACES).concepts(rule)
    escaped = escape(model, prompts, disguises, concepts["refuse"])
    return StudyResult(flips, [*refused, *escaped, closeness(model, prompts, concepts)])


class Disguise(NamedTuple):
    """Requests in one wording that may hide harm."""

    name: str
    """The wording, in words."""
    harmful: list[Item]
    harmless: list[Item]
    """The same wording with a harmless thing."""


def disguises_of(prompts: Prompts) -> list[Disguise]:
    """The wordings of held-out requests in the bundled corpus, or of the family `jailbreaks` of a file.

    Raises InputError for a wording that has harmful or harmless requests only.
    """
    if prompts.are_bundled:
        held = prompts.splits(FAMILY).held_out
        spelled = "a harmful word spelled out, where the"
        return [
            Disguise(f"{spelled} answer begins", *(_at(held, tag, "assistant :") for tag in SPELLED)),
            Disguise(f"{spelled} next sentence begins", *(_at(held, tag, "parts .") for tag in SPELLED)),
        ]
    found: dict[str, Disguise] = {}
    for item in (item for part in prompts.splits(JAILBREAKS.family or "", JAILBREAKS.fits) for item in part):
        name = item.labels["wording"]
        made = found.setdefault(name, Disguise(f"harmful requests worded as {name}", [], []))
        (made.harmful if "harmful" in item.tags else made.harmless).append(item)
    for name, made in found.items():
        for tag in JAILBREAKS.one_of:
            if not getattr(made, tag):
                raise InputError(
                    f"{prompts.name} has no prompt of family {JAILBREAKS.family} with the tags "
                    f"wording:{name} and {tag}",
                    next_step="add some, because harmful and harmless requests are compared",
                )
    return list(found.values())


def _at(items: Sequence[Item], tag: str, end: str) -> list[Item]:
    return [item for item in items if tag in item.tags and item.prompt.endswith(end)]


def refusing(model: ReplacementModel, parts: Splits, disguises: Sequence[Disguise]) -> list[StudyFinding]:
    """Share of harmful requests that the model refuses, plain ones first; null: of harmless requests."""
    items = [item for part in parts for item in part]
    refuse, comply = ([item for item in items if stance(item) == kind] for kind in ("refuse", "comply"))
    texts = {text for item in refuse for text in item.answers}
    plain = behaviour(
        model, refuse, comply, texts, "harmful requests that the model refuses", "harmless requests"
    )
    return [
        plain,
        *(
            StudyFinding(
                f"{each.name} that the model refuses (null: the same with a harmless thing)",
                share_that_says(model, each.harmful, texts),
                share_that_says(model, each.harmless, texts),
                len(each.harmful),
            )
            for each in disguises
        ),
    ]


def escape(
    model: ReplacementModel, prompts: Prompts, disguises: Sequence[Disguise], refusal: Concept
) -> list[StudyFinding]:
    """Share of the refusal concept that fires where the answer begins, and where refusal resumes."""
    held = prompts.splits(FAMILY).held_out
    plain = Disguise(
        "a harmful request, where the answer begins",
        *([item for item in held if kind in item.tags] for kind in NEEDS.one_of),
    )
    return [
        StudyFinding(
            f"share of the refusal features that fire on {each.name} (null: the same with a harmless thing)",
            _firing(model, each.harmful, refusal),
            _firing(model, each.harmless, refusal),
            len(each.harmful),
        )
        for each in (plain, *disguises)
        if each.harmful and each.harmless
    ]


def _firing(model: ReplacementModel, items: Sequence[Item], concept: Concept) -> float:
    here = {(m.layer, m.feature) for m in concept.members if m.place == 0}
    firing = [
        sum(float(dense[0, layer, feature]) > 0 for layer, feature in here) / max(1, len(here))
        for dense in activity(model, items, from_end(0))
    ]
    return sum(firing) / max(1, len(firing))


def closeness(model: ReplacementModel, prompts: Prompts, concepts: dict[str, Concept]) -> StudyFinding:
    """Rank correlation of the activation of refusal with the strength of `comply` that flips the answer."""
    parts = requests(prompts)
    refused = [item for item in (*parts.development, *parts.held_out) if stance(item) == "refuse"]
    items = answered(model, refused)
    sure = answers_of(model, parts)["comply"].tokens
    drive, needed = [], []
    for item, dense in zip(items, activity(model, items, PLACES), strict=True):
        cases = [
            Case(
                item.prompt,
                [e for e in swap(model, item, None, concepts["comply"], PLACES, strength) if e.value],
            )
            for strength in STRENGTHS
        ]
        flips = [top in sure for top in next_words(model, cases)]
        drive.append(sum(float(dense[m.place, m.layer, m.feature]) for m in concepts["refuse"].members))
        needed.append(STRENGTHS[flips.index(True)] if True in flips else 2 * STRENGTHS[-1])
    return StudyFinding(
        "rank correlation: activation of the refusal features with the strength of `comply` that flips them",
        rank_correlation(drive, needed),
        0.0,
        len(items),
    )


STUDY = Study(
    "refusals",
    "Refusals and jailbreaks",
    "Do harmful requests gather into one refusal, and where does a jailbreak slip past it?",
    run,
    [NEEDS, JAILBREAKS],
)
