"""Known and unknown entities: does knowing a name suppress `i do not know`?

The study also tests whether forcing it makes the model invent answers. Source: "On the Biology of a Large
Language Model" (Anthropic 2025), §"Entity recognition and hallucinations".
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ingest.engine.attribution.prune import node_influence
from ingest.engine.attribution.prune import scores as graph_scores
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.behaviour import behaviour
from ingest.studies.tools.concepts import MembershipRule, Places, Statistics, from_end, statistics
from ingest.studies.tools.graphs import graphs
from ingest.studies.tools.items import Item, answered, beginnings, few_answered, positions_of
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult, auroc
from ingest.studies.tools.trials import WIDE, Rate, Setting, Trial, by_method, rates, swap
from schema.errors import InputError

END = from_end(0, 1, 2, 3)
"""The end of the question, after the name."""
DEVELOPMENT = 80
"""Prompts on which settings are chosen."""
HELD = 100
"""Held-out prompts of each claim."""
PER_FAMILY = 100
"""Held-out prompts of each family for the risk scores."""
SCORES = (
    "the influence of errors",
    "1 - replacement score",
    "1 - completeness score",
    "1 - probability of the answer (no circuit needed)",
)
FAMILY = "entities"
NEEDS = Needs(FAMILY, ("ask",), one_of=("known", "unknown"))


def standing(item: Item) -> str:
    """`known` when the training corpus has facts about the person, else `unknown`."""
    return "known" if "known" in item.tags else "unknown"


def places_of(model: ReplacementModel) -> Places:
    """The last four tokens, and the last token of the name where the tag `subject:` holds the name."""

    def places(item: Item, n_tokens: int) -> Sequence[int]:
        subject = item.labels.get("subject")
        name = [] if subject is None else [positions_of(model, item.prompt, subject)[-1]]
        return [*END(item, n_tokens), *name]

    return places


class PeopleAnswers(NamedTuple):
    """What the prompts say is right."""

    known: dict[str, set[str]]
    """Kind of question → the answers about known people"""
    declines: set[str]
    """The answers that decline."""


def people(model: ReplacementModel, prompts: Prompts) -> tuple[Splits, PeopleAnswers]:
    """The questions that are asked about known people, with their answers.

    A question that is asked about unknown people only has no answer to invent. Raises InputError when a
    question is asked about known people only, when answers of both kinds begin with the same token, and when
    only some prompts name their subject.
    """
    about = prompts.splits(FAMILY, NEEDS.fits)
    answers: dict[str, set[str]] = {}
    for item in (item for part in about for item in part if standing(item) == "known"):
        answers.setdefault(item.labels["ask"], set()).update(item.answers)
    parts = prompts.splits(FAMILY, lambda item: NEEDS.fits(item) and item.labels["ask"] in answers)
    declines = {text for item in parts.forming if standing(item) == "unknown" for text in item.answers}
    for ask, texts in answers.items():
        for needed in ("known", "unknown"):
            if not any(item.labels["ask"] == ask and standing(item) == needed for item in parts.forming):
                raise InputError(
                    f"{prompts.name} has no prompt of split train with the tags ask:{ask} and {needed}",
                    next_step=f"add some, or leave out the prompts with the tag ask:{ask}",
                )
        if both := beginnings(model, *texts) & beginnings(model, *declines):
            raise InputError(
                f"Answers about known people (ask:{ask}) and about unknown people begin with the same token "
                f"{model.decode(min(both))!r}, so a swap could not be seen",
                next_step="give answers about unknown people that decline, with the space that stands before "
                "them",
            )
    items = [item for part in parts for item in part]
    named = [item for item in items if "subject" in item.labels]
    if named and len(named) < len(items):
        (without, *_) = (item for item in items if item not in named)
        raise InputError(
            f"{without.place} has no tag subject:…, and {named[0].place} has one",
            next_step="give every prompt of the family the tag, or none",
        )
    return parts, PeopleAnswers(answers, declines)


def force_knowing(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Two rates: the model declines for known people, or invents an answer for unknown people."""
    parts, (answers, declines) = people(model, prompts)
    places = places_of(model)
    found = {ask: knowing(model, parts, ask) for ask in answers}

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        by_ask = {ask: setting.concepts(each) for ask, each in found.items()}
        made = []
        for item in items:
            concepts = by_ask[item.labels["ask"]]
            old = standing(item)
            (new,) = {"known", "unknown"} - {old}
            words = answers[item.labels["ask"]] if new == "known" else declines
            edits = swap(model, item, concepts[old], concepts[new], places, setting.strength)
            made.append(Trial(item, edits, beginnings(model, *words)))
        return made

    both = []
    for old, claim in (
        ("known", "swap known for unknown: the model declines (`i do not know`)"),
        ("unknown", "swap unknown for known: the model invents an answer of the right kind"),
    ):
        development, held = (
            few_answered(model, [item for item in items if standing(item) == old], n)
            for items, n in ((parts.development, DEVELOPMENT), (parts.held_out, HELD))
        )
        both.append(
            rates(model, trials, development, {claim: held}, settings=WIDE, supernodes=prompts.supernodes)
        )
    return by_method(both)


def knowing(model: ReplacementModel, parts: Splits, ask: str) -> Statistics:
    """Statistics of known and unknown for one question, because features may differ between questions."""
    items = [item for item in parts.forming if item.labels["ask"] == ask]
    return statistics(model, items, standing, places_of(model), apart=standing)


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap known and unknown in both directions, and measure how well circuits predict wrong answers.

    A model that does not decline for anyone has nothing to swap: a finding says so.
    """
    declined = [] if prompts.are_bundled else [declining(model, prompts)]
    if declined and not declined[0].value:
        return StudyResult([], [*declined, *risk(model, prompts)])
    forced = force_knowing(model, prompts)
    rule = forced[0].rule
    return StudyResult(forced, [*declined, *path_risk(model, prompts, rule), *risk(model, prompts)])


def declining(model: ReplacementModel, prompts: Prompts) -> StudyFinding:
    """Share of unknown people for whom the model declines; null: of known people."""
    parts, _ = people(model, prompts)
    items = [item for part in parts for item in part]
    unknown, known = ([item for item in items if standing(item) == kind] for kind in ("unknown", "known"))
    return behaviour(
        model,
        unknown,
        known,
        {text for item in unknown for text in item.answers},
        "unknown people for whom the model declines",
        "known people",
    )


def path_risk(model: ReplacementModel, prompts: Prompts, rule: MembershipRule) -> list[StudyFinding]:
    """AUROC of the features of `unknown` for wrong answers about known people, on held-out prompts."""
    parts = prompts.splits(FAMILY, NEEDS.fits)
    asked = {item.labels["ask"] for item in parts.forming if standing(item) == "known"}
    unknown = {ask: knowing(model, parts, ask).concepts(rule)["unknown"].features() for ask in sorted(asked)}
    items = [item for item in parts.held_out if standing(item) == "known" and item.labels["ask"] in asked]
    right = {item.prompt for item in answered(model, items)}
    scores: dict[str, tuple[list[float], list[float]]] = {
        "influence of the features of not knowing": ([], []),
        "1 - probability of the answer (no circuit needed)": ([], []),
    }
    for item, graph in zip(
        items, graphs(model, [item.prompt for item in items], prompts.max_feature_nodes), strict=True
    ):
        features = unknown[item.labels["ask"]]
        influence = node_influence(graph)[: graph.n_features]
        mine = torch.tensor([(at[0], at[2]) in features for at in graph.features.tolist()], dtype=torch.bool)
        path = float(influence[mine].sum() / influence.sum())
        for values, value in zip(
            scores.values(), (path, 1 - float(graph.logit_probabilities.max())), strict=True
        ):
            values[item.prompt in right].append(value)
    return [
        StudyFinding(
            f"AUROC for wrong answers about known people: {name} ({len(of_wrong)} wrong)",
            auroc(of_wrong, of_right),
            0.5,
            len(items),
        )
        for name, (of_wrong, of_right) in scores.items()
        if of_wrong and of_right
    ]


def risk(model: ReplacementModel, prompts: Prompts) -> list[StudyFinding]:
    """AUROC of scores of a circuit for wrong answers, on held-out prompts of all families."""
    items = [item for family in prompts.families for item in prompts.splits(family).held_out[:PER_FAMILY]]
    right = {item.prompt for item in answered(model, items)}
    scores: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in SCORES}
    for item, graph in zip(
        items, graphs(model, [item.prompt for item in items], prompts.max_feature_nodes), strict=True
    ):
        found = graph_scores(graph)
        values = {
            "the influence of errors": found.error_share,
            "1 - replacement score": 1 - found.replacement,
            "1 - completeness score": 1 - found.completeness,
            "1 - probability of the answer (no circuit needed)": 1 - float(graph.logit_probabilities.max()),
        }
        for name, value in values.items():
            scores[name][item.prompt in right].append(value)
    return [
        StudyFinding(
            f"AUROC for wrong answers: {name} ({len(of_wrong)} wrong)",
            auroc(of_wrong, of_right),
            0.5,
            len(items),
        )
        for name, (of_wrong, of_right) in scores.items()
        if of_wrong and of_right
    ]


STUDY = Study(
    "entities",
    "Known and unknown entities, and hallucination risk",
    "Does knowing a name hold back `i do not know`, and do circuits tell which answers are wrong?",
    run,
    [NEEDS],
)
