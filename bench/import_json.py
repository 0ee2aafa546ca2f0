"""Speed (MB/s) and peak memory of reading graph JSON: 500 files of 5 MB, without a database.

    python bench/import_json.py [--files 500] [--megabytes 5]

Files have the form that circuit-tracer writes: indented, with links ordered by target and source. Ten
different files are made and read in turn, from the disk's cache. Rates are given by CPU time and by
wall-clock time. `parse` is the parser alone; `read` is everything up to the circuit that the loader takes.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

from ingest.imports.reader import rare_collection
from schema.exports.graph_json import cantor
from schema.formats.files import read
from schema.formats.graph import read_graph
from schema.formats.raw import decode

DIFFERENT = 10
N_LAYERS = 26
N_TOKENS = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--megabytes", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = [write(Path(folder) / f"{seed}.json", seed, asked.megabytes) for seed in range(DIFFERENT)]
        read_graph(read(paths[0]), "warm")
        before = peak()
        for name in ("parse", "read"):
            size, links, cpu, clock = 0, 0, time.process_time(), time.perf_counter()
            with rare_collection():
                for number in range(asked.files):
                    data = read(paths[number % DIFFERENT])
                    size += len(data)
                    if name == "parse":
                        links += len(decode(data, "bench").links)
                    else:
                        links += len(read_graph(data, "bench").circuit.edges)
            cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
            print(
                f"{name:>5}: {asked.files} files, {size / 1e6:.0f} MB, {links:,} links: "
                f"{size / 1e6 / cpu:.0f} MB/s of CPU time, {size / 1e6 / clock:.0f} MB/s by the clock"
            )
        print(f"peak memory {peak():.0f} MB ({before:.0f} MB after the first file)")


def write(path: Path, seed: int, megabytes: float) -> Path:
    """A graph of about 900 nodes with as many links as fit into the size."""
    rng = random.Random(seed)
    keys = {(rng.randrange(N_LAYERS), rng.randrange(1, N_TOKENS), rng.randrange(16384)) for _ in range(800)}
    nodes = [feature(*key, rng) for key in sorted(keys)]
    nodes += [plain(f"E_{7 + place}_{place}", place, "E", place, "embedding") for place in range(N_TOKENS)]
    nodes += [logit(number) for number in range(5)]
    metadata = {
        "slug": f"bench-{seed}",
        "scan": "org/transcoders",
        "transcoder_list": [],
        "prompt_tokens": [f" token{place}" for place in range(N_TOKENS)],
        "prompt": "a prompt",
        "node_threshold": 0.8,
        "schema_version": 1,
    }
    n_features = len(keys)
    layers = [layer for layer, _, _ in sorted(keys)]
    pairs = [(s, t) for t in range(n_features) for s in range(t) if layers[s] < layers[t]]
    per_link = 111
    wanted = min(len(pairs), int((megabytes * 1e6 - 450 * len(nodes)) / per_link))
    chosen = sorted(rng.sample(pairs, wanted), key=lambda pair: (pair[1], pair[0]))
    links = [
        {"source": nodes[s]["node_id"], "target": nodes[t]["node_id"], "weight": rng.gauss(0, 1)}
        for s, t in chosen
    ]
    path.write_text(
        json.dumps({"metadata": metadata, "qParams": {}, "nodes": nodes, "links": links}, indent=2)
    )
    return path


def feature(layer: int, position: int, index: int, rng: random.Random) -> dict[str, object]:
    node = plain(
        f"{layer}_{index}_{position}", cantor(layer, index), str(layer), position, "cross layer transcoder"
    )
    return node | {"influence": rng.random(), "activation": rng.random() * 10}


def logit(number: int) -> dict[str, object]:
    node = plain(f"{N_LAYERS + 1}_{number}_{N_TOKENS - 1}", number, str(N_LAYERS + 1), N_TOKENS - 1, "logit")
    return node | {
        "token_prob": 0.9 / (number + 1),
        "clerp": f'Output "t{number}" (p={0.9 / (number + 1):.3f})',
    }


def plain(name: str, number: int, layer: str, position: int, kind: str) -> dict[str, object]:
    return {
        "node_id": name,
        "feature": number,
        "layer": layer,
        "ctx_idx": position,
        "feature_type": kind,
        "token_prob": 0.0,
        "is_target_logit": False,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "jsNodeId": f"{name}-0",
        "clerp": "",
        "influence": None,
        "activation": None,
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
