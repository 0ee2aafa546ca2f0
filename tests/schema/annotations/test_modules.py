"""Modules: the search against every partition of small graphs, the kept answer against plain loops."""

import math
import random
from collections import defaultdict
from typing import Any

import pytest

from schema.annotations.communities import Link, communities
from schema.annotations.modules import ModuleSettings, compute
from schema.errors import NotFoundError
from schema.loading.load import load_circuit
from schema.upkeep.delete import delete_circuit
from tests.support.circuits import RUN, drives, uses

SETTINGS = ModuleSettings(seed=3, min_circuits=2, n_null=5)


def modularity(membership, links, resolution):
    """From the definition, pair by pair."""
    total = math.fsum(weight for _, _, weight in links)
    degree: dict[object, float] = defaultdict(float)
    inside = 0.0
    for source, target, weight in links:
        degree[source] += weight
        degree[target] += weight
        inside += 2 * weight * (membership[source] == membership[target])
    expected = math.fsum(
        degree[i] * degree[j] for i in degree for j in degree if membership[i] == membership[j]
    )
    return inside / (2 * total) - resolution * expected / (2 * total) ** 2


def partitions(n):
    """Every way to group 0 … n-1."""

    def grow(head, most):
        if len(head) == n:
            yield head
            return
        for module in range(most + 2):
            yield from grow([*head, module], max(most, module))

    return grow([0], 0)


@pytest.mark.parametrize("seed", range(4))
def test_no_partition_of_a_small_graph_is_better(seed):
    rng = random.Random(seed)
    links = [
        Link(i, j, rng.uniform(0.5, 2))
        for i in range(7)
        for j in range(i)
        if rng.random() < (0.9 if (i < 4) == (j < 4) else 0.15)
    ]
    found = communities(7, links, seed=0, resolution=1.0, n_null=0)
    assert found.modularity == pytest.approx(modularity(found.membership, links, 1.0))
    assert found.modularity == pytest.approx(max(modularity(each, links, 1.0) for each in partitions(7)))
    assert (found.null_mean, found.null_sd) == (None, None)


def test_planted_modules_are_found_and_random_graphs_are_not_above_the_null():
    rng = random.Random(0)
    pairs = [(i, j) for i in range(60) for j in range(i)]
    planted = [Link(i, j, 1.0) for i, j in pairs if rng.random() < (0.5 if i % 3 == j % 3 else 0.03)]
    found = communities(60, planted, seed=1, resolution=1.0, n_null=10)
    assert found == communities(60, planted, seed=1, resolution=1.0, n_null=10)
    assert found.membership == [i % 3 for i in range(60)]
    assert found.null_mean is not None
    assert found.null_sd is not None
    assert found.modularity > found.null_mean + 10 * found.null_sd
    chance = communities(
        60, [Link(i, j, 1.0) for i, j in pairs if rng.random() < 0.15], seed=1, resolution=1.0, n_null=10
    )
    assert chance.null_mean is not None
    assert chance.null_sd is not None
    assert abs(chance.modularity - chance.null_mean) < 4 * chance.null_sd + 0.02


QUERY = """query ($set: ID, $families: [String!], $partition: ID, $first: Int, $after: String) {
  modules(transcoders: $set, families: $families, partition: $partition, strongest: 3, first: $first,
          after: $after) {
    totalCount pageInfo { hasNextPage endCursor }
    partition { id transcoders seed resolution minCircuits
                nFeatures nEffects nModules modularity nNull nullMean }
    nodes { number nFeatures within families { family nFeatures nConsidered influence share }
            strongest { strength feature { id } } } } }"""


@pytest.fixture
def found(connection, circuits):
    yield compute(connection, SETTINGS)
    connection.write("MATCH (n:Partition|Module) DETACH DELETE n")


async def test_modules_are_those_of_plain_loops(api, near, circuits, found, connection):
    members: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.read(
        "MATCH (f:Feature)-[e:MEMBER_OF]->(m)-[:PART_OF]->(p) RETURN p.id AS p, m.number AS m, f.id AS f"
    ):
        members[row["p"]][row["f"]] = row["m"]
    assert len(found) == 2
    for each in found:
        of_set = [circuit for circuit in circuits if circuit.transcoders.id == each.transcoders]
        effects = {
            pair: d.n_circuits * abs(d.mean) for pair, d in drives(of_set).items() if d.n_circuits >= 2
        }
        assert set(members[each.partition]) == {end for pair in effects for end in pair}
        answer = (await api(QUERY, set=each.transcoders, first=100))["modules"]
        assert answer["partition"] == near(
            {
                "id": each.partition,
                "transcoders": each.transcoders,
                "seed": 3,
                "resolution": 1.0,
                "minCircuits": 2,
                "nFeatures": len(members[each.partition]),
                "nEffects": len(effects),
                "nModules": len(set(members[each.partition].values())),
                "modularity": modularity(
                    members[each.partition], [(*pair, w) for pair, w in effects.items()], 1.0
                ),
                "nNull": 5,
                "nullMean": each.null_mean,
            }
        )
        assert answer["totalCount"] == each.n_modules == len(answer["nodes"])
        assert answer["nodes"] == near(slow(of_set, effects, members[each.partition]))
        pages, after, more = [], None, True
        while more:
            page = (await api(QUERY, partition=each.partition, first=2, after=after))["modules"]
            pages += page["nodes"]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
        assert pages == answer["nodes"]


def slow(circuits, effects, module_of):
    """The nodes of the answer."""
    has: set[tuple[str, str]] = set()
    carried: dict[tuple[str, str], float] = defaultdict(float)
    considered: dict[str, int] = defaultdict(int)
    by_id = {circuit.id: circuit for circuit in circuits}
    for circuit in circuits:
        considered[circuit.prompt.family] += 1
    for (circuit, feature), use in uses(circuits).items():
        family = by_id[circuit].prompt.family
        has.add((feature, family))
        carried[feature, family] += use.influence or 0.0
    nodes = []
    for number in range(max(module_of.values()) + 1):
        inside = {feature for feature, module in module_of.items() if module == number}
        weight = {f: math.fsum(w for p, w in effects.items() if f in p and inside >= set(p)) for f in inside}
        touching = math.fsum(w * len(inside & set(p)) for p, w in effects.items())
        families: list[dict[str, Any]] = []
        for family in considered:
            its = math.fsum(carried[f, family] for f in inside)
            every = math.fsum(value for (_, y), value in carried.items() if y == family)
            n = sum((f, family) in has for f in inside)
            if n:
                families.append(
                    {
                        "family": family,
                        "nFeatures": n,
                        "nConsidered": considered[family],
                        "influence": its,
                        "share": its / every,
                    }
                )
        strongest = sorted(inside, key=lambda f: (-weight[f], f))[:3]
        nodes.append(
            {
                "number": number,
                "nFeatures": len(inside),
                "within": math.fsum(weight.values()) / touching,
                "families": sorted(families, key=lambda row: (-row["share"], row["family"])),
                "strongest": [{"strength": weight[f], "feature": {"id": f}} for f in strongest],
            }
        )
    return nodes


async def test_families_rank_modules_by_what_they_carry_there(api, circuits, found):
    for each in found:
        name, families = each.transcoders.partition("@")[0], ["capitals", "antonyms"]
        nodes = (await api(QUERY, set=name, first=100))["modules"]["nodes"]
        for node in nodes:
            node["families"] = [one for one in node["families"] if one["family"] in families]
        expected = [node for node in nodes if node["families"]]
        expected.sort(
            key=lambda node: (-round(sum(one["influence"] for one in node["families"]), 9), node["number"])
        )
        answer = (await api(QUERY, set=name, families=families, first=100))["modules"]
        assert (answer["totalCount"], answer["nodes"]) == (len(expected), expected)
    assert (await api.error(QUERY, families=["nobody"]))[0] == "NOT_FOUND"


async def test_computing_again_keeps_what_was(api, found, connection):
    again = compute(connection, SETTINGS)
    assert [each._replace(new=True) for each in again] == found
    assert not any(each.new for each in again)
    others = compute(connection, SETTINGS._replace(resolution=2.0), found[0].transcoders)
    newest = (await api(QUERY, set=found[0].transcoders))["modules"]["partition"]
    assert (newest["id"], newest["resolution"]) == (others[0].partition, 2.0)
    old = (await api(QUERY, partition=found[0].partition))["modules"]["partition"]
    assert (old["id"], old["resolution"]) == (found[0].partition, 1.0)
    assert (await api(QUERY, partition="none"))["modules"] == {
        "totalCount": 0,
        "pageInfo": {"hasNextPage": False, "endCursor": None},
        "partition": None,
        "nodes": [],
    }
    assert (await api.error("{ modules(strongest: 101) { totalCount } }"))[0] == "OVER_LIMIT"


def test_no_recurring_effect_is_named(connection, circuits):
    with pytest.raises(NotFoundError, match="No effect between features of nobody recurs in 2 circuits"):
        compute(connection, ModuleSettings(), "nobody")


def test_the_command(cli, circuits, connection):
    done = cli("modules", "compute", "--null", "2")
    assert done.exit_code == 0, done.text
    assert done.text.count("stored as partition") == 2
    assert done.text.count("(rewired graphs: ") == 2
    connection.write("MATCH (n:Partition|Module) DETACH DELETE n")


def test_partitions_go_with_their_set(connection, circuits):
    kept, gone = compute(connection, SETTINGS)
    of_set = [circuit for circuit in circuits if circuit.transcoders.id == gone.transcoders]
    assert len(of_set) == 4
    for circuit in of_set:
        delete_circuit(connection, circuit.id)
    left = connection.read("MATCH (p:Partition) RETURN p.id AS id, COUNT { (p)<-[:PART_OF]-() } AS modules")
    assert left == [{"id": kept.partition, "modules": kept.n_modules}]
    connection.write("MATCH (n:Partition|Module) DETACH DELETE n")
    for circuit in of_set:
        load_circuit(connection, circuit, RUN)
    connection.wait_for_full_text()
