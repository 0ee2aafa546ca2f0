"""The highest memory of the commands that run the model on stored circuits, above that of the loaded model.

    python -m bench.peaks PROMPTS --model MODEL --transcoders TRANSCODERS [--families 2] [--circuits 4]

Each command runs in a process of its own, with two threads and a database of its own:

1. model    only load the model: what the others are compared with
2. ingest   PROMPTS of the first families, with heads, 300 features a graph
3. ablate, diagnose    the first circuits of each family
4. components          the study, on the same prompts

The aim is at most 1.5 GB above the model, whatever the number of circuits. PROMPTS, MODEL and TRANSCODERS may
be those of `bench/real_model.py`. Memory is the highest resident memory of the process, on Linux.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from atlas.local.server import LocalServer
from bench.homes import start
from ingest.circuits.prompts import read_prompts

AIM = 1500
"""MB above the model."""
FEATURES = ("--max-feature-nodes", "300")
LOAD = """
import sys, psutil
from ingest.engine.replacement.model import ReplacementModel
model = ReplacementModel.load(*sys.argv[1:])
print(psutil.Process().memory_info().rss)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("prompts", type=Path, metavar="PROMPTS")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--transcoders", type=Path, required=True)
    parser.add_argument("--families", type=int, default=2, help="families of PROMPTS that are used")
    parser.add_argument("--circuits", type=int, default=4, help="circuits of each family that are measured")
    asked = parser.parse_args()
    model, transcoders = asked.model.resolve(), asked.transcoders.resolve()
    which = ["--model", model, "--transcoders", transcoders]
    each = ["--limit", asked.circuits]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        prompts = some_families(asked.prompts, asked.families, Path(folder))
        start(home, 512)
        try:
            environment = {**os.environ, "ATLAS_HOME": str(home), "OMP_NUM_THREADS": "2"}
            loaded = subprocess.run(
                [sys.executable, "-c", LOAD, model, transcoders],
                env=environment,
                check=True,
                capture_output=True,
            )
            alone = int(loaded.stdout) / 1e6
            print(f"model: {alone:.0f} MB", flush=True)
            for name, words in (
                ("ingest", ["ingest", prompts, *which, *FEATURES, "--heads"]),
                ("ablate", ["ablate", *which, *each]),
                ("diagnose", ["diagnose", *which, *each]),
                (
                    "components",
                    [
                        *("study", "run", "components", *which, *FEATURES),
                        *("--prompts", prompts, "--results", Path(folder) / "results"),
                    ],
                ),
            ):
                began = time.monotonic()
                above = peak(["-m", "atlas", *words], environment) - alone
                said = "" if above <= AIM else f" (more than {AIM})"
                print(f"{name}: {above:.0f} MB above it{said}, {time.monotonic() - began:.0f} s", flush=True)
        finally:
            LocalServer(home).stop()


def some_families(prompts: Path, n: int, folder: Path) -> Path:
    """A prompts file with the lines of the first n families."""
    families = list(dict.fromkeys(line.family for line in read_prompts(prompts).prompts))[:n]
    lines = prompts.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.strip() and json.loads(line).get("family") in families]
    file = folder / "prompts.jsonl"
    file.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return file


def peak(words: list[object], environment: dict[str, str]) -> float:
    """MB of memory at most of a Python process. Raises SystemExit when it fails.

    A command that names circuits which it cannot measure has measured the others, and ends with 1.
    """
    process = subprocess.Popen([sys.executable, *map(str, words)], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if (code := os.waitstatus_to_exitcode(status)) not in (0, 1):
        raise SystemExit(f"{' '.join(map(str, words[:4]))} ended with {code}")
    return used.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
