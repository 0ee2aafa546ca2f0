"""A folder of published graphs, imported without an option, against a script that reads the files alone."""

import io
import json
import random
from pathlib import Path
from typing import Any

from rich.console import Console

from ingest.imports.labels import LabelSettings, import_labels
from schema.database import AsyncDatabase, Database
from schema.upkeep.check import check
from schema.upkeep.stats import stats
from tests.support.api import Api
from tests.support.graph_folder import disagreements, read_folder
from tests.support.importing import counts, run

CLT = {
    "source_urls": ["https://neuronpedia.org/gemma-2-2b/clt-hp", "https://huggingface.co/mntss/clt"],
    "transcoder_set": "mntss/clt-gemma-2-2b-2.5M",
    "creator_url": "https://neuronpedia.org",
}
PLT = {"neuronpedia_source_set": "gemmascope-transcoder-16k", "neuronpedia_link": "https://neuronpedia.org/g"}
INDICES = range(10, 17)
N_LAYERS, TOKENS = 4, ["<bos>", "The", " city", " of", " Dallas"]


def graph(seed: int, scan: str, info: dict[str, Any] | None, error_id: str) -> dict[str, Any]:
    """A graph as the tools write it today: pruned, with cumulative influence."""
    draw = random.Random(seed)
    nodes: list[dict[str, Any]] = []

    def add(node_id: str, feature: int, layer: str, position: int, kind: str, **more: Any) -> None:
        nodes.append(
            {"node_id": node_id, "feature": feature, "layer": layer, "ctx_idx": position}
            | {"feature_type": kind, "token_prob": 0.0, "is_target_logit": False, "run_idx": 0}
            | {"reverse_ctx_idx": 0, "jsNodeId": f"{node_id}-0", "clerp": ""}
            | {"influence": None, "activation": None, **more}
        )

    for layer in range(N_LAYERS):
        for index in draw.sample(INDICES, 4):
            paired = (layer + index) * (layer + index + 1) // 2 + index
            number = int(f"{layer}{index:05d}") if info is PLT else paired
            for position in draw.sample(range(1, len(TOKENS)), draw.choice([1, 1, 2])):
                name = f"{layer}_{index}_{position}"
                activation = draw.uniform(0.1, 20)
                add(name, number, str(layer), position, "cross layer transcoder", activation=activation)
        position = draw.randrange(1, len(TOKENS))
        name = error_id.format(layer=layer, position=position)
        add(name, -1, str(layer), position, "mlp reconstruction error")
    for position in range(len(TOKENS)):
        add(f"E_{100 + position}_{position}", position, "E", position, "embedding")
    for place, (token, probability) in enumerate([(" Texas", 0.5 + seed / 100), (" Austin", 0.25)]):
        name = f"{N_LAYERS + 1}_{200 + place}_{len(TOKENS) - 1}"
        text = f'Output "{token}" (p={probability:.3f})'
        more = {"clerp": text, "token_prob": probability, "is_target_logit": place == 0}
        add(name, 200 + place, str(N_LAYERS + 1), len(TOKENS) - 1, "logit", **more)
    carriers = [node for node in nodes if node["feature_type"] != "logit"]
    # Pruning took some nodes out, so the shares have gaps, and they do not add up to 1.
    shares = sorted((draw.expovariate(1) for _ in range(len(carriers) + 6)), reverse=True)
    kept = sorted(draw.sample(range(len(shares)), len(carriers)))
    order = draw.sample(carriers, len(carriers))
    for node, place in zip(order, kept, strict=True):
        node["influence"] = sum(shares[: place + 1]) / sum(shares)

    def height(node: dict[str, Any]) -> int:
        return -1 if node["layer"] == "E" else int(node["layer"])

    below = [(s, t) for s in nodes for t in nodes if height(s) < height(t) and t["feature"] != -1]
    links = [
        {"source": s["node_id"], "target": t["node_id"], "weight": draw.gauss(0, 1)}
        for s, t in below
        if t["feature_type"] != "embedding" and draw.random() < 0.4
    ]
    metadata: dict[str, Any] = {
        "slug": f"graph-{seed}",
        "scan": scan,
        "transcoder_list": [],
        "prompt_tokens": TOKENS,
        "prompt": f"The city of Dallas {seed}",
        "node_threshold": 0.8,
    }
    if info is not None:
        metadata["info"] = {"creator_name": "Ada", "generator": {"name": "circuit-tracer"}, **info}
    if info is not PLT:
        metadata["schema_version"] = 1
    view = {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""}
    return {"metadata": metadata, "qParams": view, "nodes": nodes, "links": links}


def write_folder(folder: Path) -> None:
    """Two sets of one model from Neuronpedia, circuit-tracer's own files, and those of a tool built on it."""
    kinds: list[tuple[str, dict[str, Any] | None, str]] = [
        ("gemma-2-2b", CLT, "0_{layer}_{position}"),
        ("gemma-2-2b", PLT, "0_{layer}_{position}"),
        ("mntss/gemma-scope-transcoders@0123456789abcdef", None, "{layer}_-1_{position}"),
        ("me/my-transcoders", {"modified": True}, "{layer}_-1_{position}"),
    ]
    for number, (scan, info, error_id) in enumerate(kinds):
        for seed in range(4 * number, 4 * number + (4 if number < 2 else 2)):
            made = graph(seed, scan, info, error_id)
            (folder / f"{seed}.json").write_text(json.dumps(made), encoding="utf-8")


async def test_a_folder_of_published_graphs(
    database: Database, async_database: AsyncDatabase, tmp_path: Path
):
    folder = tmp_path / "graphs"
    folder.mkdir()
    write_folder(folder)
    graphs = read_folder(folder)
    assert counts(run(database, folder)) == (len(graphs), 0, 0)

    rows = [
        {"modelId": "gemma-2-2b", "layer": f"{layer}-{name}", "index": str(index)}
        | {"description": f"{name} {layer} {index}", "explanationModelName": "gpt-4o-mini"}
        | {"typeName": "oai_token-act-pair"}
        for name in ("clt-hp", "gemmascope-transcoder-16k")
        for layer in range(N_LAYERS)
        for index in INDICES
    ]
    explanations = tmp_path / "explanations.jsonl"
    explanations.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = import_labels(database, LabelSettings((explanations,)), console=Console(file=io.StringIO()))
    # Neuronpedia has explanations of circuit-tracer's published set, too.
    named = {
        (graph.transcoders, layer, index)
        for graph in graphs
        for layer, index in graph.uses
        if graph.transcoders != "me/my-transcoders"
    }
    assert (done.labels, done.refused) == (len(named), 0)

    assert list(check(database)) == []
    assert {(each["model"], each["set"]): each["circuits"] for each in stats(database).sets} == {
        ("gemma-2-2b", "gemma-2-2b/clt-hp"): 4,
        ("gemma-2-2b", "gemma-2-2b/gemmascope-transcoder-16k"): 4,
        ("model of mntss/gemma-scope-transcoders", "mntss/gemma-scope-transcoders@0123456789ab"): 2,
        ("model of me/my-transcoders", "me/my-transcoders"): 2,
    }
    async with Api(async_database) as api:
        found = await disagreements(graphs, api)
        label = '{ feature(id: "gemma-2-2b/clt-hp/%d/%d") { labels { text author } neuronpediaUrl } }'
        layer, index = min((layer, index) for name, layer, index in named if name.endswith("/clt-hp"))
        assert (await api(label % (layer, index)))["feature"] == {
            "labels": [{"text": f"clt-hp {layer} {index}", "author": "gpt-4o-mini"}],
            "neuronpediaUrl": f"https://www.neuronpedia.org/gemma-2-2b/{layer}-clt-hp/{index}",
        }
    assert found.differences == []
    assert found.n > 5000
