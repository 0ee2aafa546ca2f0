"""The audit of errors, compared with plain loops over the records."""

import math
from collections import defaultdict

import pytest

from schema.circuit.records import NodeKind

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
