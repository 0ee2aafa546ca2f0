"""circuit-tracer's side of `bench/attribution.py`; runs in an environment of its own.

Reads one command a line from standard input: a JSON list of prompts' token ids attributes them and prints
one line of JSON, {"seconds", "peak_mb"}; {"save": path, "ids": …} writes the graph's matrix as safetensors.
"""

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import torch
from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.replacement_model.replacement_model_nnsight import NNSightReplacementModel
from circuit_tracer.transcoder.cross_layer_transcoder import load_clt
from safetensors.torch import save_file


def main() -> None:
    model_dir, clt_dir, threads, batch_size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    answers, sys.stdout = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory() as folder:
        # Its transformers is older than the tokenizer's class.
        copy = Path(folder) / "lm"
        shutil.copytree(model_dir, copy)
        settings = json.loads((copy / "tokenizer_config.json").read_text())
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        (copy / "tokenizer_config.json").write_text(json.dumps(settings))
        clt = load_clt(
            clt_dir,
            feature_input_hook="mlp.hook_in",
            feature_output_hook="mlp.hook_out",
            scan="bench",
            device=torch.device("cpu"),
            dtype=torch.float32,
            lazy_decoder=False,
        )
        model = NNSightReplacementModel.from_pretrained_and_transcoders(
            str(copy), clt, device=torch.device("cpu"), dtype=torch.float32
        )
    for line in sys.stdin:
        asked = json.loads(line)
        answer = {}
        if isinstance(asked, dict):
            graph = attribute(torch.tensor(asked["ids"]), model, batch_size=batch_size)
            found = {
                "adjacency": graph.adjacency_matrix,
                "active": graph.active_features,
                "selected": graph.selected_features,
                "logits": torch.tensor([target.vocab_idx for target in graph.logit_targets]),
            }
            save_file({name: tensor.contiguous().cpu() for name, tensor in found.items()}, asked["save"])
        else:
            started = time.perf_counter()
            for ids in asked:
                attribute(torch.tensor(ids), model, batch_size=batch_size)
            answer["seconds"] = time.perf_counter() - started
        answer["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
