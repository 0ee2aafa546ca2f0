"""Attribution of SmolLM2-135M with the transcoders of `make real`: this engine and circuit-tracer, paired.

    python bench/real_race.py FOLDER [--prompts 8] [--rounds 2] [--threads 2] [--limit 300] [--peer-batch 256]

FOLDER is that of `bench/real_model.py`, whose transcoders are trained and whose prompts are chosen. The first
call installs circuit-tracer into `bench/.peer`. The graphs of two prompts are compared edge by edge first.
Both programs read the model from the folder into which the atlas dequantised it.
"""

import argparse
import json
from pathlib import Path

from race import Race
from real_model import MODELS

from ingest.engine.loading.files import find
from ingest.engine.replacement.model import ARCHITECTURES, ReplacementModel

COMPARED = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=300, help="feature nodes per graph; 0 for all")
    parser.add_argument("--peer-batch", type=int, default=256, help="circuit-tracer's batch size, in targets")
    asked = parser.parse_args()
    model, sets = asked.folder / MODELS["smollm2"].file, asked.folder / "plt"
    lines = (asked.folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    every = max(1, len(lines) // (COMPARED + asked.prompts))
    reader = ReplacementModel.load(model, None)
    prompts = [list(reader.encode(json.loads(line)["prompt"]).ids) for line in lines[::every]]
    race = Race(
        find(model, ARCHITECTURES).folder,
        sets,
        threads=asked.threads,
        limit=asked.limit,
        peer_batch=asked.peer_batch,
    )
    race.compare(prompts[:COMPARED])
    race.run(prompts[COMPARED : COMPARED + asked.prompts], asked.rounds)


if __name__ == "__main__":
    main()
