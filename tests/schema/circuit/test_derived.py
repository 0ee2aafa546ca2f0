"""What a pruned file determines: own shares from cumulative ones, scores of the kept graph, and bounds."""

import random
from dataclasses import replace

import pytest

from schema.circuit.canonical import digest
from schema.circuit.derived import derive, is_cumulative, own_shares, underived
from schema.circuit.influence import influence_sums
from schema.circuit.records import Derived, Edge, Node, NodeKind
from schema.exports.graph_json import to_json
from schema.formats.graph import read_graph
from tests.support.circuits import synthetic_circuits
from tests.support.derived_circuits import slow_scores, unknown
from tests.support.graph_files import circuit_tracer, crm, eleuther, encode
from tests.support.little_graph import circuit_of

FEATURE, ERROR, TOKEN, LOGIT, OTHER = NodeKind


def test_own_shares_are_the_steps_between_cumulative_shares() -> None:
    found = own_shares({7: 0.5, 3: 0.7, 1: 0.85, 2: 0.85})
    assert {place: (round(share.value, 9), share.bound) for place, share in found.items()} == {
        7: (0.5, False),
        3: (0.2, False),
        1: (0.075, False),
        2: (0.075, False),
    }


def test_a_step_that_rises_is_a_bound_no_greater_than_the_share_before() -> None:
    found = own_shares({0: 0.4, 1: 0.6, 2: 0.95, 3: 0.97, 4: 1.0})
    assert {place: (round(share.value, 9), share.bound) for place, share in found.items()} == {
        0: (0.4, False),
        1: (0.2, False),
        2: (0.2, True),
        3: (0.02, False),
        4: (0.02, True),
    }


@pytest.mark.parametrize("seed", range(20))
def test_own_shares_hold_for_any_pruning(seed: int) -> None:
    """Nodes are removed from a made-up order; 32-bit rounding is part of the file."""
    rng = random.Random(seed)
    raw = sorted((rng.random() ** 4 for _ in range(200)), reverse=True)
    whole, held, cumulative = sum(raw), 0.0, []
    for value in raw:
        held += value
        cumulative.append(float.fromhex(float.hex(held / whole)))
    kept = sorted(rng.sample(range(200), 190))
    found = own_shares({place: round(cumulative[place], 8) for place in kept})
    previous = -1
    for place in kept:
        true, share = raw[place] / whole, found[place]
        assert share.value >= true - 1e-6
        if place == previous + 1:
            # Nothing was pruned in between, so the step is the share, whether or not it is marked.
            assert share.value == pytest.approx(true, abs=1e-6)
        previous = place
    assert sum(share.bound for share in found.values()) <= 10


def test_rounded_cumulative_shares_are_not_taken_for_gaps() -> None:
    exact = [1 - 0.97**n for n in range(1, 100)]
    assert not any(
        share.bound for share in own_shares({n: round(c, 4) for n, c in enumerate(exact)}).values()
    )


def test_shares_that_are_not_cumulative_are_recognised() -> None:
    rng = random.Random(0)
    assert is_cumulative([1 - 0.97**n for n in range(1, 100)])
    assert is_cumulative([0.9, 0.1, 0.5])  # too few to tell
    assert not is_cumulative([rng.random() ** 3 for _ in range(100)])
    graph = circuit_tracer()
    first = graph["nodes"][0]
    graph["nodes"] += [
        first | {"node_id": f"0_{n}_1", "feature": None, "influence": rng.random()} for n in range(50, 90)
    ]
    for each in graph["nodes"][7:]:
        index = int(each["node_id"].split("_")[1])
        each["feature"] = index * (index + 1) // 2 + index
    read = read_graph(encode(graph), "a.json")
    assert read.notes == (
        "the influence of the nodes is no cumulative share of all influence: none is derived from it",
    )
    assert Derived.INFLUENCE not in read.circuit.derived


@pytest.mark.parametrize("place", range(6))
def test_scores_of_the_kept_graph_are_those_of_the_definitions(place: int) -> None:
    circuit = unknown(synthetic_circuits(6, seed=2)[place])
    found = derive(circuit)
    replacement, completeness = slow_scores(circuit)
    assert found.replacement_score == pytest.approx(replacement, rel=1e-12)
    assert found.completeness_score == pytest.approx(completeness, rel=1e-12)
    for target in {edge.target for edge in found.edges}:
        shares = [edge.share or 0.0 for edge in found.edges if edge.target == target]
        assert sum(shares) == pytest.approx(1.0)


def test_the_little_graph() -> None:
    found = circuit_of(circuit_tracer())
    assert found.derived == (
        "completeness_score", "error_share", "influence", "replacement_score", "share",
    )  # fmt: skip
    assert [node.influence for node in found.nodes] == pytest.approx([0.25, 0.25, 0.25, 0.15, 0.1, 0.6, 0.3])
    assert [edge.share for edge in found.edges] == pytest.approx([1, 1, 2 / 2.125, 0.125 / 2.125])
    # All influence was kept, so the bounds are the value.
    assert (found.error_share, found.error_share_low, found.error_share_high) == pytest.approx((1 / 3,) * 3)


def test_the_bounds_of_the_error_share_give_the_rest_to_one_side() -> None:
    graph = circuit_tracer()
    for each, c in zip(graph["nodes"], (0.4, 0.6, 0.7, 0.72, 0.73), strict=False):
        each["influence"] = c
    found = circuit_of(graph)
    tokens = 0.03  # the rest of 1 belongs to features and errors
    assert found.error_share == pytest.approx(0.1 / 0.7)
    assert found.error_share_low == pytest.approx(0.1 / (1 - tokens))
    assert found.error_share_high == pytest.approx(1 - 0.6 / (1 - tokens))


def test_what_is_not_determined_stays_unknown() -> None:
    gradient = circuit_of(eleuther())
    assert (gradient.derived, gradient.replacement_score) == (("influence",), None)
    assert all(edge.share is None for edge in gradient.edges)
    partly = circuit_of(crm())
    assert (partly.error_share, partly.error_share_low, partly.error_share_high) == (None, None, None)
    nothing = circuit_tracer()
    for each in nothing["nodes"]:
        each["influence"] = each["token_prob"] = None
        each["clerp"] = ""
    found = circuit_of(nothing)
    assert found.derived == ("share",)
    assert [node.influence for node in found.nodes] == [None] * len(found.nodes)
    assert influence_sums(found)["layer_features"] is None


@pytest.mark.parametrize("places", [range(5), range(3, 5), range(2, 3), range(1)])
def test_a_cumulative_share_of_0_is_unknown(places: range) -> None:
    """Some programs write 0 where they know nothing."""
    zeros, nulls = circuit_tracer(), circuit_tracer()
    for place in places:
        zeros["nodes"][place]["influence"], nulls["nodes"][place]["influence"] = 0.0, None
    read = read_graph(encode(zeros), "a.json")
    assert [n.influence for n in read.circuit.nodes] == [n.influence for n in circuit_of(nulls).nodes]
    assert read.circuit.derived == circuit_of(nulls).derived
    for node in read.circuit.nodes:
        assert node.influence_is_bound == (node.kind is not LOGIT and node.influence is not None)
    nodes = "1 node" if len(places) == 1 else f"{len(places)} nodes"
    assert read.notes == (f"the influence of {nodes} is 0, which is no cumulative share: left unknown",)


def test_what_is_known_is_never_replaced() -> None:
    for circuit in synthetic_circuits(4, seed=1):
        assert derive(circuit) == circuit


def test_an_export_holds_what_the_file_said() -> None:
    for graph in (circuit_tracer(), crm(), eleuther()):
        found = circuit_of(graph)
        file = to_json(found)
        given = {(n["layer"], n["ctx_idx"], n["feature_type"]): n["influence"] for n in graph["nodes"]}
        for each in file["nodes"]:
            if each["feature_type"] not in ("logit", "bias"):
                key = (each["layer"], each["ctx_idx"], each["feature_type"])
                if isinstance(graph["nodes"][1]["layer"], str):
                    assert each["influence"] == given[key]
                assert each.get("raw_influence") is None
        assert not any("share" in link for link in file["links"])
        assert circuit_of(file) == found
        assert derive(underived(found)) == found
        assert digest(found) == digest(underived(found)) == found.content


def test_a_mark_does_not_change_the_hash() -> None:
    """Ids of circuits that older versions imported stay the same."""
    circuit = circuit_of(circuit_tracer())
    assert circuit.content == "a56e493d715be3108210d8794351450ae4c83956c55239d2ba1f432d49adce46"
    marked = replace(circuit, nodes=tuple(replace(n, influence_is_bound=True) for n in circuit.nodes))
    assert digest(marked) == circuit.content


def test_pruned_inputs_are_unknown_in_derived_flows() -> None:
    circuit = unknown(synthetic_circuits(1, seed=3)[0])
    sums = influence_sums(derive(circuit))
    assert sums["stage_flows"] is not None
    assert sums["stage_flows"][6::7] == [0.0] * 4


def test_a_single_logit_needs_no_probability() -> None:
    circuit = circuit_of(circuit_tracer())
    nodes = tuple(
        replace(n, probability=None, influence=None) if n.kind is LOGIT else n for n in circuit.nodes
    )
    two = derive(replace(underived(circuit), nodes=nodes))
    assert two.replacement_score is None
    one = replace(underived(circuit), nodes=nodes[:6], edges=tuple(Edge(*e) for e in circuit.edges))
    one = derive(replace(one, edges=tuple(e._replace(share=None) for e in one.edges)))
    known = replace(one.nodes[5], probability=0.6)
    assert one.replacement_score == pytest.approx(slow_scores(replace(one, nodes=(*one.nodes[:5], known)))[0])
    assert isinstance(one.nodes[0], Node)
