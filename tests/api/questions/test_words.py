"""Search, error audit and runs, compared with plain loops over the records."""

import json
import math
import re
from collections import defaultdict

import pytest

from schema.circuit.records import NodeKind
from tests.support.circuits import RUN, uses

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


AUDIT = """
query ($families: [String!], $most: Float!) {
  errorAudit(families: $families, maxErrorShare: $most) {
    byFamily { family transcoders nConsidered nKnown mean greatest nUntrusted }
    byLayer { transcoders layer nCircuits errors features errorShare }
    untrusted(first: 100) { totalCount nodes { id errorShare } } } }"""


@pytest.mark.parametrize("families", [None, ["capitals"], ["antonyms", "arithmetic"]])
async def test_error_audit(api, near, circuits, families):
    most = 0.15
    considered = [c for c in circuits if families is None or c.prompt.family in families]
    groups = defaultdict(list)
    layers: dict[tuple[str, int], tuple[list[float], list[float], set[str]]] = defaultdict(
        lambda: ([], [], set())
    )
    for circuit in considered:
        groups[circuit.prompt.family, circuit.transcoders.id].append(circuit.error_share)
        for node in circuit.nodes:
            if node.kind in (NodeKind.ERROR, NodeKind.FEATURE) and node.influence is not None:
                errors, features, ids = layers[circuit.transcoders.id, node.layer]
                (errors if node.kind is NodeKind.ERROR else features).append(node.influence)
                ids.add(circuit.id)
    by_family = [
        {
            "family": family,
            "transcoders": name,
            "nConsidered": len(shares),
            "nKnown": len(shares),
            "mean": math.fsum(shares) / len(shares),
            "greatest": max(shares),
            "nUntrusted": sum(share > most for share in shares),
        }
        for (family, name), shares in groups.items()
    ]
    by_layer = [
        {
            "transcoders": name,
            "layer": layer,
            "nCircuits": len(ids),
            "errors": math.fsum(errors),
            "features": math.fsum(features),
            "errorShare": math.fsum(errors) / (math.fsum(errors) + math.fsum(features)),
        }
        for (name, layer), (errors, features, ids) in sorted(layers.items())
    ]
    worst = sorted(
        ({"id": c.id, "errorShare": c.error_share} for c in considered if c.error_share > most),
        key=lambda row: (-row["errorShare"], row["id"]),
    )
    assert worst
    assert (await api(AUDIT, families=families, most=most))["errorAudit"] == near(
        {
            "byFamily": sorted(by_family, key=lambda row: -row["mean"]),
            "byLayer": by_layer,
            "untrusted": {"totalCount": len(worst), "nodes": worst},
        }
    )
    assert (await api.error(AUDIT, families=["no such"], most=most))[0] == "NOT_FOUND"


async def test_runs(api, circuits):
    data = await api("{ runs { totalCount nodes { id settings versions nCircuits } } }")
    (run,) = data["runs"]["nodes"]
    assert (json.loads(run.pop("settings")), json.loads(run.pop("versions"))) == (RUN.settings, RUN.versions)
    assert run == {"id": RUN.id, "nCircuits": len(circuits)}
    assert data["runs"]["totalCount"] == 1
