"""This engine's worker for `bench/attribution.py` and `bench/llama.py`.

It reads the commands that `bench/peer_attribution.py` describes.

python bench/our_attribution.py MODEL TRANSCODERS THREADS LIMIT
"""

import json
import resource
import sys
import time

import torch
from safetensors.torch import save_file

from ingest.engine.attribution.attribute import attribute_each, attribute_many
from ingest.engine.attribution.targets import DEFAULT
from ingest.engine.replacement.model import ReplacementModel

GROUP = 16
"""Number of prompts that are attributed together, as in `atlas ingest`."""


def main() -> None:
    model_dir, transcoders_dir, threads, limit = *sys.argv[1:3], int(sys.argv[3]), int(sys.argv[4]) or None
    torch.set_num_threads(threads)
    model = ReplacementModel.load(model_dir, transcoders_dir)
    for line in sys.stdin:
        asked = json.loads(line)
        started, used = time.perf_counter(), time.process_time()
        if isinstance(asked, dict):
            (graph,) = attribute_many(model, [(model.encode(asked["ids"]), DEFAULT)], max_feature_nodes=limit)
            found = {
                "adjacency": graph.adjacency,
                "active": graph.active,
                "selected": graph.selected,
                "logits": graph.logit_ids,
            }
            save_file(found, asked["save"])
        else:
            for start in range(0, len(asked), GROUP):
                group = [(model.encode(ids), DEFAULT) for ids in asked[start : start + GROUP]]
                for _ in attribute_each(model, group, max_feature_nodes=limit):
                    pass
        answer = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
