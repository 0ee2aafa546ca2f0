"""Known and unknown entities: does knowing a name suppress `i do not know`?

The study also tests whether forcing it makes the model invent answers. Source: "On the Biology of a Large
Language Model" (Anthropic 2025), §"Entity recognition and hallucinations".
"""

from collections.abc import Sequence

import torch

from ingest.engine.attribution.prune import node_influence
from ingest.engine.attribution.prune import scores as graph_scores
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import MembershipRule, Statistics, from_end, statistics
from ingest.studies.tools.graphs import graphs
from ingest.studies.tools.items import Item, answered, few_answered, word
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult, auroc
from ingest.studies.tools.trials import WIDE, Rate, Setting, Trial, by_method, rates, swap

PLACES = from_end(0, 1, 2, 3)
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


def standing(item: Item) -> str:
    """`known` when the training corpus has facts about the person, else `unknown`."""
    return "known" if "known" in item.tags else "unknown"


def force_knowing(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Two rates: the model declines for known people, or invents an answer for unknown people."""
    about = prompts.splits(FAMILY, lambda item: "ask" in item.labels)
    answers: dict[str, set[str]] = {}
    for item in (*about.forming, *about.development, *about.held_out):
        if standing(item) == "known":
            answers.setdefault(item.labels["ask"], set()).add(item.expected)
    # A question that is asked about unknown people only has no answer to invent.
    parts = prompts.splits(FAMILY, lambda item: item.labels.get("ask") in answers)
    declines = {item.expected for item in parts.forming if standing(item) == "unknown"}
    found = {ask: knowing(model, parts, ask) for ask in answers}

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        by_ask = {ask: setting.concepts(each) for ask, each in found.items()}
        made = []
        for item in items:
            concepts = by_ask[item.labels["ask"]]
            old = standing(item)
            (new,) = {"known", "unknown"} - {old}
            words = answers[item.labels["ask"]] if new == "known" else declines
            edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, frozenset(word(model, text) for text in words)))
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
    return statistics(model, items, standing, PLACES, apart=standing)


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap known and unknown in both directions, and measure how well circuits predict wrong answers."""
    forced = force_knowing(model, prompts)
    rule = forced[0].rule
    return StudyResult(forced, [*path_risk(model, prompts, rule), *risk(model, prompts)])


def path_risk(model: ReplacementModel, prompts: Prompts, rule: MembershipRule) -> list[StudyFinding]:
    """AUROC of the features of `unknown` for wrong answers about known people, on held-out prompts."""
    parts = prompts.splits(FAMILY, lambda item: "ask" in item.labels)
    asked = {item.labels["ask"] for item in parts.forming if standing(item) == "known"}
    unknown = {ask: knowing(model, parts, ask).concepts(rule)["unknown"].features() for ask in sorted(asked)}
    items = [item for item in parts.held_out if standing(item) == "known" and item.labels["ask"] in asked]
    right = {item.prompt for item in answered(model, items)}
    scores: dict[str, tuple[list[float], list[float]]] = {
        "influence of the features of not knowing": ([], []),
        "1 - probability of the answer (no circuit needed)": ([], []),
    }
    for item, graph in zip(items, graphs(model, [item.prompt for item in items]), strict=True):
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
    for item, graph in zip(items, graphs(model, [item.prompt for item in items]), strict=True):
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
    ]


STUDY = Study(
    "entities",
    "Known and unknown entities, and hallucination risk",
    "Does knowing a name hold back `i do not know`, and do circuits tell which answers are wrong?",
    run,
    [Needs(FAMILY, ("ask",), ("known", "unknown"))],
)
