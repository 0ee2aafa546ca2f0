"""A hypothesis about a supernode keeps the features that the supernode had when it was registered."""

import json
from pathlib import Path

import pytest

from schema.annotations.supernodes import NodeGroup, group
from schema.circuit.records import NodeKind
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.evidence.hypotheses import HYPOTHESES
from schema.questions.question import ask as ask_database
from tests.support.tiny_atlas import TinyAtlas


def test_a_hypothesis_about_a_supernode_keeps_the_features_of_its_registration(
    tiny_atlas: TinyAtlas, database: Database, tmp_path: Path
) -> None:
    circuit, records = next(iter(tiny_atlas.family("pi").items()))
    first, second = [n for n in records.nodes if n.kind is NodeKind.FEATURE][:2]
    group(database, circuit, NodeGroup("mine", (f"{circuit}/{first.key}",)), "me")
    file = tmp_path / "tests.jsonl"
    line = {"prompt": records.prompt.text, "expected": "w5", "split": "held-out"}
    file.write_text(json.dumps(line), encoding="utf-8")
    folders = ["--model", str(tiny_atlas.folders.model), "--transcoders", str(tiny_atlas.folders.transcoders)]

    def add(edit: str, *, prompts: Path = file) -> str:
        words = ["hypothesis", "add", "does it?", "--edit", edit, "--prompts", str(prompts)]
        return str(tiny_atlas.run(*words, *folders)).strip()

    named = add("ablate {mine}@all")
    assert named == add(f"ablate {first.layer}/{first.index}@all")
    group(database, circuit, NodeGroup("mine", (f"{circuit}/{second.key}",)), "me")
    assert "1 held-out prompt: mean effect" in tiny_atlas.run("hypothesis", "test", named)
    (row,) = ask_database(database, HYPOTHESES, timeout_s=60)
    assert (row.id, row.edits) == (named, [f"ablate {first.layer}/{first.index}@all"])
    with pytest.raises(NotFoundError, match=r"has the supernode \{theirs\}"):
        add("ablate {theirs}@all")
    formed = tmp_path / "formed.jsonl"
    formed.write_text(json.dumps(line | {"split": "train"}), encoding="utf-8")
    with pytest.raises(InputError, match="has no held-out prompts"):
        add("ablate {mine}@all", prompts=formed)
    assert len(ask_database(database, HYPOTHESES, timeout_s=60)) == 1
