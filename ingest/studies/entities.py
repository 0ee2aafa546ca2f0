"""Known and unknown entities ("On the Biology of a Large Language Model", §"Entity recognition and
hallucinations"): what is known of a name holds back `i do not know`; forcing it makes the model invent.
"""

from collections.abc import Sequence

from ingest.engine.model import ReplacementModel
from ingest.engine.prune import scores as graph_scores
from ingest.organism.corpus import FAMILIES
from ingest.organism.families.entities import COUNTRIES, SPORTS
from ingest.studies.concepts import from_end, statistics
from ingest.studies.graphs import graphs
from ingest.studies.items import Item, answered, splits, word
from ingest.studies.study import Finding, Result, Study, auroc
from ingest.studies.trials import WIDE, Rate, Setting, Trial, measure, swap

PLACES = from_end(0, 1, 2, 3)
"""The question's end; the name itself stands before."""
DEVELOPMENT = 80
HELD = 100
PER_FAMILY = 100
"""Held-out prompts of each family that the risk scores are tried on."""
SCORES = (
    "the influence of errors",
    "1 - replacement score",
    "1 - completeness score",
    "1 - probability of the answer (no circuit needed)",
)
ANSWERS = {"sport": SPORTS, "country": COUNTRIES}


def standing(item: Item) -> str:
    """Whether the model was told about the person."""
    return "known" if "known" in item.tags else "unknown"


def force_knowing(model: ReplacementModel) -> list[Rate]:
    """Two rates: known people declined, unknown ones invented about."""
    parts = splits("entities", lambda item: item.kind in ("ask-known", "ask-unknown"))
    # Apart by what is asked: what stops the one question from being answered need not stop the other.
    found = {
        ask: statistics(
            model,
            [item for item in parts.forming if item.labels["ask"] == ask],
            standing,
            PLACES,
            apart=standing,
        )
        for ask in ANSWERS
    }

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        by_ask = {ask: each.concepts(setting.rule) for ask, each in found.items()}
        made = []
        for item in items:
            concepts = by_ask[item.labels["ask"]]
            old = standing(item)
            (new,) = {"known", "unknown"} - {old}
            words = ANSWERS[item.labels["ask"]] if new == "known" else ["i"]
            edits = swap(model, item, concepts[old], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, frozenset(word(model, text) for text in words)))
        return made

    rates = []
    for old, claim in (
        ("known", "swap known for unknown: the model declines (`i do not know`)"),
        ("unknown", "swap unknown for known: the model invents an answer of the right kind"),
    ):
        development, held = (
            answered(model, [item for item in items if standing(item) == old][: 2 * n])[:n]
            for items, n in ((parts.development, DEVELOPMENT), (parts.held_out, HELD))
        )
        rates.append(measure(model, claim, trials, development, held, settings=WIDE))
    return rates


def run(model: ReplacementModel) -> Result:
    """Knowing forced both ways, and what tells a wrong answer."""
    return Result(force_knowing(model), risk(model))


def risk(model: ReplacementModel) -> list[Finding]:
    """How well numbers of a circuit tell wrong answers, on held-out prompts of all families."""
    items = [item for family in FAMILIES for item in splits(family).held_out[:PER_FAMILY]]
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
        Finding(
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
)
