"""Multi-step reasoning: city → state → capital.

Source: "On the Biology of a Large Language Model" (Anthropic 2025), §"Multi-step reasoning".

The state is a concept of its own if swapping it, without changing the question, changes the answer to that
of the other state: its capital when the prompt asks for the capital, its code when the prompt asks for the
code.
"""

from collections.abc import Sequence
from random import Random

from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import MembershipRule, Places, Statistics, statistics
from ingest.studies.tools.graphs import graphs, leads_through
from ingest.studies.tools.items import Item, answered, beginnings, positions_of
from ingest.studies.tools.prompts import Needs, Prompts, Splits
from ingest.studies.tools.study import Study, StudyFinding, StudyResult
from ingest.studies.tools.trials import Rate, Setting, Trial, Trials, rates, swap

TARGETS = 2
"""Other states that each held-out prompt is tried with."""
DEVELOPMENT = 60
"""Prompts on which settings are chosen."""
FAMILY = "multi-step"
Answers = dict[tuple[str, str], str]
"""(state, kind of question) → answer"""


def places_of(model: ReplacementModel) -> Places:
    """The last token of the prompt, and the last token of the city.

    The state is only known after all words of the city. The tag `subject:` holds the city as it stands in the
    prompt; without the tag, the city ends at the token before the last one.
    """
    return lambda item, n_tokens: [n_tokens - 1, _city(model, item, n_tokens)[-1]]


def _city(model: ReplacementModel, item: Item, n_tokens: int) -> range:
    subject = item.labels.get("subject")
    return range(n_tokens - 3, n_tokens - 1) if subject is None else positions_of(model, item.prompt, subject)


def state_prompts(prompts: Prompts) -> Splits:
    """The prompts with tags for their state and their question."""
    return prompts.splits(FAMILY, lambda item: "state" in item.labels and "ask" in item.labels)


def answers_of(parts: Splits) -> Answers:
    """The answers, collected from the prompts themselves."""
    return {(item.labels["state"], item.kind): item.expected for part in parts for item in part}


def state_trials(model: ReplacementModel, found: Statistics, answers: Answers) -> Trials:
    """Make trials that swap the state of each item for other states with other answers."""

    places = places_of(model)

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        concepts = setting.concepts(found)
        random = Random(0)
        made = []
        for item in items:
            old = item.labels["state"]
            if old not in concepts:
                continue
            others = [
                state
                for state in found.values
                if answers.get((state, item.kind), item.expected) != item.expected
            ]
            for new in random.sample(others, min(TARGETS, len(others))):
                edits = swap(model, item, concepts[old], concepts[new], places, setting.strength)
                made.append(Trial(item, edits, beginnings(model, answers[new, item.kind])))
        return made

    return trials


def swap_states(model: ReplacementModel, prompts: Prompts) -> list[Rate]:
    """Swap states: one rate for each kind of question."""
    parts = state_prompts(prompts)
    found = statistics(model, parts.forming, "state", places_of(model))

    development = answered(model, parts.development)[:DEVELOPMENT]
    held = answered(model, parts.held_out)
    claims = {
        f"swap the state: the {kind} becomes the other state's": [item for item in held if item.kind == kind]
        for kind in _kinds(held)
    }
    trials = state_trials(model, found, answers_of(parts))
    return rates(model, trials, development, claims, supernodes=prompts.supernodes)


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Swap states, and count the graphs in which a path runs through the state."""
    swaps = swap_states(model, prompts)
    return StudyResult(
        swaps,
        [through_the_state(model, prompts, swaps[0].rule)],
    )


def _kinds(items: Sequence[Item]) -> list[str]:
    return list(dict.fromkeys(sorted(item.kind for item in items)))


def through_the_state(model: ReplacementModel, prompts: Prompts, rule: MembershipRule) -> StudyFinding:
    """Share of graphs with a path from the city through its state's features to the answer.

    The null is a path through the features of another state.
    """
    parts = state_prompts(prompts)
    concepts = statistics(model, parts.forming, "state", places_of(model)).concepts(rule)
    held = answered(model, parts.held_out)
    held = [item for item in held if item.kind in _kinds(held)[:2] and item.labels["state"] in concepts]
    random = Random(0)
    own = other = 0
    for item, graph in zip(
        held, graphs(model, [item.prompt for item in held], prompts.max_feature_nodes), strict=True
    ):
        n_tokens = graph.n_positions
        city = _city(model, item, n_tokens)
        positions = places_of(model)(item, n_tokens)
        drawn = random.choice([name for name in concepts if name != item.labels["state"]])
        found = [
            leads_through(
                graph,
                city,
                [(m.layer, positions[m.place], m.feature) for m in concepts[state].members],
                beginnings(model, item.expected),
            )
            for state in (item.labels["state"], drawn)
        ]
        own, other = own + found[0], other + found[1]
    return StudyFinding(
        "graphs with a positive path city → state → answer (null: through another state's features)",
        own / len(held),
        other / len(held),
        len(held),
    )


STUDY = Study(
    "multi-step",
    "Multi-step reasoning",
    "Does the model name the state to itself on the way from a city to that state's capital?",
    run,
    [Needs(FAMILY, ("state", "ask"))],
)
