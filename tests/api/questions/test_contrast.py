"""Contrasts of two sets of circuits, compared with plain loops over the records."""

import math
from collections import defaultdict

import pytest

from tests.support.choosing import influences_of, of_family
from tests.support.circuits import effects

CONTRAST = """
query ($positive: CircuitSet!, $negative: CircuitSet!, $order: ContrastOrder!, $least: Int!) {
  contrast(positive: $positive, negative: $negative, countBy: CIRCUITS) {
    mixedSettings positive { nCircuits } negative { nCircuits }
    features(orderBy: $order, minCircuits: $least, first: 100) {
      totalCount nodes { feature { id } ...facts } }
    edges(orderBy: $order, minCircuits: $least, first: 100) {
      totalCount nodes { source { id } target { id } ...facts } }
    supernodes(orderBy: $order, minCircuits: $least, first: 100) { totalCount nodes { label ...facts } } } }
fragment facts on %s {
  nPositive nConsideredPositive nNegative nConsideredNegative meanPositive meanNegative auroc lift }
"""


def contrasted(positive, negative, values, could, least, absent):
    """name → facts. values(circuit): name → value; could(circuit, name): whether it could have it."""
    ours, theirs = [values(c) for c in positive], [values(c) for c in negative]
    answer = {}
    for name in {name for found in (*ours, *theirs) for name in found}:
        n_pos = sum(could(circuit, name) for circuit in positive)
        n_neg = sum(could(circuit, name) for circuit in negative)
        with_pos = [found[name] for found in ours if name in found]
        with_neg = [found[name] for found in theirs if name in found]
        if len(with_pos) + len(with_neg) < least:
            continue
        a = with_pos + [absent] * (n_pos - len(with_pos))
        b = with_neg + [absent] * (n_neg - len(with_neg))
        won = sum((x > y) + (x == y) / 2 for x in a for y in b)
        answer[name] = {
            "nPositive": len(with_pos),
            "nConsideredPositive": n_pos,
            "nNegative": len(with_neg),
            "nConsideredNegative": n_neg,
            "meanPositive": math.fsum(with_pos) / len(with_pos) if with_pos else None,
            "meanNegative": math.fsum(with_neg) / len(with_neg) if with_neg else None,
            "auroc": won / (n_pos * n_neg) if n_pos and n_neg else None,
            "lift": len(with_pos) / n_pos / (len(with_neg) / n_neg) if with_neg and n_pos else None,
        }
    return answer


def supernode_values(circuit):
    members: dict[str, set[int]] = defaultdict(set)
    for supernode in circuit.supernodes:
        members[supernode.label] |= set(supernode.members)
    return {label: math.fsum(circuit.nodes[i].influence for i in places) for label, places in members.items()}


def same_set(circuit, name):
    return circuit.transcoders.id == (name if isinstance(name, str) else name[0]).rsplit("/", 2)[0]


@pytest.mark.parametrize("order", ["SEPARATION", "AUROC", "LIFT"])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(["capitals"], ["antonyms"]), (["antonyms", "capitals"], ["arithmetic"])]
)
async def test_contrast(api, near, circuits, ours, theirs, order):
    positive, negative = of_family(circuits, *ours), of_family(circuits, *theirs)
    # A query's fragments are on one type each; the facts are the same for all three.
    text = CONTRAST
    for kind in ("ContrastFeature", "ContrastEffect", "ContrastSupernode"):
        text = text.replace("...facts", f"...{kind}", 1)
    fragment = text[text.index("fragment") :].strip()
    text = text[: text.index("fragment")] + "".join(
        fragment.replace("fragment facts", f"fragment {kind}") % kind
        for kind in ("ContrastFeature", "ContrastEffect", "ContrastSupernode")
    )
    data = (
        await api(text, positive={"families": ours}, negative={"families": theirs}, order=order, least=4)
    )["contrast"]
    assert data["mixedSettings"] is True
    assert (data["positive"], data["negative"]) == (
        {"nCircuits": len(positive)},
        {"nCircuits": len(negative)},
    )
    expected = {
        "features": contrasted(positive, negative, influences_of, same_set, 4, -1.0),
        "edges": contrasted(positive, negative, effects, same_set, 4, 0.0),
        "supernodes": contrasted(
            positive, negative, supernode_values, lambda c, _: bool(c.supernodes), 4, -1.0
        ),
    }
    for part, rows in expected.items():
        assert data[part]["totalCount"] == len(rows) > 0, part
        found = {}
        for node in data[part]["nodes"]:
            name = (
                node.pop("label")
                if part == "supernodes"
                else node.pop("feature")["id"]
                if part == "features"
                else (node.pop("source")["id"], node.pop("target")["id"])
            )
            found[name] = node
        assert found == near({name: rows[name] for name in found}), part
        place = {
            "SEPARATION": lambda row: -abs((row["auroc"] if row["auroc"] is not None else 0.5) - 0.5),
            "AUROC": lambda row: -(row["auroc"] if row["auroc"] is not None else -1.0),
            "LIFT": lambda row: (
                1.0 if not row["nConsideredNegative"] else -math.inf if row["lift"] is None else -row["lift"]
            ),
        }[order]
        assert [place(row) for row in found.values()] == near(sorted(map(place, rows.values()))[: len(found)])


async def test_a_contrast_of_overlapping_sets_is_refused(api):
    query = (
        '{ contrast(positive: {families: ["capitals"]}, negative: {tags: ["two-hop"]}) { mixedSettings } }'
    )
    code, message, _ = await api.error(query)
    assert (code, message.endswith("both in positive and in negative")) == ("BAD_INPUT", True)
