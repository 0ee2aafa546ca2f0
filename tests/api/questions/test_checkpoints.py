"""Every question about checkpoints, compared with plain loops over the records."""

from collections import defaultdict
from statistics import fmean

import pytest

from schema.circuit.records import NodeKind
from tests.support.checkpoint_history import STEPS, ids, links, numbers
from tests.support.circuits import uses


async def test_checkpoints(api, history):
    query = """{ checkpoints(series: "made-up") { id series step
      nCircuits nJudged nCorrect accuracy errorShare
      same { checkpoint cosine agreement nullCosine nullAgreement nFeatures }
      transcoders { id model { trainingStep } } } none: checkpoints(series: "x") { id } }"""
    data = await api(query)
    expected, known = [], ids(history)
    for step, circuits in history.items():
        right = [circuit.correct for circuit in circuits if circuit.correct is not None]
        later = next((known[each] for each in STEPS if each > step), None)
        expected.append(
            {
                "id": known[step],
                "series": "made-up",
                "step": step,
                "nCircuits": len(circuits),
                "nJudged": len(right),
                "nCorrect": sum(right),
                "accuracy": sum(right) / len(right),
                "errorShare": pytest.approx(fmean(circuit.error_share for circuit in circuits)),
                "same": later
                and {
                    "checkpoint": later,
                    "cosine": 0.9,
                    "agreement": 0.8,
                    "nullCosine": 0.1,
                    "nullAgreement": 0.0,
                    "nFeatures": 5,
                },
                "transcoders": {"id": circuits[0].transcoders.id, "model": {"trainingStep": step}},
            }
        )
    assert data == {"checkpoints": expected, "none": []}


async def test_history_of_every_feature_of_a_checkpoint(api, history):
    query = """query ($id: ID!) { feature(id: $id) { history {
      step checkpoint feature nCircuits nConsidered influence nextStep cosine agreement } } }"""
    has = {step: numbers(circuits) for step, circuits in history.items()}
    known, same = ids(history), {each.earlier: each for each in links(history)}
    step_of = {feature: step for step, each in has.items() for feature in each.values()}
    used = {step: uses(circuits) for step, circuits in history.items()}
    for number, feature in list(has[200].items())[:25]:
        expected = []
        for step, circuits in history.items():
            there = has[step].get(number)
            found = [use.influence for (_, name), use in used[step].items() if name == there]
            measured = [influence for influence in found if influence is not None]
            link = same.get(there)
            expected.append(
                {
                    "step": step,
                    "checkpoint": known[step],
                    "feature": there,
                    "nCircuits": len(found),
                    "nConsidered": len(circuits),
                    "influence": pytest.approx(fmean(measured)) if measured else None,
                    "nextStep": step_of[link.later] if link else None,
                    "cosine": link.cosine if link else None,
                    "agreement": link.agreement if link else None,
                }
            )
        assert (await api(query, id=feature))["feature"]["history"] == expected


def keys(circuit, edges):
    """The features of a circuit at their positions, or its edges but those from errors."""
    names = [(node.kind, node.layer, node.position, node.index) for node in circuit.nodes]
    if not edges:
        return {name for name in names if name[0] is NodeKind.FEATURE}
    return {
        (names[e.source], names[e.target]) for e in circuit.edges if names[e.source][0] is not NodeKind.ERROR
    }


def pairs(history, a, b):
    earlier = {circuit.prompt.id: circuit for circuit in history[a]}
    return [(earlier[c.prompt.id], c) for c in history[b] if c.prompt.id in earlier]


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize(("a", "b"), [(100, 400), (200, 100)])
async def test_parts_at_two_checkpoints(api, history, a, b, edges):
    field = "edges" if edges else "families"
    query = f"""query ($a: ID!, $b: ID!) {{ compareCheckpoints(a: $a, b: $b) {{
      a {{ step }} b {{ step }} {field} {{
      family nPrompts nJudged correctA correctB nA nB nBoth share nullShare }} }} }}"""
    known = ids(history)
    by_family = defaultdict(list)
    for one, other in sorted(pairs(history, a, b), key=lambda pair: pair[0].prompt.id):
        by_family[one.prompt.family].append((one, other))
    expected = []
    for family, both in sorted(by_family.items()):
        parts = [(keys(one, edges), keys(other, edges)) for one, other in both]
        shared = [len(one & other) for one, other in parts]
        null = [
            len(parts[(n + 1) % len(parts)][0] & other) / len(other) for n, (_, other) in enumerate(parts)
        ]
        expected.append(
            {
                "family": family,
                "nPrompts": len(both),
                "nJudged": sum(other.correct is not None for _, other in both),
                "correctA": sum(one.correct is True for one, _ in both),
                "correctB": sum(other.correct is True for _, other in both),
                "nA": sum(len(one) for one, _ in parts),
                "nB": sum(len(other) for _, other in parts),
                "nBoth": sum(shared),
                "share": pytest.approx(
                    fmean(n / len(other) for n, (_, other) in zip(shared, parts, strict=True))
                ),
                "nullShare": pytest.approx(fmean(null)) if len(parts) > 1 else None,
            }
        )
    data = (await api(query, a=known[a], b=known[b]))["compareCheckpoints"]
    assert data == {"a": {"step": a}, "b": {"step": b}, field: expected}


@pytest.mark.parametrize("part", ["ANY", "A", "B", "BOTH"])
async def test_features_at_two_checkpoints(api, history, part):
    query = """query ($a: ID!, $b: ID!, $at: WhichCheckpoint!) { compareCheckpoints(a: $a, b: $b) {
      features(at: $at, first: 100) { totalCount nodes {
        layer index circuitsA circuitsB influenceA influenceB a { id } b { id } } } } }"""
    sides = []
    for circuits in zip(*pairs(history, 100, 400), strict=True):
        found = defaultdict(list)
        for (_, feature), use in uses(circuits).items():
            found[feature].append(use.influence)
        sides.append({number: found[name] for number, name in numbers(circuits).items()})
    one, other = sides
    names = numbers(history[100]), numbers(history[400])
    wanted = {
        "ANY": one.keys() | other.keys(),
        "A": one.keys() - other.keys(),
        "B": other.keys() - one.keys(),
        "BOTH": one.keys() & other.keys(),
    }[part]
    order = sorted(wanted, key=lambda at: (-abs(len(one.get(at, [])) - len(other.get(at, []))), at))

    def mean(values):
        known = [value for value in values if value is not None]
        return pytest.approx(fmean(known)) if known else None

    expected = [
        {
            "layer": at[0],
            "index": str(at[1]),
            "circuitsA": len(one.get(at, [])),
            "circuitsB": len(other.get(at, [])),
            "influenceA": mean(one.get(at, [])),
            "influenceB": mean(other.get(at, [])),
            "a": {"id": names[0][at]} if at in one else None,
            "b": {"id": names[1][at]} if at in other else None,
        }
        for at in order
    ]
    ask = {"a": ids(history)[100], "b": ids(history)[400], "at": part}
    data = (await api(query, **ask))["compareCheckpoints"]["features"]
    assert data == {"totalCount": len(expected), "nodes": expected[:100]}


async def test_an_unknown_checkpoint_is_named(api, history):
    query = 'query ($a: ID!) { compareCheckpoints(a: $a, b: "nobody") { a { id } } }'
    assert await api.error(query, a=ids(history)[100]) == (
        "NOT_FOUND",
        "There are no checkpoints 'nobody'",
        "ask `checkpoints { id series step }`; `atlas checkpoints load` writes them",
    )
