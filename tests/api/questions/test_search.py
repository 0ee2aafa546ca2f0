"""Search for words, compared with plain loops over the records."""

import math
import re
from collections import defaultdict

import pytest

from schema.circuit.records import NodeKind
from tests.support.circuits import uses

SEARCH = """
query ($text: String!, $kinds: [SearchKind!]) {
  search(text: $text, kinds: $kinds, first: 100) {
    totalCount
    nodes { kind text nCircuits nFeatures
            circuits(first: 100) { totalCount nodes { influence circuit { id } } } } } }"""


def has(words, text):
    """Whether every word occurs, each whole or as the beginning of one."""
    found = re.findall(r"[^\W_]+", text.lower())
    return all(any(each.startswith(word) for each in found) for word in words)


def total(values):
    values = [value for value in values if value is not None]
    return round(math.fsum(values), 9) if values else None


def search(circuits, text):
    """(kind, text) → (features, circuit → influence)."""
    words = re.findall(r"[^\W_]+", text.lower())
    table = uses(circuits)
    found: dict[tuple[str, str], tuple[set[str], dict[str, list[float | None]]]] = defaultdict(
        lambda: (set(), defaultdict(list))
    )
    label_features = defaultdict(set)
    for circuit in circuits:
        if has(words, circuit.prompt.text):
            found["PROMPT", circuit.prompt.text][1][circuit.id].append(None)
        for label in circuit.labels:
            if has(words, label.text):
                label_features[label.text].add(circuit.transcoders.feature_id(label.layer, label.index))
        members: dict[str, set[int]] = defaultdict(set)
        for supernode in circuit.supernodes:
            if has(words, supernode.label):
                members[supernode.label] |= set(supernode.members)
        for label, places in members.items():
            found["SUPERNODE", label][1][circuit.id] += [circuit.nodes[i].influence for i in places]
        tokens = {token.strip() for token in (*circuit.prompt.tokens, circuit.answer.token)}
        for token in tokens:
            if any(token.lower().startswith(word) for word in words):
                found["TOKEN", token][1][circuit.id] += [
                    node.influence
                    for node in circuit.nodes
                    if node.kind is NodeKind.TOKEN and node.token.strip() == token
                ]
    for label, features in label_features.items():
        found["LABEL", label][0].update(features)
        for (circuit, feature), use in table.items():
            if feature in features:
                found["LABEL", label][1][circuit].append(use.influence)
    return found


@pytest.mark.parametrize(
    "text", ["word", "capital", "state lake", "like TOKEN3", "Say the Answer", "0", "opposite"]
)
async def test_search(api, near, circuits, text):
    data = (await api(SEARCH, text=text))["search"]
    expected = search(circuits, text)
    order = sorted(
        expected, key=lambda k: (k[1].lower() != text.lower(), -len(expected[k][1]), k[0].lower(), k[1])
    )
    assert data["totalCount"] == len(order) > 0
    assert [(node["kind"], node["text"]) for node in data["nodes"]] == order[:100]
    for node in data["nodes"]:
        features, found = expected[node["kind"], node["text"]]
        assert (node["nFeatures"], node["nCircuits"]) == (len(features), len(found))
        rows = [{"circuit": {"id": name}, "influence": total(values)} for name, values in found.items()]
        rows.sort(
            key=lambda row: (
                -1 * (row["influence"] if row["influence"] is not None else -1),
                row["circuit"]["id"],
            )
        )
        assert node["circuits"] == near({"totalCount": len(rows), "nodes": rows})


async def test_search_in_some_places_only(api, circuits):
    data = (await api(SEARCH, text="capital", kinds=["SUPERNODE", "TOKEN"]))["search"]
    assert {node["kind"] for node in data["nodes"]} == {"SUPERNODE", "TOKEN"}
    assert (await api.error(SEARCH, text="capital", kinds=[]))[0] == "BAD_INPUT"
    assert (await api.error(SEARCH, text="!?"))[0] == "BAD_INPUT"
    for text in ("' OR 1=1 //", '"}) DETACH DELETE n //', "*:* OR text:[* TO *]", 'AND +"~(\\', ".*"):
        for error in (await api.answer(SEARCH, text=text)).get("errors", ()):
            assert error["extensions"]["code"] == "BAD_INPUT"
