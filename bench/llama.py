"""Attribution of a large random Llama: this engine and circuit-tracer, in paired runs.

    python bench/llama.py [--prompts 1] [--rounds 1] [--threads 2] [--limit 4096] [--positions 64]
        [--peer-batch 128]

The model has 16 layers of width 1024, with 16 384 features per layer. The first call writes the model and its
transcoders (per layer, ReLU, about 50 active features per position and layer) into `bench/.llama`, 3 GB.
Prompts are a special first token and random tokens. The graphs of one prompt are compared first. Both
processes together take about 15 GB of memory.
"""

import argparse
import shutil
from pathlib import Path
from statistics import NormalDist

import torch
from race import HERE, Race
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ingest.organism.weights import MODEL_DIR

FOLDER = HERE / ".llama"
N_LAYERS, WIDTH, N_FEATURES, N_ACTIVE = 16, 1024, 16384, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--prompts", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=4096, help="feature nodes per graph; 0 for all")
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--peer-batch", type=int, default=128, help="circuit-tracer's batch size, in targets")
    asked = parser.parse_args()
    if not (FOLDER / "plt" / "config.yaml").exists():
        write(FOLDER)
    race = Race(
        FOLDER / "lm", FOLDER / "plt", threads=asked.threads, limit=asked.limit, peer_batch=asked.peer_batch
    )
    prompts = random_prompts(asked.prompts + 1, asked.positions)
    race.compare(prompts[:1])
    race.run(prompts[1:], asked.rounds)


def random_prompts(n: int, n_positions: int) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR, trust_remote_code=False)
    special = set(tokenizer.all_special_ids)
    plain = torch.tensor([token for token in range(len(tokenizer)) if token not in special])
    generator = torch.Generator().manual_seed(1)
    chosen = plain[torch.randint(len(plain), (n, n_positions - 1), generator=generator)]
    return [[tokenizer.bos_token_id, *ids] for ids in chosen.tolist()]


def write(folder: Path) -> None:
    """The model with the bundled tokenizer, and transcoders whose features fire at random."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR, trust_remote_code=False)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=16,
        num_key_value_heads=16,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "lm")
    tokenizer.save_pretrained(folder / "lm")
    (folder / "plt").mkdir(parents=True)
    # The output of an RMSNorm has a mean square of 1, so a unit encoder vector reads a standard normal.
    bias = NormalDist().inv_cdf(N_ACTIVE / N_FEATURES)
    for layer in range(N_LAYERS):
        decoder = torch.randn(N_FEATURES, WIDTH) * (3 / WIDTH**0.5)
        tensors = {
            "W_enc": torch.randn(N_FEATURES, WIDTH) / WIDTH**0.5,
            "W_dec": decoder,
            "b_enc": torch.full((N_FEATURES,), bias),
            "b_dec": torch.zeros(WIDTH),
        }
        save_file(tensors, folder / "plt" / f"layer_{layer}.safetensors")
    (folder / "plt" / "config.yaml").write_text(
        "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
        "scan: random-llama\n"
    )


if __name__ == "__main__":
    main()
