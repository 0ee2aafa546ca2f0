"""Small graph files in every form, written as their tools write them: the same little graph each time.

Tokens <bos> (2), Hi (7); features of layers 0 and 1; an error; two logits of a model with 2 layers.
"""

import gzip
import json
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import torch

from schema.exports.graph_json import cantor

Graph = dict[str, Any]


def node(node_id: str, feature: int | None, layer: str | int, position: int, kind: str, **more: Any) -> Graph:
    return {
        "node_id": node_id,
        "feature": feature,
        "layer": layer,
        "ctx_idx": position,
        "feature_type": kind,
        "jsNodeId": f"{node_id}-0",
        "clerp": "",
        "influence": None,
        "activation": None,
        **more,
    }


CLT, ERROR, TOKEN, LOGIT = "cross layer transcoder", "mlp reconstruction error", "embedding", "logit"


def circuit_tracer(error_id: str = "{layer}_-1_{position}") -> Graph:
    """circuit-tracer's file; `error_id` is one of its two forms."""
    return {
        "metadata": {
            "slug": "hi",
            "scan": "org/clt@0123456789abcdef",
            "transcoder_list": [],
            "prompt_tokens": ["<bos>", "Hi"],
            "prompt": "Hi",
            "node_threshold": 0.8,
            "schema_version": 1,
        },
        "qParams": {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""},
        "nodes": [
            node("0_3_1", cantor(0, 3), "0", 1, CLT, influence=0.25, activation=1.5),
            node("1_40000_1", cantor(1, 40000), "1", 1, CLT, influence=0.5, activation=2.5),
            node(error_id.format(layer=1, position=1), -1, "1", 1, ERROR, influence=0.75),
            node("E_2_0", 0, "E", 0, TOKEN, influence=0.9),
            node("E_7_1", 1, "E", 1, TOKEN, influence=1.0),
            node("3_11_1", 11, "3", 1, LOGIT, clerp='Output " you" (p=0.600)', token_prob=0.6),
            node("3_12_1", 12, "3", 1, LOGIT, clerp='Output "." (p=0.300)', token_prob=0.3),
        ],
        "links": [
            {"source": "E_7_1", "target": "0_3_1", "weight": 1.0},
            {"source": "0_3_1", "target": "1_40000_1", "weight": -0.5},
            {"source": "1_40000_1", "target": "3_11_1", "weight": 2.0},
            {"source": error_id.format(layer=1, position=1), "target": "3_11_1", "weight": 0.125},
        ],
    }


def neuronpedia() -> Graph:
    """An upload to Neuronpedia with a subgraph in it."""
    graph = circuit_tracer()
    graph["metadata"] |= {
        "scan": "gemma-2-2b",
        "feature_details": {"neuronpedia_source_set": "gemmascope-transcoder-16k"},
        "info": {
            "creator_name": "Ada",
            "creator_url": "https://ada.example",
            "description": "a greeting",
            "generator": {"name": "x", "version": "2"},
            "source_urls": ["https://www.neuronpedia.org/gemma-2-2b/gemmascope-transcoder-16k"],
            "create_time_ms": 1_753_000_000_000,
        },
        "generation_settings": {
            "max_n_logits": 10,
            "desired_logit_prob": 0.95,
            "batch_size": 48,
            "max_feature_nodes": 5000,
        },
        "pruning_settings": {"node_threshold": 0.7, "edge_threshold": 0.85},
    }
    del graph["metadata"]["transcoder_list"], graph["metadata"]["schema_version"]
    graph["links"][2]["weight"] = 2.25
    graph["nodes"][0]["clerp"] = "greetings"
    graph["qParams"] |= {
        "pinnedIds": ["0_3_1", "E_7_1"],
        "supernodes": [
            ["say hello", "0_3_1", "1_40000_1"],
            ["words", "E_7_1", "E_2_0", "3_11_1", "no_such_node"],
        ],
        "clerps": [["1_40000_1", "say you"]],
    }
    return graph


def legacy(scan: str) -> Graph:
    """Neuronpedia's graphs from before schema_version: three ways to number features."""
    graph = circuit_tracer("0_{layer}_{position}")
    graph["metadata"] |= {"scan": scan}
    del graph["metadata"]["schema_version"], graph["metadata"]["transcoder_list"]
    for each, (layer, index) in zip(graph["nodes"], [(0, 3), (1, 40000)], strict=False):
        each["feature"] = int(f"{layer}{index:05d}") if scan == "gemma-2-2b" else index
        old = each["node_id"]
        each["node_id"] = f"n{layer}-{index}"  # so that only `feature` tells
        for link in graph["links"]:
            for end in ("source", "target"):
                link[end] = each["node_id"] if link[end] == old else link[end]
    return graph


def crm() -> Graph:
    """Neuronpedia's second engine: Lorsa features, biases, numbers for layers, QK traces."""
    names = [
        "E_7_1",
        "0_cro_3_1",
        "0_lor_3_1",
        "1_error_attn_1",
        "1_error_mlp_1",
        "1_bias_attn_bO_0",
        "2_11_1",
    ]
    nodes = [
        node("E_7_1", None, "E", 1, TOKEN, clerp='Emb: "Hi"', token="Hi"),
        node("0_cro_3_1", cantor(0, 3), 0, 1, CLT, clerp=f"F{cantor(0, 3)}", activation=1.5, influence=0.5),
        node("0_lor_3_1", cantor(0, 3), 0, 1, "lorsa", clerp=f"F{cantor(0, 3)}", activation=0.5),
        node("1_error_attn_1", None, 1, 1, "lorsa error", clerp='Err: attn "Hi"'),
        node("1_error_mlp_1", None, 1, 1, ERROR, clerp='Err: mlp "Hi"'),
        node("1_bias_attn_bO_0", None, 1, 0, "bias", clerp="L1 Bias (attn_bO)"),
        node("2_11_1", 11, 2, 1, LOGIT, clerp='Logit " you" (p=0.600)', token_prob=0.6, token=" you"),
    ]
    for each, name in zip(nodes, names, strict=True):
        each["jsNodeId"] = name
    nodes[2]["qk_tracing_results"] = {
        "pair_wise_contributors": [["0_cro_3_1", "0_cro_9_0", 0.5]],
        "top_q_marginal_contributors": [["0_cro_3_1", 0.5]],
        "top_k_marginal_contributors": [["0_cro_9_0", 0.5]],
    }
    return {
        "metadata": {
            "slug": "crm",
            "scan": "qwen3-1.7b",
            "prompt": "Hi",
            "prompt_tokens": ["<bos>", "Hi"],
            "schema_version": 1,
            "feature_details": {
                "neuronpedia_source_set": "transcoder-8x",
                "neuronpedia_lorsa_source_set": "lorsa-8x",
            },
        },
        "qParams": {},
        "nodes": nodes,
        "links": [{"source": name, "target": "2_11_1", "weight": 0.5} for name in names[:-1]],
        "qk_only_nodes": {"0_cro_9_0": node("0_cro_9_0", cantor(0, 9), 0, 0, CLT)},
    }


def anthropic() -> Graph:
    """One of Anthropic's published files: bare numbers, labels by people, supernodes of jsNodeIds."""
    graph = circuit_tracer()
    graph["metadata"] = {
        "slug": "hi",
        "scan": "jackl-circuits-runs-1-4-sofa-v3_0",
        "prompt_tokens": ["<bos>", "Hi"],
        "prompt": "Hi",
        "title_prefix": "Greeting",
    }
    for each, index in zip(graph["nodes"], (3, 40000), strict=False):
        each |= {"feature": index, "jsNodeId": f"{each['layer']}_{index}-0"}
    graph["nodes"][1]["clerp"] = "say you"
    for each in graph["nodes"]:
        del each["influence"], each["activation"]
    graph["qParams"] = {"supernodes": [["hello", "0_3-0", "1_40000-0"]], "pinnedIds": ["1_40000-0"]}
    return graph


def eleuther() -> Graph:
    """EleutherAI's file."""
    nodes = [
        node("intermediate_1_0_3", cantor(0, 3), "0", 1, CLT, influence=0.5),
        node("error_1_1", None, "1", 1, ERROR),
        node("input_0", None, "E", 0, TOKEN),
        node("input_1", None, "E", 1, TOKEN),
        node("output_1_0", None, "-1", 1, LOGIT, clerp='output: " you" (p=0.600)', token_prob=0.6),
        node("output_1_1", None, "-1", 1, LOGIT, clerp='output: "." (p=0.300)', token_prob=0.3),
    ]
    return {
        "metadata": {
            "slug": "hi",
            "scan": "default",
            "prompt_tokens": ["<bos>", "Hi"],
            "prompt": "<bos>Hi",
            "title_prefix": "",
            "n_layers": 2,
            "node_sep_threshold": 0.01,
            "node_threshold": 0.8,
        },
        "qParams": {"linkType": "both"},
        "nodes": nodes,
        "links": [
            {"source": "input_1", "target": "intermediate_1_0_3", "weight": 0.25},
            {"source": "intermediate_1_0_3", "target": "output_1_0", "weight": 1.5},
        ],
    }


ALL = {
    "circuit-tracer": circuit_tracer,
    "neuronpedia": neuronpedia,
    "gemma legacy": lambda: legacy("gemma-2-2b"),
    "qwen legacy": lambda: legacy("qwen3-4b"),
    "crm": crm,
    "anthropic": anthropic,
    "eleuther": eleuther,
}


def encode(graph: Graph) -> bytes:
    return json.dumps(graph).encode()


# Stand-ins with the names that circuit-tracer's own classes have in its files.


class LogitTarget(tuple[Any, ...]):
    """circuit-tracer's is a named tuple: pickled as its class and its fields."""

    __module__ = "circuit_tracer.attribution.targets"

    def __new__(cls, token_str: str, vocab_idx: int) -> "LogitTarget":
        return super().__new__(cls, (token_str, vocab_idx))

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        import copyreg

        return copyreg.__newobj__, (type(self), *self)  # type: ignore[attr-defined]


class UnifiedConfig:
    """circuit-tracer's is a dataclass: pickled as its class and its attributes."""

    __module__ = "circuit_tracer.utils.tl_nnsight_mapping"

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= values


def save_pt(path: Path, values: Graph) -> None:
    """As circuit-tracer saves a graph: pickle wants to find the classes under their names."""
    import sys
    import types

    for kind in (LogitTarget, UnifiedConfig):
        names = kind.__module__.split(".")
        for end in range(1, len(names) + 1):
            sys.modules.setdefault(".".join(names[:end]), types.ModuleType(".".join(names[:end])))
        setattr(sys.modules[kind.__module__], kind.__name__, kind)
    try:
        torch.save(values, path)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "circuit_tracer"]:
            del sys.modules[name]


def pt_values(seed: int = 0, n_layers: int = 3, n_tokens: int = 4, n_features: int = 30) -> Graph:
    """The content of a `.pt` graph: features in a random order, some not selected."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(n_layers * n_tokens * 20, generator=generator)[:n_features].sort().values
    active = torch.stack([places // (n_tokens * 20), places // 20 % n_tokens, places % 20 * 7], 1)
    selected = torch.randperm(n_features, generator=generator)[: n_features - 5].sort().values
    n_nodes = len(selected) + n_layers * n_tokens + n_tokens + 2
    layers = torch.cat(
        [
            active[selected, 0],
            torch.arange(n_layers).repeat_interleave(n_tokens),
            torch.full((n_tokens,), -1),
            torch.full((2,), n_layers),
        ]
    )
    matrix = torch.randn(n_nodes, n_nodes, generator=generator)
    matrix = matrix * (layers[None, :] < layers[:, None])
    matrix[len(selected) : n_nodes - 2] = 0  # nothing drives errors and tokens
    return {
        "input_string": "one two three",
        "adjacency_matrix": matrix,
        "cfg": UnifiedConfig(
            n_layers=n_layers,
            d_model=8,
            d_head=4,
            n_heads=2,
            d_mlp=16,
            d_vocab=50,
            tokenizer_name="somebody/model",
            model_name="model",
            original_architecture="LlamaForCausalLM",
            n_key_value_heads=None,
            dtype=torch.float32,
        ),
        "active_features": active,
        "logit_targets": [LogitTarget("up", 5), LogitTarget("up - down", 51)],
        "logit_probabilities": torch.tensor([0.75, 0.125]),
        "vocab_size": 50,
        "input_tokens": torch.arange(n_tokens),
        "selected_features": selected,
        "activation_values": torch.rand(n_features, generator=generator) + 0.5,
        "scan": "org/clt@abc",
    }


def feature(index: int, seed: int = 0) -> Graph:
    """A feature file as circuit-tracer writes it, with a label."""
    rng = random.Random(seed)
    contexts = [
        {
            "tokens_acts_list": [round(rng.random(), 3) for _ in range(3)],
            "train_token_ind": 1,
            "is_repeated_datapoint": False,
            "tokens": ["a", "b", f"c{number}"],
        }
        for number in range(3)
    ]
    return {
        "transcoder_id": "org/clt",
        "index": index,
        "examples_quantiles": [{"quantile_name": "Top", "examples": contexts}],
        "top_logits": ["up"],
        "bottom_logits": ["down"],
        "act_min": 0.0,
        "act_max": 1.0,
        "clerp": f"feature {index}",
    }


def write_feature_index(folder: Path, layers: dict[int, dict[int, Graph]], width: int) -> None:
    """`index.json.gz` and a `.bin` for each layer."""
    folder.mkdir(parents=True, exist_ok=True)
    index = []
    for layer, features in sorted(layers.items()):
        offsets, data = [], b""
        for number in range(width):
            offsets.append(len(data))
            if number in features:
                packed = zlib.compress(encode(features[number]))
                data += struct.pack("<I", len(packed)) + packed
        (folder / f"layer_{layer}.bin").write_bytes(data)
        index.append({"filename": f"layer_{layer}.bin", "offsets": [*offsets, len(data)]})
    (folder / "index.json.gz").write_bytes(gzip.compress(json.dumps(index).encode()))


def write_every_form(folder: Path) -> None:
    """A file of every form, one of them packed and there twice so."""
    for name, make in ALL.items():
        (folder / f"{name}.json").write_bytes(encode(make()))
    (folder / "packed.json.gz").write_bytes(gzip.compress(encode(ALL["crm"]() | {"qk_only_nodes": {}})))
    save_pt(folder / "graph.pt", pt_values())
