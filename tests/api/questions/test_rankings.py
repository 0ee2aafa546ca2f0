"""Families and transcoder sets narrow every ranking, and the numbers follow: compared with plain loops."""

import math
from collections import defaultdict

import pytest

from tests.api.questions.test_structure import in_set
from tests.support.circuits import uses

AMONG = [
    {"families": ["arithmetic", "capitals"]},
    {"transcoders": ["made-up-plt"]},
    {"families": ["capitals"], "transcoders": ["made-up-clt"]},
]


@pytest.mark.parametrize("order", ["CIRCUITS", "INFLUENCE", "LAYER"])
@pytest.mark.parametrize("search", [None, "token"])  # every feature has a label with this word
@pytest.mark.parametrize("among", AMONG)
async def test_features(api, circuits, among, search, order):
    query = """query ($families: [String!], $transcoders: [String!], $order: FeatureOrder!, $search: String) {
      features(families: $families, transcoders: $transcoders, orderBy: $order, search: $search, first: 100,
               countBy: CIRCUITS) {
        totalCount nodes { id layer index } } }"""
    found: dict[str, list[float]] = {}
    for (_, feature), use in uses(in_set(circuits, among)).items():
        found.setdefault(feature, []).append(use.influence or 0.0)
    place = {
        "CIRCUITS": lambda feature: (-len(found[feature]), feature),
        "INFLUENCE": lambda feature: (-math.fsum(found[feature]) / len(found[feature]), feature),
        "LAYER": lambda feature: ([int(part) for part in feature.rsplit("/", 2)[1:]], feature),
    }[order]
    data = (await api(query, **among, order=order, search=search and "token*"))["features"]
    assert data["totalCount"] == len(found)
    assert [each["id"] for each in data["nodes"]] == sorted(found, key=place)[:100]


@pytest.mark.parametrize("among", AMONG)
async def test_search(api, circuits, among):
    query = """query ($families: [String!], $transcoders: [String!]) {
      search(text: "the", families: $families, transcoders: $transcoders, first: 100) {
        nodes { kind text nCircuits nFeatures circuits(first: 100) { nodes { circuit { id } } } } }
      words: search(text: "words", kinds: [LABEL], families: $families, transcoders: $transcoders,
                    first: 100) {
        nodes { text nCircuits nFeatures } } }"""
    chosen = in_set(circuits, among)
    expected: dict[tuple[str, str], set[str]] = {}
    for circuit in chosen:
        tokens = {token.strip() for token in (*circuit.prompt.tokens, circuit.answer.token)}
        texts = [("TOKEN", text) for text in tokens if text.lower().startswith("the")]
        if "the" in circuit.prompt.text.lower().split():
            texts.append(("PROMPT", circuit.prompt.text))
        texts += [("SUPERNODE", each.label) for each in circuit.supernodes if "the" in each.label.split()]
        for kind_and_text in texts:
            expected.setdefault(kind_and_text, set()).add(circuit.id)
    data = await api(query, **among)
    found = {
        (each["kind"], each["text"]): {one["circuit"]["id"] for one in each["circuits"]["nodes"]}
        for each in data["search"]["nodes"]
    }
    assert found == expected
    assert all(
        each["nCircuits"] == len(expected[each["kind"], each["text"]]) for each in data["search"]["nodes"]
    )
    labels: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    text_of = {
        circuit.transcoders.feature_id(label.layer, label.index): label.text
        for circuit in circuits
        for label in circuit.labels
    }
    for circuit, feature in uses(chosen):
        if feature in text_of:
            labels[text_of[feature]][0].add(circuit)
            labels[text_of[feature]][1].add(feature)
    assert {each["text"]: (each["nCircuits"], each["nFeatures"]) for each in data["words"]["nodes"]} == {
        text: (len(having), len(features)) for text, (having, features) in labels.items()
    }


@pytest.mark.parametrize("among", AMONG)
async def test_error_audit(api, circuits, among):
    query = """query ($families: [String!], $transcoders: [String!]) {
      errorAudit(families: $families, transcoders: $transcoders, maxErrorShare: 0.1) {
        byFamily { family transcoders nConsidered nUntrusted } byLayer { transcoders nCircuits }
        untrusted(first: 100) { totalCount nodes { id } } } }"""
    chosen = in_set(circuits, among)
    data = (await api(query, **among))["errorAudit"]
    groups = defaultdict(list)
    for circuit in chosen:
        groups[circuit.prompt.family, circuit.transcoders.id].append(circuit.error_share > 0.1)
    assert {(each["family"], each["transcoders"]): each for each in data["byFamily"]} == {
        key: {"family": key[0], "transcoders": key[1], "nConsidered": len(each), "nUntrusted": sum(each)}
        for key, each in groups.items()
    }
    assert {each["transcoders"] for each in data["byLayer"]} == {each.transcoders.id for each in chosen}
    bad = sorted((c for c in chosen if c.error_share > 0.1), key=lambda c: (-c.error_share, c.id))
    assert [each["id"] for each in data["untrusted"]["nodes"]] == [circuit.id for circuit in bad]


@pytest.mark.parametrize(
    "field",
    [
        "hubs(transcoders: $t, families: $f)",
        "features(transcoders: $t, families: $f)",
        "recurringEdges(transcoders: $t, families: $f)",
        'search(text: "x", transcoders: $t, families: $f)',
        "sharedFeatures(transcoders: $t, families: $f)",
        'drivesLogit(tokens: ["x"], among: { transcoders: $t, families: $f })',
        "errorAudit(transcoders: $t, families: $f)",
        "claims(transcoders: $t, families: $f)",
        "components(transcoders: $t, families: $f)",
        "diagnostics(transcoders: $t, families: $f)",
    ],
)
async def test_unknown_names_are_errors(api, circuits, field):
    others = {"errorAudit": "byFamily { family }", "components": "family", "diagnostics": "all { nTested }"}
    about = others.get(field.partition("(")[0], "totalCount")
    query = f"query ($t: [String!], $f: [String!]) {{ {field} {{ {about} }} }}"
    assert (await api.error(query, t=["nobody"]))[0] == "NOT_FOUND"
    assert (await api.error(query, f=["nobody"]))[0] == "NOT_FOUND"
