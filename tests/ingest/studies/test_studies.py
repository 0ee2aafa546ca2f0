"""The studies: concepts against plain loops, nulls that write as much, and a swap that works."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ingest.engine.attribution.prune import prune
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.families.multi_step import states
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from ingest.studies import components
from ingest.studies.all import STUDIES
from ingest.studies.arithmetic import explained_by
from ingest.studies.chain_of_thought import KINDS, chains
from ingest.studies.multilingual import swap_parts
from ingest.studies.poetry import plant_rhymes
from ingest.studies.tools.checkpoints import half_way, identity, overlap, parts
from ingest.studies.tools.concepts import MembershipRule, activity, from_end, statistics
from ingest.studies.tools.graphs import graphs, leads_through, token_influence
from ingest.studies.tools.items import Item, answered, beginnings
from ingest.studies.tools.prompts import bundled
from ingest.studies.tools.study import auroc
from ingest.studies.tools.supernodes import SupernodeTensors
from ingest.studies.tools.trials import Setting, Trial, choose, measure, null_trials, rates, succeeded, swap
from schema.errors import AtlasError, InputError, UnreachableError
from schema.evidence.ranks import rank_correlation
from tests.support.cli import Cli
from tests.support.matched import assert_writes_as_much
from tests.support.paths import HOME

PLACES = from_end(0, 1)
FEW = bundled().few(20)


@pytest.fixture(scope="module")
def model() -> ReplacementModel:
    return ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)


@pytest.fixture(scope="module")
def few() -> list[Item]:
    """Prompts about three states, asked for two facts."""
    wanted = ("texas", "ohio", "utah")
    parts = bundled().splits(
        "multi-step", lambda item: item.kind in ("capital", "code") and item.labels["state"] in wanted
    )
    return [*parts.forming, *parts.development]


def test_the_splits_share_no_prompt():
    for family in ("multi-step", "poetry", "refusals"):
        parts = bundled().splits(family)
        prompts = [{item.prompt for item in part} for part in parts]
        assert all(prompts)
        assert sum(map(len, prompts)) == len(set.union(*prompts)) == sum(map(len, parts))


def test_activity_is_what_the_engine_encodes(model: ReplacementModel, few: list[Item]):
    every = lambda item, n_tokens: range(n_tokens)  # noqa: E731
    for item, dense in zip(few[:4], activity(model, few[:4], every), strict=True):
        frozen = model.freeze(model.encode(item.prompt).ids)
        active = model.transcoders.encode(model.read(frozen), n_left_out=0)
        expected = torch.zeros_like(dense)
        layer, position, index = active.where.T
        expected[position, layer, index] = active.activation.float()
        assert torch.allclose(dense, expected, atol=1e-5)


def test_concepts_are_those_of_plain_loops(model: ReplacementModel, few: list[Item]):
    rule = MembershipRule(3.0, 0.6)
    found = statistics(model, few, "state", PLACES).concepts(rule)
    firing: dict[tuple[str, str], Counter] = defaultdict(Counter)
    total: dict[str, dict[tuple, list[float]]] = defaultdict(lambda: defaultdict(list))
    n: Counter = Counter()
    for item, dense in zip(few, activity(model, few, PLACES), strict=True):
        n[item.labels["state"]] += 1
        n[item.labels["state"], item.kind] += 1
        for at in map(tuple, dense.nonzero().tolist()):
            firing[item.labels["state"], item.kind][at] += 1
            total[item.labels["state"]][at].append(float(dense[at]))
    for state, concept in found.items():
        kinds = [kind for kind in ("capital", "code") if n[state, kind]]
        members = {}
        for at, values in total[state].items():
            mean = math.fsum(values) / n[state]
            others = [math.fsum(total[o].get(at, [])) / n[o] for o in found if o != state]
            if mean > rule.ratio * sum(others) / len(others) and all(
                firing[state, kind][at] >= rule.share * n[state, kind] for kind in kinds
            ):
                members[at] = mean
        assert {m[:3] for m in concept.members} == set(members)
        assert all(m.mean == pytest.approx(members[m[:3]], rel=1e-4) for m in concept.members)
        assert members


def test_whole_supernodes_are_those_of_plain_loops(model: ReplacementModel, few: list[Item]):
    rng = random.Random(0)
    fired = [tuple(at) for at in (next(activity(model, few, PLACES)).amax(0) > 0).nonzero().tolist()]
    features = [*fired, *((layer, index) for layer in range(2) for index in range(40))]
    roles = {at: f"role {rng.randrange(30)}" for at in features}
    supernodes = SupernodeTensors.of(model, roles)
    found = statistics(model, few, "state", PLACES)
    rule = MembershipRule(1.5, 0.3)
    got = found.concepts(rule, supernodes)
    groups = defaultdict(list)
    for at, role in roles.items():
        groups[role].append(at)
    norms = {at: float(model.transcoders.layers[at[0]].decoder[at[1]].norm()) for at in roles}
    n_found = 0
    for number, value in enumerate(found.values):
        expected = set()
        for place in range(2):
            for group in groups.values():
                written = [
                    sum(float(found.mean[row, place, *at]) * norms[at] for at in group)
                    for row in range(len(found.values))
                ]
                others = (sum(written) - written[number]) / (len(written) - 1)
                often = max(float(found.fires[number, place, *at]) for at in group)
                if written[number] > rule.ratio * others and often >= rule.share:
                    expected |= {(place, *at) for at in group if found.mean[number, place, *at] > 0}
        assert {member[:3] for member in got[value].members} == expected
        n_found += len(expected)
        for member in got[value].members:
            assert member.mean == float(found.mean[number, member.place, member.layer, member.feature])
    assert n_found > 10


def test_rates_are_of_features_and_then_of_supernodes(model: ReplacementModel, few: list[Item]):
    items = answered(model, few)[:6]
    found = statistics(model, few, "state", PLACES)
    fired = (found.mean.sum((0, 1)) > 0).nonzero().tolist()
    # A group for each feature: the same features are chosen, whatever the rule goes by.
    supernodes = SupernodeTensors.of(model, {tuple(at): str(at) for at in fired})
    tried = []

    def trials(setting: Setting, items: Sequence[Item]) -> list[Trial]:
        tried.append(setting)
        assert setting.concepts(found) == found.concepts(setting.rule)
        return [Trial(item, [], beginnings(model, item.expected)) for item in items]

    both = rates(model, trials, items, {"a": items[:2], "b": items}, supernodes=supernodes)
    assert [(rate.claim, rate.n, rate.successes) for rate in both] == [
        ("a", 2, 2),
        ("b", 6, 6),
        ("a (whole supernodes)", 2, 2),
        ("b (whole supernodes)", 6, 6),
    ]
    assert [setting.supernodes for setting in tried] == [None] * 3 + [supernodes] * 3
    assert rates(model, trials, items, {"a": items[:2], "b": items}) == both[:2]


def test_the_null_writes_as_much_at_the_same_places(model: ReplacementModel, few: list[Item]):
    concepts = statistics(model, few, "state", PLACES).concepts(MembershipRule(3.0, 0.5))
    item = next(item for item in few if item.labels["state"] == "texas")
    edits = swap(model, item, concepts["texas"], concepts["ohio"], PLACES, 1.5)
    (null,) = null_trials(model, [Trial(item, edits, frozenset([3]))]).trials
    assert (null.item, null.wanted) == (item, frozenset([3]))
    (dense,) = activity(model, [item], lambda item, n_tokens: range(n_tokens))
    assert_writes_as_much(model, edits, null.edits, dense)


def test_a_swapped_state_changes_the_answer_and_random_features_do_not(
    model: ReplacementModel, few: list[Item]
):
    found = statistics(model, few, "state", PLACES)
    items = answered(model, few)[:12]
    assert len(items) == 12

    def trials(setting: Setting, chosen: object) -> list[Trial]:
        concepts = found.concepts(setting.rule)
        made = []
        for item in items:
            new = "ohio" if item.labels["state"] != "ohio" else "utah"
            edits = swap(model, item, concepts[item.labels["state"]], concepts[new], PLACES, setting.strength)
            made.append(Trial(item, edits, beginnings(model, states()[new][item.kind])))
        return made

    setting = Setting(MembershipRule(5.0, 0.5), 1.5)
    chosen = choose(model, trials, items, settings=[setting])
    assert chosen.setting == setting
    rate = measure(model, "swap", trials, chosen, items)
    assert rate.n == 12
    assert rate.development == (rate.successes, 12)
    assert rate.successes == succeeded(model, trials(setting, items)) >= 11
    assert rate.null_successes <= 1
    assert rate.row()["rate"] == rate.successes / 12


def test_a_planted_rhyme_and_exchanged_parts_change_what_they_should(model: ReplacementModel):
    """What the bundled model is taught to plan and to keep apart, on a few held-out prompts."""
    found = {rate.claim: rate for rate in [*plant_rhymes(model, FEW), *swap_parts(model, FEW)]}
    for begins in (
        "swap the rhyme at the line break: the last word",
        "swap the language",
        "swap the operation",
        "swap the concept",
    ):
        (rate,) = (rate for claim, rate in found.items() if claim.startswith(begins))
        assert rate.n >= 15, begins
        assert rate.rate >= 0.85, begins
        assert rate.null_rate <= 0.15, begins


def test_a_path_is_found_exactly_where_it_is(model: ReplacementModel):
    (graph,) = graphs(model, ["calc : 36 + 59 ="], None)
    assert float(token_influence(graph).sum()) == pytest.approx(1)
    answer = int(graph.logit_ids[0])
    assert leads_through(graph, range(1, 7), map(tuple, graph.features.tolist()), {answer})
    assert not leads_through(graph, range(1, 7), [], {answer})
    assert not leads_through(graph, range(1, 7), map(tuple, graph.features.tolist()), {answer + 10_000})


def test_a_limit_of_features_is_that_of_each_graph(model: ReplacementModel):
    prompts = ["calc : 36 + 59 =", "calc : 11 + 70 ="]
    assert [graph.n_features for graph in graphs(model, prompts, 20)] == [20, 20]
    assert all(graph.n_features > 20 for graph in graphs(model, prompts, None))


def test_claims_about_heads_do_not_depend_on_how_edges_are_split(
    model: ReplacementModel, monkeypatch: pytest.MonkeyPatch
):
    items = [Item("calc : 36 + 59 =", "95", "sum", {}, frozenset())]
    whole = components.claims(model, items, None)
    monkeypatch.setattr(components, "EDGES", 500)
    split = components.claims(model, items, None)
    torch.testing.assert_close(whole.heads, split.heads)
    assert whole.through == pytest.approx(split.through, rel=1e-5)


def test_explained_share_of_what_a_group_decides_is_one():
    groups = torch.arange(60) % 6
    noise = torch.rand(60, generator=torch.Generator().manual_seed(0)).double()
    values = torch.stack([groups.double() ** 2, noise], 1)
    exact, none = explained_by(values, groups).tolist()
    assert exact == pytest.approx(1)
    means = [noise[groups == k].mean() for k in range(6)]
    within = sum(float((noise[at] - means[groups[at]]) ** 2) for at in range(60)) / 54
    assert none == pytest.approx(1 - within / (float(((noise - noise.mean()) ** 2).sum()) / 59))


def test_auroc_and_rank_correlation():
    assert auroc([3, 2], [1, 2]) == 3.5 / 4
    assert math.isnan(auroc([], [1]))
    assert rank_correlation([1, 2, 3, 4], [10, 20, 30, 15]) == pytest.approx(0.4)
    assert rank_correlation([1, 1, 2, 3], [1, 1, 2, 3]) == pytest.approx(1)
    assert math.isnan(rank_correlation([1, 1], [1, 2]))


def test_parts_of_a_circuit_are_its_kept_nodes_and_edges(model: ReplacementModel):
    some = list(graphs(model, ["calc : 36 + 59 =", "calc : 11 + 70 ="], None))
    found = [parts(graph) for graph in some]
    for graph, part in zip(some, found, strict=True):
        pruned = prune(graph)
        names = {n: tuple(graph.features[n].tolist()) for n in range(graph.n_features)}
        for n in range(graph.n_nodes)[graph.token_nodes]:
            names[n] = ("token", n - graph.token_nodes.start)
        for n in range(graph.n_nodes)[graph.logit_nodes]:
            names[n] = ("logit", int(graph.logit_ids[n - graph.logit_nodes.start]))
        assert part.features == {names[n] for n in range(graph.n_features) if pruned.nodes[n]}
        assert part.edges == {
            (names[source], names[target])
            for target, source in pruned.edges.nonzero().tolist()
            if source in names and target in names
        }
    same = overlap(found, found)
    assert (same.features, same.edges) == (1, 1)
    common = len(found[0].features & found[1].features)
    assert same.null_features == pytest.approx(sum(common / len(part.features) for part in found) / 2)
    assert same.null_features < 1


def test_a_model_has_its_own_identity(model: ReplacementModel, few: list[Item]):
    found = identity(model, model, few[:4])
    assert found.cosine == pytest.approx(1)
    assert found.agreement == 1
    assert found.null_cosine < 0.5
    assert found.null_agreement < 0.5
    assert found.n > 50


def test_half_way_is_counted_from_the_first_value():
    assert half_way([(0, 0.2), (10, 0.5), (20, 0.7), (30, 1.0)]) == 20
    assert half_way([(0, 1.0), (10, 1.0)]) == 0


def test_chains_end_where_the_first_value_is_said():
    found = chains("held-out")
    assert {item.kind for item in found} == set(KINDS)
    assert all(item.prompt.endswith(" is") for item in found)


def test_every_study_has_its_page_and_the_index_names_it():

    folder = HOME / "docs" / "studies"
    index = (folder / "README.md").read_text(encoding="utf-8")
    for name in STUDIES:
        text = (folder / f"{name}.md").read_text(encoding="utf-8")
        assert "| measured |" in text or "| intervention |" in text, name
        assert f"({name}.md)" in index


def test_studies_are_listed_and_an_unknown_one_is_named(cli_without_database: Cli):
    listed = cli_without_database("study", "list")
    assert all(name in listed.stdout for name in STUDIES)
    refused = cli_without_database("study", "run", "tarot")
    assert isinstance(refused.error, InputError)
    assert "tarot" in str(refused.error)


def test_an_api_that_does_not_answer_is_named_before_anything_is_computed(
    cli_without_database: Cli, tmp_path: Path
):
    words = ("study", "run", "multi-step", "--pages", tmp_path, "--results", tmp_path)
    refused = cli_without_database(*words, "--api", "http://127.0.0.1:9/graphql")
    assert isinstance(refused.error, UnreachableError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(STUDIES.keys() - {"components", "emergence", "modular-cortex"}))
def test_a_model_that_answers_no_prompt_is_told_what_to_do(model: ReplacementModel, name: str):
    """A study measures what needs no right answer, or says what is missing."""

    def wrong(items: Sequence[Item]) -> list[Item]:
        return [item._replace(expected="screen", accepted=()) for item in items[:60]]

    families = {name: (wrong(first), wrong(rest)) for name, (first, rest) in bundled().families.items()}
    try:
        STUDIES[name].on(model, replace(bundled(), families=families).few(4))
        said: str | None = "measured"
    except AtlasError as error:
        said = error.next_step
    assert said
