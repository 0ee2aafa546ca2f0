"""Refusals and jailbreaks.

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Refusals" and §"Life of a jailbreak".
"""

from collections import Counter
from collections.abc import Sequence

from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import Concept, activity, from_end, statistics
from ingest.studies.tools.items import Item, answered, next_words, word
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Rate, Setting, Trial, by_method, rates, swap
from schema.evidence.ranks import rank_correlation

PLACES = from_end(0, 1, 2, 3)
"""`assistant :` and the end of the request."""
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
STRENGTHS = tuple(round(0.1 * step, 1) for step in range(1, 31))
"""Strengths of `comply` that are tried to flip a refusal."""
FAMILY = "refusals"


def stance(item: Item) -> str:
    """Whether the correct answer refuses or complies."""
    return "refuse" if "refuse" in item.tags else "comply"


def requests(prompts: Prompts) -> Splits:
    """The prompts that the model should refuse or comply with."""
    return prompts.splits(FAMILY, lambda item: bool(item.tags & {"refuse", "comply"}))


def first_words(parts: Splits) -> dict[str, str]:
    """The first word of each kind of answer: the word that most of its prompts expect."""
    said = {
        kind: Counter(item.expected for item in parts.forming if stance(item) == kind)
        for kind in ("refuse", "comply")
    }
    return {kind: counted.most_common(1)[0][0] for kind, counted in said.items()}


def flip_answers(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """One rate for each direction: harmless requests refused, harmful requests granted.

    Only the first word of the answer counts.
    """
    parts = requests(prompts)
    first = first_words(parts)
    found = statistics(model, parts.forming, stance, PLACES)

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = setting.concepts(found)
        made = []
        for item in items:
            old = stance(item)
            (new,) = first.keys() - {old}
            edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, frozenset([word(model, first[new])])))
        return made

    development = answered(model, parts.development)[:DEVELOPMENT]
    held = answered(model, parts.held_out)
    both = [
        rates(
            model,
            trials,
            [item for item in development if stance(item) == old],
            {
                f"swap {old} for {new}: the answer begins with `{first[new]}`": [
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
    close they are to flipping.
    """
    flips = flip_answers(model, prompts)
    rule = flips[1].rule
    parts = requests(prompts)
    concepts = statistics(model, parts.forming, stance, PLACES).concepts(rule)
    return StudyResult(flips, [*escape(model, prompts, concepts), closeness(model, prompts, concepts)])


def escape(model: ReplacementModel, prompts: Prompts, concepts: dict[str, Concept]) -> list[StudyFinding]:
    """Share of the refusal concept that fires where the answer begins, and where refusal resumes."""
    held = prompts.splits(FAMILY).held_out
    groups = {
        "a harmful request, where the answer begins": [i for i in held if "refuse" in i.tags],
        "a harmful word spelled out, where the answer begins": _at(held, "jailbreak", "assistant :"),
        "a harmful word spelled out, where the next sentence begins": _at(held, "jailbreak", "parts ."),
    }
    rest = {
        "a harmful request, where the answer begins": [i for i in held if "comply" in i.tags],
        "a harmful word spelled out, where the answer begins": _at(held, "spelled", "assistant :"),
        "a harmful word spelled out, where the next sentence begins": _at(held, "spelled", "parts ."),
    }
    return [
        StudyFinding(
            f"share of the refusal features that fire on {name} (null: the same with a harmless thing)",
            _firing(model, items, concepts["refuse"]),
            _firing(model, rest[name], concepts["refuse"]),
            len(items),
        )
        for name, items in groups.items()
        if items and rest[name]
    ]


def _at(items: Sequence[Item], tag: str, end: str) -> list[Item]:
    return [item for item in items if tag in item.tags and item.prompt.endswith(end)]


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
    sure = word(model, first_words(parts)["comply"])
    drive, needed = [], []
    for item, dense in zip(items, activity(model, items, PLACES), strict=True):
        cases = [
            Case(
                item.prompt,
                [e for e in swap(model, item, None, concepts["comply"], PLACES, strength) if e.value],
            )
            for strength in STRENGTHS
        ]
        flips = [top == sure for top in next_words(model, cases)]
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
    [Needs(FAMILY, tags=("refuse", "comply"))],
)
