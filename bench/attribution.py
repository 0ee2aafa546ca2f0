"""Attribution graphs a second: ours against circuit-tracer, on the bundled model, paired.

    python bench/attribution.py [--prompts 50] [--rounds 3] [--threads 2]

The first call installs circuit-tracer into `bench/.peer`. Both compute unpruned graphs of the same prompts,
each in a process of its own, in turns; before any timing the graphs of three prompts are compared edge by
edge. The peer runs its nnsight backend, because its other one only takes models by their published names.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file

from ingest.engine.attribute import attribute_many
from ingest.engine.model import ReplacementModel
from ingest.engine.targets import DEFAULT
from ingest.organism.weights import MODEL_DIR, PROMPTS_PATH, TRANSCODERS_DIR

HERE = Path(__file__).parent
PEER = HERE / ".peer"
PEER_PACKAGES = ("circuit-tracer==0.5.0", "nnsight==0.6.1", "transformers<=4.57.3")
COMPARED = 3
GROUP = 16


class Worker:
    """A process that attributes when it is told to."""

    def __init__(self, *command: object) -> None:
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what: Any) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended; its error is above")
        answer: dict[str, float] = json.loads(line)
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-batch", type=int, default=256)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.ours:
        serve(asked.threads)
        return
    install()
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    lines = PROMPTS_PATH.read_text(encoding="utf-8").splitlines()
    every = max(1, len(lines) // asked.prompts)
    prompts = [model.encode(json.loads(line)["prompt"]).ids for line in lines[::every]][: asked.prompts]
    ours = Worker(sys.executable, __file__, "--ours", "--threads", asked.threads)
    script = HERE / "peer_attribution.py"
    peer = Worker(
        PEER / "bin" / "python", script, MODEL_DIR, TRANSCODERS_DIR, asked.threads, asked.peer_batch
    )
    compare(model, peer, prompts[:: len(prompts) // COMPARED][:COMPARED])
    for worker in (ours, peer):
        worker.ask(prompts[:GROUP])
    rates: dict[str, list[float]] = {"ours": [], "circuit-tracer": []}
    peaks = {}
    for _ in range(asked.rounds):
        for name, worker in (("ours", ours), ("circuit-tracer", peer)):
            answer = worker.ask(prompts)
            rates[name].append(len(prompts) / answer["seconds"])
            peaks[name] = answer["peak_mb"]
    for name, found in rates.items():
        rounds = ", ".join(f"{rate:.2f}" for rate in found)
        print(f"{name:>15}: {median(found):7.2f} graphs/s (rounds: {rounds}), peak {peaks[name]:.0f} MB")
    ratios = [a / b for a, b in zip(rates["ours"], rates["circuit-tracer"], strict=True)]
    print(f"ratio {median(ratios):.1f} × as fast, {peaks['ours'] / peaks['circuit-tracer']:.2f} × the memory")


def serve(threads: int) -> None:
    """Our worker: a line of prompts in, seconds and peak memory out."""
    import resource
    import time

    torch.set_num_threads(threads)
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    for line in sys.stdin:
        prompts = json.loads(line)
        started = time.perf_counter()
        for start in range(0, len(prompts), GROUP):
            group = prompts[start : start + GROUP]
            attribute_many(model, [(model.encode(ids), DEFAULT) for ids in group])
        answer = {
            "seconds": time.perf_counter() - started,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        }
        print(json.dumps(answer), flush=True)


def install() -> None:
    if not (PEER / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
        subprocess.run([PEER / "bin" / "pip", "install", "--quiet", *PEER_PACKAGES], check=True)


def compare(model: ReplacementModel, peer: Worker, prompts: list[Any]) -> None:
    """Every edge of some prompts, theirs against ours, relative to the target's largest."""
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for graph in attribute_many(model, [(model.encode(ids), DEFAULT) for ids in prompts]):
            path = Path(folder) / "graph.safetensors"
            peer.ask({"ids": list(graph.token_ids), "save": str(path)})
            theirs = load_file(path)
            assert torch.equal(theirs["active"].long(), graph.active), "other features are active"
            assert torch.equal(theirs["logits"].long(), graph.logit_ids), "other logits are salient"
            # Their selected features stand in another order.
            n, order = graph.n_features, torch.argsort(theirs["selected"])
            place = torch.cat([order, torch.arange(n, graph.n_nodes)])
            matrix = theirs["adjacency"][place[:, None], place]
            size = graph.adjacency.abs().amax(1, keepdim=True).clamp(min=1e-30)
            worst = max(worst, float(((matrix - graph.adjacency).abs() / size).max()))
    print(f"{len(prompts)} graphs compared: edges differ by at most {worst:.1e} of the target's largest")
    assert worst < 1e-4, "the two do not compute the same"


if __name__ == "__main__":
    main()
