"""Cost of an attribution graph by prompt length, number of active features, and batch size.

    python bench/cost.py

It uses the bundled model, random tokens and one thread. It measures CPU seconds, so that other work on the
machine matters little, and takes the least of several repeats. It writes the table into `docs/performance.md`
and the plot next to that page.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import torch
from llama import random_prompts
from torch.profiler import ProfilerActivity, profile

from ingest.engine.attribution.attribute import BATCH_SIZE, attribute
from ingest.engine.replacement.model import ReplacementModel
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR

matplotlib.use("svg")
import matplotlib.pyplot as plt

DOCS = Path(__file__).parents[1] / "docs"
MARK = "<!-- written by bench/cost.py -->\n"
REPEATS = 3
LENGTH = 32
PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm")


class Cost(NamedTuple):
    """The cost of one graph."""

    varied: str
    value: int
    """The varied quantity: positions, active features, or targets that walk together."""
    n_positions: int
    n_active: int
    seconds: float
    """CPU seconds."""
    products: float
    """Share of the CPU time in matrix products, 0 … 1."""


def main() -> None:
    torch.set_num_threads(1)
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    prompt = random_prompts(1, 64)[0]
    found = [measure(model, prompt[:n], "positions") for n in (8, 16, 32, 48, 64)]
    for raised in (0.0, 0.25, 0.5, 1.0, 2.0):
        found.append(measure(fewer(model, raised), prompt[:LENGTH], "active features"))
    for size in (8, 32, 128, 512, 2048):
        found.append(measure(model, prompt[:LENGTH], "targets together", batch_size=size))
    page = DOCS / "performance.md"
    before, _, after = page.read_text(encoding="utf-8").split(MARK)
    page.write_text(before + MARK + table(found) + MARK + after, encoding="utf-8")
    draw(found, DOCS / "performance.svg")


def fewer(model: ReplacementModel, raised: float) -> ReplacementModel:
    """The model with raised thresholds, so that fewer features are active."""
    layers = []
    for layer in model.transcoders.layers:
        assert layer.threshold is not None
        layers.append(dataclasses.replace(layer, threshold=layer.threshold + raised))
    return dataclasses.replace(
        model, transcoders=dataclasses.replace(model.transcoders, layers=tuple(layers))
    )


def measure(
    model: ReplacementModel, prompt: Sequence[int], varied: str, *, batch_size: int = BATCH_SIZE
) -> Cost:
    def run() -> int:
        return attribute(model, prompt, batch_size=batch_size).n_active

    n_active = run()
    seconds = min(cpu_seconds(run) for _ in range(REPEATS))
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        run()
    events = watched.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    products = sum(event.self_cpu_time_total for event in events if event.key in PRODUCTS)
    value = {"positions": len(prompt), "active features": n_active, "targets together": batch_size}[varied]
    return Cost(varied, value, len(prompt), n_active, seconds, products / total)


def cpu_seconds(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def table(found: Sequence[Cost]) -> str:
    rows = [
        "",
        "| varied | positions | features | targets together | CPU ms | ms a 1000 features | products |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for one in found:
        together = one.value if one.varied == "targets together" else BATCH_SIZE
        each = one.seconds / max(1, one.n_active) * 1e6
        rows.append(
            f"| {one.varied} | {one.n_positions} | {one.n_active} | {together} | {one.seconds * 1e3:.0f} "
            f"| {each:.0f} | {one.products:.0%} |"
        )
    return "\n".join(rows) + "\n\n"


def draw(found: Sequence[Cost], path: Path) -> None:
    kinds = list(dict.fromkeys(one.varied for one in found))
    figure, axes = plt.subplots(1, len(kinds), figsize=(9, 2.8), sharey=True, layout="constrained")
    for axis, kind in zip(axes, kinds, strict=True):
        mine = sorted((one.value, one.seconds * 1e3) for one in found if one.varied == kind)
        axis.plot([value for value, _ in mine], [cost for _, cost in mine], marker="o")
        axis.set_xlabel(kind)
        axis.set_yscale("log")
        if kind == "targets together":
            axis.set_xscale("log", base=2)
    axes[0].set_ylabel("CPU ms a graph")
    # A fixed salt makes the file of the same numbers reproducible.
    plt.rcParams["svg.hashsalt"] = "cost"
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
