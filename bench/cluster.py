"""What Ray costs: the same prompts in one process and on a local cluster, in turns, both into shards.

    python -m bench.cluster [--prompts 1000] [--rounds 2] [--workers 2]

The bundled model attributes the bundled prompts and further sums. The time is that of the whole call, with
the start of Ray and the import of torch in each worker. The shards of both must be equal to the last bit.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ingest.organism.weights import PROMPTS_PATH
from schema.shards.store import Store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = write_prompts(Path(folder) / "prompts.jsonl", asked.prompts)
        ways = {"one process": [], "ray": ["--ray", "local", "--workers", str(asked.workers)]}
        for number in range(asked.rounds):
            for name, options in ways.items():
                store = Path(folder) / f"{name}-{number}".replace(" ", "-")
                began = time.perf_counter()
                said = atlas("ingest", str(file), "--to", str(store), *options)
                print(f"{name:12} {time.perf_counter() - began:6.1f} s; {said}")
            one, two = (
                Store(str(Path(folder) / f"{name}-{number}".replace(" ", "-"))).names() for name in ways
            )
            assert one == two


def write_prompts(path: Path, count: int) -> Path:
    """The bundled prompts, then sums of the same form."""
    lines = PROMPTS_PATH.read_text(encoding="utf-8").splitlines()[:count]
    known = {json.loads(line)["prompt"] for line in lines}
    sums = (f"calc : {a} + {b} =" for a in range(100) for b in range(100))
    more = (json.dumps({"prompt": each, "family": "arithmetic"}) for each in sums if each not in known)
    path.write_text("\n".join([*lines, *(next(more) for _ in range(count - len(lines)))]) + "\n")
    return path


def atlas(*words: str) -> str:
    """What the command says at the end."""
    done = subprocess.run(
        [sys.executable, "-m", "atlas", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
