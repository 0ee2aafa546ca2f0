"""Circuits as graph JSON, whole answers, no torch."""

import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from schema.circuit.canonical import canonical, digest
from schema.circuit.records import (
    Circuit,
    Edge,
    Label,
    Model,
    Node,
    NodeKind,
    Prompt,
    Supernode,
    TranscoderSet,
)
from schema.errors import InputError
from schema.exports.graph_json import cantor, default_slug, to_json, write

MODEL = Model("org/model", "a" * 40, "LlamaForCausalLM", n_layers=3, d_model=16, vocab_size=40)
TRANSCODERS = TranscoderSet(
    "org/clt", "b" * 40, "clt", "jumprelu", "mlp.hook_in", "hook_mlp_out", n_features=65536, model_id=MODEL.id
)
CIRCUIT = Circuit(
    prompt=Prompt("The Cat", ("<bos>", "the", "cat"), (0, 5, 6), family="animals"),
    model=MODEL,
    transcoders=TRANSCODERS,
    target="salient-logits(10, 0.95)",
    target_position=2,
    node_threshold=0.8,
    edge_threshold=0.98,
    max_feature_nodes=None,
    dtype="float32",
    special_first_token=True,
    replacement_score=0.5,
    completeness_score=0.75,
    error_share=0.25,
    n_active_features=9,
    n_selected_features=9,
    kept_influence=0.875,
    nodes=(
        Node(NodeKind.FEATURE, 1, 2, 7, 2.5, 0.5, 0.25),
        Node(NodeKind.ERROR, 0, 1, None, None, 0.25, 0.75),
        Node(NodeKind.TOKEN, -1, 2, 6, None, 0.125, 1.0, "cat"),
        Node(NodeKind.LOGIT, 3, 2, 8, None, 0.625, None, "sat", 0.625),
        Node(NodeKind.LOGIT, 3, 2, 9, None, 0.25, None, "ran", 0.25),
    ),
    edges=(Edge(2, 0, 1.5, 0.5), Edge(0, 3, -0.5, 0.25)),
    labels=(Label(1, 7, "older", "m", "a"), Label(1, 7, "cats", "m", "a"), Label(2, 7, "dogs", "m", "a")),
    supernodes=(Supernode("animals", 2, (0,), "m", "a"),),
)


def test_a_whole_file() -> None:
    found = to_json(CIRCUIT, slug="cat")
    generator = found["metadata"]["info"].pop("generator")
    assert generator["name"] == "circuit-atlas"
    assert found["metadata"]["atlas"].pop("content") == digest(canonical(CIRCUIT))
    common = {"run_idx": 0, "reverse_ctx_idx": 0}
    assert found == {
        "metadata": {
            "slug": "cat",
            "scan": "org/clt",
            "transcoder_list": [],
            "prompt_tokens": ["<bos>", "the", "cat"],
            "prompt": "The Cat",
            "node_threshold": 0.8,
            "schema_version": 1,
            "title_prefix": "animals",
            "info": {"transcoder_set": "org/clt"},
            "generation_settings": {
                "target": "salient-logits(10, 0.95)",
                "max_n_logits": 10,
                "desired_logit_prob": 0.95,
            },
            "pruning_settings": {"node_threshold": 0.8, "edge_threshold": 0.98},
            "atlas": {
                "version": 1,
                "circuit": CIRCUIT.id,
                "imported": False,
                "model": asdict(MODEL),
                "transcoders": asdict(TRANSCODERS),
                "prompt": {
                    "token_ids": (0, 5, 6),
                    "family": "animals",
                    "tags": (),
                    "expected": None,
                    "accepted": (),
                    "pair": None,
                    "split": None,
                },
                "settings": {
                    "target": "salient-logits(10, 0.95)",
                    "target_position": 2,
                    "node_threshold": 0.8,
                    "edge_threshold": 0.98,
                    "max_feature_nodes": None,
                    "dtype": "float32",
                    "special_first_token": True,
                    "replacement_score": 0.5,
                    "completeness_score": 0.75,
                    "error_share": 0.25,
                    "n_active_features": 9,
                    "n_selected_features": 9,
                    "kept_influence": 0.875,
                    "weights": None,
                    "target_logit": None,
                    "pruned_features": None,
                    "unselected_features": None,
                    "max_edges": None,
                    "n_left_out": None,
                    "continuation": None,
                },
                "source": None,
                "labels": [asdict(label) for label in CIRCUIT.labels],
                "pinned": [],
                "supernodes": [asdict(CIRCUIT.supernodes[0]) | {"members": ["1_7_2"]}],
            },
        },
        "qParams": {
            "pinnedIds": ["1_7_2"],
            "supernodes": [["animals", "1_7_2"]],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": [
            common
            | {
                "node_id": "1_7_2",
                "feature": 43,
                "layer": "1",
                "ctx_idx": 2,
                "feature_type": "cross layer transcoder",
                "token_prob": 0.0,
                "is_target_logit": False,
                "jsNodeId": "1_7-0",
                "clerp": "cats",
                "influence": 0.25,
                "activation": 2.5,
                "raw_influence": 0.5,
            },
            common
            | {
                "node_id": "0_-1_1",
                "feature": -1,
                "layer": "0",
                "ctx_idx": 1,
                "feature_type": "mlp reconstruction error",
                "token_prob": 0.0,
                "is_target_logit": False,
                "jsNodeId": "0_-1-1",
                "clerp": "",
                "influence": 0.75,
                "activation": None,
                "raw_influence": 0.25,
            },
            common
            | {
                "node_id": "E_6_2",
                "feature": 2,
                "layer": "E",
                "ctx_idx": 2,
                "feature_type": "embedding",
                "token_prob": 0.0,
                "is_target_logit": False,
                "jsNodeId": "E_6-2",
                "clerp": "",
                "influence": 1.0,
                "activation": None,
                "raw_influence": 0.125,
                "token": "cat",
            },
            common
            | {
                "node_id": "4_8_2",
                "feature": 8,
                "layer": "4",
                "ctx_idx": 2,
                "feature_type": "logit",
                "token_prob": 0.625,
                "is_target_logit": True,
                "jsNodeId": "L_8-2",
                "clerp": 'Output "sat" (p=0.625)',
                "influence": None,
                "activation": None,
                "raw_influence": None,
                "token": "sat",
            },
            common
            | {
                "node_id": "4_9_2",
                "feature": 9,
                "layer": "4",
                "ctx_idx": 2,
                "feature_type": "logit",
                "token_prob": 0.25,
                "is_target_logit": False,
                "jsNodeId": "L_9-2",
                "clerp": 'Output "ran" (p=0.250)',
                "influence": None,
                "activation": None,
                "raw_influence": None,
                "token": "ran",
            },
        ],
        "links": [
            {"source": "E_6_2", "target": "1_7_2", "weight": 1.5, "share": 0.5},
            {"source": "1_7_2", "target": "4_8_2", "weight": -0.5, "share": 0.25},
        ],
    }


def test_an_error_never_has_the_id_of_a_feature() -> None:
    nodes = (Node(NodeKind.FEATURE, 0, 2, 1, 1.0), Node(NodeKind.ERROR, 1, 2, None))
    circuit = replace(CIRCUIT, nodes=nodes, edges=(), labels=(), supernodes=())
    assert [node["node_id"] for node in to_json(circuit)["nodes"]] == ["0_1_2", "1_-1_2"]


def test_a_limit_on_features_is_told() -> None:
    settings = to_json(replace(CIRCUIT, max_feature_nodes=500))["metadata"]["generation_settings"]
    assert settings["max_feature_nodes"] == 500


def test_feature_numbers_pass_31_bits() -> None:
    assert cantor(25, 72700) > 2**31
    assert cantor(0, 0) == 0
    assert cantor(1, 0) == 1
    assert cantor(0, 1) == 2
    assert len({cantor(layer, index) for layer in range(30) for index in range(30)}) == 900


def test_the_default_slug_tells_prompts_and_settings_apart() -> None:
    other = replace(CIRCUIT, node_threshold=0.9)
    assert default_slug(CIRCUIT) == f"the-cat-{CIRCUIT.id[:8]}"
    assert default_slug(other) != default_slug(CIRCUIT)


def test_write_writes_what_to_json_says(tmp_path: Path) -> None:
    path = tmp_path / "graph.json"
    write(CIRCUIT, path, slug="cat")
    assert orjson.loads(path.read_bytes()) == orjson.loads(orjson.dumps(to_json(CIRCUIT, slug="cat")))


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be written: No such file(.|\n)*name a file in a folder"):
        write(CIRCUIT, tmp_path / "no" / "graph.json")


def test_torch_is_not_needed() -> None:
    code = "import schema.exports.graph_json, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
