"""Comparison of two attributors, each in its own process: first their graphs, then their times in turns."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).parent
PEER = HERE / ".peer"
PEER_PACKAGES = ("circuit-tracer==0.5.0", "nnsight==0.6.1", "transformers<=4.57.3")
ENVIRONMENTS = {"our": Path(sys.executable), "peer": PEER / "bin" / "python"}

Prompt = Sequence[int]
"""Vocabulary ids."""


class Worker:
    """A process that attributes prompts on command."""

    def __init__(self, side: str, *settings: object) -> None:
        command = [ENVIRONMENTS[side], HERE / f"{side}_attribution.py", *settings]
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
            raise SystemExit(f"The worker {self.process.args} ended; its error is above")
        answer: dict[str, float] = json.loads(line)
        return answer

    def graph(self, prompt: Prompt) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The tensors of a graph, and the time and memory that it took."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "graph.safetensors"
            took = self.ask({"ids": list(prompt), "save": str(path)})
            return load_file(path), took


class Race:
    """This engine and circuit-tracer on one model."""

    def __init__(self, model: Path, transcoders: Path, *, threads: int, limit: int, peer_batch: int) -> None:
        """Start both workers, and install circuit-tracer if needed.

        limit: feature nodes per graph, 0 for all. peer_batch: batch size of circuit-tracer, in targets.
        """
        if not ENVIRONMENTS["peer"].exists():
            subprocess.run([sys.executable, "-m", "venv", PEER], check=True)
            subprocess.run([PEER / "bin" / "pip", "install", "--quiet", *PEER_PACKAGES], check=True)
        self.ours = Worker("our", model, transcoders, threads, limit)
        self.peer = Worker("peer", model, transcoders, threads, limit, peer_batch)

    def compare(self, prompts: Sequence[Prompt]) -> None:
        """Compare every edge between nodes that both chose, relative to the target's largest edge."""
        worst, chosen, common = 0.0, 0, 0
        for prompt in prompts:
            (ours, our_cost), (theirs, their_cost) = self.ours.graph(prompt), self.peer.graph(prompt)
            for name, cost in (("ours", our_cost), ("circuit-tracer", their_cost)):
                rounded = {key: round(value, 1) for key, value in cost.items()}
                print(f"{name:>15}: the first graph, which warms up: {rounded}", flush=True)
            assert torch.equal(theirs["active"].long(), ours["active"]), "the active features differ"
            assert torch.equal(theirs["logits"].long(), ours["logits"]), "the salient logits differ"
            both = ours["selected"][torch.isin(ours["selected"], theirs["selected"])]
            edges, size = _among(ours, both)
            other, _ = _among(theirs, both)
            worst = max(worst, float(((edges - other).abs() / size).max()))
            chosen, common = chosen + len(ours["selected"]), common + len(both)
        print(f"{len(prompts)} graphs compared: {common} of {chosen} features chosen by both,")
        print(f"edges differ by at most {worst:.1e} of the target's largest", flush=True)
        assert worst < 1e-4, "the effects differ"
        assert common >= 0.999 * chosen, "the chosen features differ"

    def run(self, prompts: Sequence[Prompt], rounds: int) -> None:
        workers = {"ours": self.ours, "circuit-tracer": self.peer}
        if not rounds:
            return
        rates: dict[str, list[float]] = {name: [] for name in workers}
        work: dict[str, list[float]] = {name: [] for name in workers}
        peaks = {}
        for _ in range(rounds):
            for name, worker in workers.items():
                answer = worker.ask([list(prompt) for prompt in prompts])
                rates[name].append(len(prompts) / answer["seconds"])
                work[name].append(answer["cpu_seconds"] / len(prompts))
                peaks[name] = answer["peak_mb"]
        for name, found in rates.items():
            all_rounds = ", ".join(f"{rate:.4g}" for rate in found)
            print(
                f"{name:>15}: {median(found):.4g} graphs/s (rounds: {all_rounds}), "
                f"{median(work[name]):.3g} CPU seconds a graph, peak {peaks[name]:.0f} MB"
            )
        ratios = [a / b for a, b in zip(rates["ours"], rates["circuit-tracer"], strict=True)]
        busy = median(work["circuit-tracer"]) / median(work["ours"])
        memory = peaks["ours"] / peaks["circuit-tracer"]
        print(f"ratio {median(ratios):.1f} × as fast, {busy:.1f} × by CPU time, {memory:.2f} × the memory")


def _among(graph: dict[str, Tensor], features: Tensor) -> tuple[Tensor, Tensor]:
    """The effects among chosen features and all other nodes, and the largest effect on each target."""
    # circuit-tracer has its own order of selected features.
    selected, order = torch.sort(graph["selected"])
    matrix = graph["adjacency"]
    place = order[torch.searchsorted(selected, features)]
    place = torch.cat([place, torch.arange(len(selected), len(matrix))])
    found = matrix[place[:, None], place]
    return found, found.abs().amax(1, keepdim=True).clamp(min=1e-30)
