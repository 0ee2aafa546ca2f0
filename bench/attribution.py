"""Attribution graphs per second: this engine and circuit-tracer, on the bundled model, in paired runs.

    python bench/attribution.py [--prompts 50] [--rounds 3] [--threads 2] [--limit 0] [--peer-batch 512]

The first call installs circuit-tracer into `bench/.peer`. Both programs compute unpruned graphs of the same
prompts, each in its own process, in turns. Before any timing, the graphs of three prompts are compared edge
by edge. circuit-tracer runs with its nnsight backend, because its other backend accepts only the names of
published models.
"""

import argparse
import json

from race import Race
from transformers import AutoTokenizer

from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR

COMPARED = 3
WARM_UP = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="feature nodes per graph; 0 for all")
    parser.add_argument("--peer-batch", type=int, default=512, help="circuit-tracer's batch size, in targets")
    asked = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(MODEL_DIR, trust_remote_code=False)
    lines = PROMPTS_PATH.read_text(encoding="utf-8").splitlines()
    every = max(1, len(lines) // asked.prompts)
    texts = [json.loads(line)["prompt"] for line in lines[::every]][: asked.prompts]
    prompts = [
        [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False)["input_ids"]] for text in texts
    ]
    race = Race(
        MODEL_DIR, TRANSCODERS_DIR, threads=asked.threads, limit=asked.limit, peer_batch=asked.peer_batch
    )
    race.compare(prompts[:: max(1, len(prompts) // COMPARED)][:COMPARED])
    for worker in (race.ours, race.peer):
        worker.ask(prompts[:WARM_UP])
    race.run(prompts, asked.rounds)


if __name__ == "__main__":
    main()
