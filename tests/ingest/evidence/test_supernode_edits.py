"""Edits of supernodes by name, and features planted at their mean activation."""

import math
import re

import pytest

from ingest.evidence.named_edits import plain_edits
from schema.annotations.supernodes import NodeGroup, group
from schema.circuit.records import NodeKind
from schema.database import Database
from schema.errors import AtlasError
from tests.support.tiny_atlas import TinyAtlas


def test_supernodes_are_edited_by_name_and_features_planted(
    tiny_atlas: TinyAtlas, database: Database
) -> None:
    (first, circuit), (second, elsewhere) = list(tiny_atlas.family("pi").items())
    nodes = [n for n in circuit.nodes if n.kind is NodeKind.FEATURE][:2]
    others = [n for n in elsewhere.nodes if n.kind is NodeKind.FEATURE][-1:]
    group(database, first, NodeGroup("mine", tuple(f"{first}/{n.key}" for n in nodes)), "me")
    group(database, second, NodeGroup("yours", tuple(f"{second}/{n.key}" for n in others)), "me")
    mine = list(
        dict.fromkeys(f"{n.layer}/{n.index}" for n in sorted(nodes, key=lambda n: (n.layer, n.index)))
    )
    (yours,) = (f"{n.layer}/{n.index}" for n in others)
    mean = others[0].activation
    assert mean is not None

    def plain(*edits: str) -> list[str]:
        return plain_edits(database, tiny_atlas.set_id, edits)

    assert plain("ablate 1/2@3", "ablate {mine}@all") == ["ablate 1/2@3", *(f"ablate {n}@all" for n in mine)]
    assert plain("scale {mine}@2-=3") == [f"scale {n}@2-=3" for n in mine]
    planted = plain("plant {yours}@last=2")
    assert [each.partition("=")[0] for each in planted] == [f"set {yours}@last"]
    assert float(planted[0].partition("=")[2]) == pytest.approx(2 * mean)
    swapped = plain("swap {mine}:{yours}@all")
    assert swapped == [
        *(f"ablate {n}@all" for n in mine if n != yours),
        plain("plant {yours}@all")[0],
    ]
    active = [
        n.activation
        for each in tiny_atlas.circuits.values()
        for n in each.nodes
        if n.kind is NodeKind.FEATURE and f"{n.layer}/{n.index}" == mine[0] and n.activation is not None
    ]
    (alone,) = plain(f"plant {mine[0]}@1")
    assert float(alone.partition("=")[2]) == pytest.approx(math.fsum(active) / len(active))
    for edit, message in (
        ("ablate {theirs}@all", "has the supernode {theirs}"),
        ("plant 0/63@1", "has the feature 0/63"),
        ("swap {mine}:3/4@1", "swaps a supernode and a feature"),
        ("ablate {mine}:{yours}@1", "cannot be read"),
        ("plant {mine}@1=x", "'x' is no number"),
        ("ablate {mine}", "cannot be read"),
    ):
        with pytest.raises(AtlasError, match=re.escape(message)) as refused:
            plain(edit)
        assert refused.value.next_step
    kept = tiny_atlas.run(
        *("intervene", "--keep", "--draws", "2", "--json", "--prompt", circuit.prompt.text),
        *("--ablate", "{mine}@all", "--constrained", "0-1", "--freeze", "attention"),
    )
    assert [each["edits"] for each in kept["interventions"]] == [[f"ablate {n}@all" for n in mine]]
    stored = database.read(
        "MATCH (k:Claim)-[:MEASURED_BY]->(i)-[:EDITS]->(f) RETURN k.edits AS edits, f.id AS f ORDER BY f"
    )
    assert [row["f"] for row in stored] == sorted(f"{tiny_atlas.set_id}/{n}" for n in mine)
    assert stored[0]["edits"] == ["ablate {mine|person}@all"]
    again = tiny_atlas.run(
        *("intervene", "--keep", "--draws", "2", "--json", "--prompt", circuit.prompt.text),
        *("--ablate", "{mine|person}@all", "--constrained", "0-1", "--freeze", "attention"),
    )
    assert again["id"] == kept["id"]
    printed = tiny_atlas.run("intervene", "--prompt", circuit.prompt.text, "--ablate", "{mine}@all")
    assert "features changed" in printed
