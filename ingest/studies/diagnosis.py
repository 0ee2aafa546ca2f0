"""Medical diagnosis: the diagnosis is represented before it is said, and drives the sign that is asked for
("On the Biology of a Large Language Model", §"Medical diagnoses").
"""

from collections.abc import Sequence
from random import Random

from ingest.engine.model import ReplacementModel
from ingest.organism.families.medical import diagnoses
from ingest.studies.concepts import Rule, activity, from_end, statistics
from ingest.studies.items import Item, answered, splits, word
from ingest.studies.study import Finding, Result, Study
from ingest.studies.trials import Rate, Setting, Trial, measure, swap

PLACES = from_end(0)
"""The last token, where the answer is asked."""
DEVELOPMENT = 60
ASKED = {"diagnosis": "the diagnosis said", "next": "the sign asked for, the diagnosis not being said"}


def swap_diagnoses(model: ReplacementModel) -> list[Rate]:
    """One rate for each question: the diagnosis itself, and the sign to ask about."""
    parts = splits("medical", lambda item: item.kind in ASKED)
    found = statistics(model, parts.forming, "diagnosis", PLACES)

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = found.concepts(setting.rule)
        random = Random(0)
        made = []
        for item in items:
            old = item.labels["diagnosis"]
            new = random.choice([name for name in found.values if name != old])
            wanted = new if item.kind == "diagnosis" else diagnoses()[new][1]
            edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, frozenset([word(model, wanted)])))
        return made

    development = answered(model, parts.development)[:DEVELOPMENT]
    held = answered(model, parts.held_out)
    return [
        measure(
            model,
            f"swap the diagnosis: {asked} becomes the other one's",
            trials,
            development,
            [item for item in held if item.kind == kind],
        )
        for kind, asked in ASKED.items()
    ]


def run(model: ReplacementModel) -> Result:
    """The swaps; and whether the diagnosis is there when only the sign is asked for."""
    rates = swap_diagnoses(model)
    parts = splits("medical", lambda item: item.kind in ASKED)
    rule = Rule(rates[1].setting["ratio"], rates[1].setting["share"])
    concepts = statistics(model, parts.forming, "diagnosis", PLACES).concepts(rule)
    held = answered(model, [item for item in parts.held_out if item.kind == "next"])
    random = Random(0)
    own = other = 0.0
    for item, dense in zip(held, activity(model, held, PLACES), strict=True):
        drawn = random.choice([name for name in concepts if name != item.labels["diagnosis"]])
        mine, its = (
            [float(dense[m.place, m.layer, m.feature]) > 0 for m in concepts[name].members]
            for name in (item.labels["diagnosis"], drawn)
        )
        own, other = own + sum(mine) / max(1, len(mine)), other + sum(its) / max(1, len(its))
    found = Finding(
        "share of the diagnosis's features that fire though only the sign is asked (null: another diagnosis)",
        own / len(held),
        other / len(held),
        len(held),
    )
    return Result(rates, [found])


STUDY = Study(
    "diagnosis",
    "Medical diagnosis",
    "Is the diagnosis there before it is said, and does it drive the sign that is asked for?",
    run,
)
