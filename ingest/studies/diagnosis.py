"""Medical diagnosis: is the diagnosis represented before the answer, and does it drive the next question?

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Medical diagnoses".
"""

from collections.abc import Sequence
from random import Random

from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import activity, from_end, statistics
from ingest.studies.tools.items import Item, answered, beginnings
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Rate, Setting, Trial, rates, swap

PLACES = from_end(0)
"""The last token, which predicts the answer."""
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
FAMILY = "medical"
ASKED = {"diagnosis": "the diagnosis said", "sign": "the sign asked for, the diagnosis not being said"}


def diagnosis_prompts(prompts: Prompts) -> Splits:
    """The prompts that ask for a diagnosis, or for its sign."""
    return prompts.splits(FAMILY, lambda item: "diagnosis" in item.labels and item.labels.get("ask") in ASKED)


def swap_diagnoses(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """One rate for each question: the diagnosis, and the sign to ask about."""
    parts = diagnosis_prompts(prompts)
    found = statistics(model, parts.forming, "diagnosis", PLACES)

    signs = {
        item.labels["diagnosis"]: item.expected
        for part in parts
        for item in part
        if item.labels["ask"] == "sign"
    }

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = setting.concepts(found)
        random = Random(0)
        made = []
        for item in items:
            old = item.labels["diagnosis"]
            if old not in concepts:
                continue
            new = random.choice(
                [
                    name
                    for name in found.values
                    if name != old and (item.labels["ask"] == "diagnosis" or name in signs)
                ]
            )
            wanted = new if item.labels["ask"] == "diagnosis" else signs[new]
            edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, beginnings(model, wanted)))
        return made

    development = answered(model, parts.development)[:DEVELOPMENT]
    held = answered(model, parts.held_out)
    claims = {
        f"swap the diagnosis: {said} becomes the other one's": [
            item for item in held if item.labels["ask"] == kind
        ]
        for kind, said in ASKED.items()
    }
    return rates(model, trials, development, claims, supernodes=prompts.supernodes)


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap diagnoses, and measure whether the diagnosis is represented when only the sign is asked for."""
    swaps = swap_diagnoses(model, prompts)
    parts = diagnosis_prompts(prompts)
    rule = swaps[0].rule
    concepts = statistics(model, parts.forming, "diagnosis", PLACES).concepts(rule)
    held = answered(
        model,
        [
            item
            for item in parts.held_out
            if item.labels["ask"] == "sign" and item.labels["diagnosis"] in concepts
        ],
    )
    random = Random(0)
    own = other = 0.0
    for item, dense in zip(held, activity(model, held, PLACES), strict=True):
        drawn = random.choice([name for name in concepts if name != item.labels["diagnosis"]])
        mine, its = (
            [float(dense[m.place, m.layer, m.feature]) > 0 for m in concepts[name].members]
            for name in (item.labels["diagnosis"], drawn)
        )
        own, other = own + sum(mine) / max(1, len(mine)), other + sum(its) / max(1, len(its))
    found = StudyFinding(
        "share of the diagnosis's features that fire though only the sign is asked (null: another diagnosis)",
        own / len(held),
        other / len(held),
        len(held),
    )
    return StudyResult(swaps, [found])


STUDY = Study(
    "diagnosis",
    "Medical diagnosis",
    "Is the diagnosis there before it is said, and does it drive the sign that is asked for?",
    run,
    [Needs(FAMILY, ("diagnosis", "ask"), ("ask:diagnosis", "ask:sign"))],
)
