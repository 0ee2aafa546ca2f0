"""circuit-tracer's worker for `bench/attribution.py` and `bench/llama.py`, in a separate environment.

    python bench/peer_attribution.py MODEL TRANSCODERS THREADS LIMIT BATCH_SIZE

LIMIT is the number of feature nodes per graph, 0 for all. The worker reads one command per line from standard
input. A JSON list with the token ids of prompts attributes these prompts and prints one line of JSON,
{"seconds", "cpu_seconds", "peak_mb"}. {"save": path, "ids"} also writes the graph's matrix as safetensors.
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
import yaml
from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.replacement_model.replacement_model_nnsight import NNSightReplacementModel
from circuit_tracer.transcoder.cross_layer_transcoder import load_clt
from circuit_tracer.transcoder.single_layer_transcoder import load_transcoder_set
from safetensors.torch import save_file

RANK_EVERY = 2048
"""Number of features that are attributed between two rankings, in both programs."""


def main() -> None:
    model_dir, transcoders_dir = sys.argv[1:3]
    threads, limit, batch_size = map(int, sys.argv[3:6])
    torch.set_num_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        # The version of transformers in this environment is older than the tokenizer's class, and than
        # `rope_parameters`: it would read the model with another base of its rotary embedding.
        copy = Path(folder) / "lm"
        shutil.copytree(model_dir, copy)
        rewrite(copy / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
        config = json.loads((copy / "config.json").read_text())
        if (rope := config.get("rope_parameters", {})).get("rope_type") == "default":
            rewrite(copy / "config.json", {"rope_theta": rope["rope_theta"]})
        model = NNSightReplacementModel.from_pretrained_and_transcoders(
            str(copy), transcoders(Path(transcoders_dir)), device=torch.device("cpu"), dtype=torch.float32
        )
    settings = {
        "batch_size": batch_size,
        "max_feature_nodes": limit or None,
        "update_interval": max(1, RANK_EVERY // batch_size),
    }
    for line in sys.stdin:
        asked = json.loads(line)
        started, used = time.perf_counter(), time.process_time()
        if isinstance(asked, dict):
            graph = attribute(torch.tensor(asked["ids"]), model, **settings)
            found = {
                "adjacency": graph.adjacency_matrix,
                "active": graph.active_features,
                "selected": graph.selected_features,
                "logits": torch.tensor([target.vocab_idx for target in graph.logit_targets]),
            }
            save_file({name: tensor.contiguous().cpu() for name, tensor in found.items()}, asked["save"])
        else:
            for ids in asked:
                attribute(torch.tensor(ids), model, **settings)
        answer = {
            "seconds": time.perf_counter() - started,
            "cpu_seconds": time.process_time() - used,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def rewrite(path: Path, settings: dict[str, object]) -> None:
    """Change settings of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def transcoders(folder: Path) -> object:
    """Keep the transcoders in memory, which is faster than reading their rows from files."""
    said = yaml.safe_load((folder / "config.yaml").read_text())
    settings = {
        "feature_input_hook": said["feature_input_hook"],
        "feature_output_hook": said["feature_output_hook"],
        "scan": "bench",
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "lazy_decoder": False,
    }
    if said["model_kind"] == "cross_layer_transcoder":
        return load_clt(str(folder), **settings)
    n_layers = len(list(folder.glob("layer_*.safetensors")))
    paths = {layer: str(folder / f"layer_{layer}.safetensors") for layer in range(n_layers)}
    return load_transcoder_set(paths, lazy_encoder=False, **settings)


if __name__ == "__main__":
    main()
