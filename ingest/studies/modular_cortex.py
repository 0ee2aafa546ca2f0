"""Modular cortex: the modules of the feature graph, and the families that use them.

Each module is ablated to measure what each family loses.

Steps
1. Make circuits of EACH prompts of every family; the model was trained on these prompts. The effect of one
   feature on another in a circuit is summed over positions. Pairs that occur in at least FEWEST circuits are
   linked with weight |sum over circuits|, as in `atlas modules compute` (`schema.annotations.modules`).
2. Find the communities of that graph (`schema.annotations.communities`). The null is rewired graphs.
3. Claim: the share of a family's feature influence that a module has, over the same circuits.
4. Test: on held-out prompts that the model answers correctly, every active feature of the module is set to 0
   at every position except the special first token. Attention, norms and MLPs react freely. The null edits as
   many random features of the same layers and positions, with outputs of the same length
   (`ingest.engine.intervention.matched`).

Resolution, counts and thresholds are fixed in this file; nothing is chosen on prompts.
"""

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from torch import Tensor

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import node_influence, prune
from ingest.engine.intervention.intervene import Case, Edit, intervene_many
from ingest.engine.intervention.matched import MatchedFeatures
from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.concepts import activity, every_token, text_tokens
from ingest.studies.tools.graphs import graphs
from ingest.studies.tools.items import Item, answered, beginnings
from ingest.studies.tools.prompts import Prompts
from ingest.studies.tools.study import AblationEffect, Study, StudyFinding, StudyResult
from schema.annotations.communities import Communities, Link, communities
from schema.errors import InputError
from schema.evidence.ranks import SHUFFLES, agreement

EACH = 40
"""Prompts of each family, from the training corpus, whose circuits form the modules."""
TESTED = 60
"""Held-out prompts of each family. The test uses those that the model answers correctly."""
FEWEST = 2
"""Least number of circuits with an effect, for the effect to count."""
NULLS = 20
"""Rewired graphs of the null."""
REUSED = 3
"""Least number of families that use a reusable module."""
USED = 0.1
"""By the claim, a family uses a module that has at least this share of its influence. By the test, it uses a
module whose ablation costs at least this much more accuracy than the ablation of random features."""

Feature = tuple[int, int]
"""Layer and index."""


class Cortex(NamedTuple):
    """The modules, and their share of each family's influence."""

    modules: list[frozenset[Feature]]
    """Features of each module, the largest module first."""
    found: Communities
    """The communities and their null."""
    share: dict[str, list[float]]
    """Family → share of its feature influence in each module. The rest, up to 1, is in features without a
    module."""


def run(model: ReplacementModel, prompts: Prompts) -> StudyResult:
    """Find modules and the families that use them, and ablate each module for each family."""
    parts = {family: prompts.splits(family) for family in prompts.families}
    held = {family: answered(model, part.held_out[:TESTED]) for family, part in parts.items()}
    cortex = form_modules(
        model,
        {family: part.forming[:EACH] for family, part in parts.items() if part.forming and held[family]},
        prompts.max_feature_nodes,
    )
    effects = [
        ablate_module(model, f"module {number}", members, family, held[family], cortex.share[family][number])
        for family in cortex.share
        for number, members in enumerate(cortex.modules)
    ]
    return StudyResult([], findings(cortex, effects), effects=effects)


def form_modules(
    model: ReplacementModel, items: dict[str, Sequence[Item]], max_feature_nodes: int | None
) -> Cortex:
    """Steps 1 to 3. Raises InputError when no effect recurs."""
    total: dict[tuple[Feature, Feature], float] = defaultdict(float)
    circuits: dict[tuple[Feature, Feature], int] = defaultdict(int)
    influence: dict[str, dict[Feature, float]] = {}
    for family, some in items.items():
        own: dict[Feature, float] = defaultdict(float)
        for graph in graphs(model, [item.prompt for item in some], max_feature_nodes):
            for pair, effect in _effects(graph).items():
                total[pair] += effect
                circuits[pair] += 1
            shares = node_influence(graph)[graph.feature_nodes]
            for (layer, _, index), share in zip(graph.features.tolist(), shares.tolist(), strict=True):
                own[layer, index] += share
        influence[family] = own
    # 1
    linked = sorted(pair for pair, n in circuits.items() if n >= FEWEST and total[pair])
    if not linked:
        raise InputError(
            f"No effect between features recurs in {FEWEST} circuits",
            next_step="give more prompts of each family",
        )
    names = sorted({feature for pair in linked for feature in pair})
    place = {name: number for number, name in enumerate(names)}
    links = [Link(place[a], place[b], abs(total[a, b])) for a, b in linked]
    # 2
    found = communities(len(names), links, seed=0, resolution=1.0, n_null=NULLS)
    modules: list[set[Feature]] = [set() for _ in range(max(found.membership) + 1)]
    for name, number in zip(names, found.membership, strict=True):
        modules[number].add(name)
    # 3
    share = {
        family: [sum(own.get(f, 0.0) for f in module) / sum(own.values()) for module in modules]
        for family, own in influence.items()
    }
    return Cortex([frozenset(module) for module in modules], found, share)


def _effects(graph: GraphNodes) -> dict[tuple[Feature, Feature], float]:
    """The kept effects between features, summed over positions."""
    pruned = prune(graph)
    names = [(layer, index) for layer, _, index in graph.features.tolist()]
    between = (pruned.source < graph.n_features) & (pruned.target < graph.n_features)
    effects: dict[tuple[Feature, Feature], float] = defaultdict(float)
    for source, target, weight in zip(
        pruned.source[between].tolist(),
        pruned.target[between].tolist(),
        pruned.weight[between].tolist(),
        strict=True,
    ):
        effects[names[source], names[target]] += weight
    return effects


def ablate_module(
    model: ReplacementModel,
    part: str,
    members: frozenset[Feature],
    family: str,
    items: Sequence[Item],
    share: float,
) -> AblationEffect:
    """Step 4 for one module and one family. The model answers `items` correctly without edits."""
    random, matched, counted = Random(0), MatchedFeatures(model), text_tokens(model)
    cases: list[Case] = []
    null: list[Case] = []
    edited = active = 0
    for item, dense in zip(items, activity(model, items, every_token), strict=True):
        edits = ablate_members(dense, members)
        cases.append(Case(item.prompt, edits))
        null.append(Case(item.prompt, matched.draw(edits, dense, random)))
        edited += len(edits)
        active += int((dense[counted(item, len(dense))] > 0).sum())
    n = len(items)
    accuracy, drop = _accuracy_and_drop(model, cases, items)
    null_accuracy, null_drop = _accuracy_and_drop(model, null, items)
    return AblationEffect(
        part=part,
        size=len(members),
        family=family,
        share=share,
        accuracy=accuracy,
        null_accuracy=null_accuracy,
        drop=drop,
        null_drop=null_drop,
        n=n,
        edited=edited / n,
        active=active / n,
    )


def ablate_members(dense: Tensor, members: frozenset[Feature]) -> list[Edit]:
    """Edits that set every active member to 0.

    dense: (n_positions, n_layers, n_features) activations, including those of the first token.
    """
    return [
        Edit(layer, position, index, 0.0)
        for position, layer, index in dense.nonzero().tolist()
        if position and (layer, index) in members
    ]


def _accuracy_and_drop(
    model: ReplacementModel, cases: Sequence[Case], items: Sequence[Item]
) -> tuple[float, float]:
    """Share of correct answers, and mean fall of the correct answer's logit, under edits.

    The fall is relative to the mean logit of the vocabulary.
    """
    right = 0
    fall = 0.0
    for item, outcome in zip(items, intervene_many(model, cases), strict=True):
        wanted = max(beginnings(model, item.expected), key=outcome.plain_logits[-1].__getitem__)
        change = outcome.plain_logits[-1] - outcome.logits[-1]
        fall += float(change[wanted] - change.mean())
        right += int(outcome.logits[-1].argmax()) == wanted
    return right / len(items), fall / len(items)


def findings(cortex: Cortex, effects: Sequence[AblationEffect]) -> list[StudyFinding]:
    """Modularity, the number of reusable modules, and the agreement of claim and test."""
    n = len(cortex.modules)
    claimed: dict[str, int] = defaultdict(int)
    shown: dict[str, int] = defaultdict(int)
    chance: dict[str, int] = defaultdict(int)
    for each in effects:
        claimed[each.part] += each.share >= USED
        shown[each.part] += each.null_accuracy - each.accuracy >= USED
        chance[each.part] += each.accuracy - each.null_accuracy >= USED
    size = sum(map(len, cortex.modules))
    shares, falls = [each.share for each in effects], [each.drop - each.null_drop for each in effects]
    agreed = agreement(shares, falls)
    return [
        StudyFinding(
            "modularity (null: rewired graphs)", cortex.found.modularity, cortex.found.null_mean, size
        ),
        StudyFinding("modules", n, None, size),
        StudyFinding(
            f"reusable modules by the claim: at least {USED:.0%} of the influence in {REUSED} families",
            sum(count >= REUSED for count in claimed.values()),
            None,
            n,
        ),
        StudyFinding(
            f"reusable modules by the test: ablating costs {REUSED} families {USED:.0%} of their prompts "
            "more than ablating random features (null: as much less)",
            sum(count >= REUSED for count in shown.values()),
            sum(count >= REUSED for count in chance.values()),
            n,
        ),
        StudyFinding(
            "rank correlation over modules and families: share of influence with how much more the answer's "
            f"logit falls than under random features (null: 95 of 100 of {SHUFFLES} shuffles stay below)",
            agreed.correlation,
            agreed.null_95,
            len(effects),
        ),
    ]


STUDY = Study(
    "modular-cortex",
    "Modular cortex",
    "Does the graph of features fall into modules, which do several families reuse, and what is lost "
    "without them?",
    run,
)
