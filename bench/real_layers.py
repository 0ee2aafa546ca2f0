"""FVU of single layers after one pass over the activations that a stopped training has recorded.

    python bench/real_layers.py OUT.training N_LAYERS WIDTH LAYER…

The last 6 000 tokens are held out. Prints the FVU with the skip connection alone, and after training.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ingest.training.scale import TokenActivations
from ingest.training.trainer import Schedule, Trainer

HELD_OUT, BATCH, FEATURES, L0, SAMPLE = 6000, 256, 1536, 64, 8192


def fvu(y: Tensor, guess: Tensor) -> float:
    """Fraction of variance unexplained. Both (token, width)."""
    return float((y - guess).square().sum() / (y - y.mean(0)).square().sum())


def main(work: Path, n_layers: int, width: int, layers: list[int]) -> None:
    """Train and measure each layer."""
    n = (work / "part-0/inputs.bin").stat().st_size // (2 * n_layers * width)
    files = [
        np.memmap(work / "part-0" / name, np.int16, "r", shape=(n_layers, n, width))
        for name in ("inputs.bin", "outputs.bin")
    ]
    for layer in layers:
        x, y = (torch.from_numpy(np.array(f[layer : layer + 1])).view(torch.bfloat16).float() for f in files)
        kept = n - HELD_OUT

        def tokens(at: Tensor, x: Tensor = x, y: Tensor = y) -> TokenActivations:
            return TokenActivations(x[:, at], y[:, at], torch.ones(len(at)))

        trainer = Trainer(tokens(torch.arange(SAMPLE)), FEATURES, layer, skip=True)
        (begun,) = trainer.export()
        schedule = Schedule(kept // BATCH, L0)
        order = torch.randperm(kept, generator=torch.Generator().manual_seed(0))
        for step in range(schedule.steps):
            trainer.step(tokens(order[step * BATCH : (step + 1) * BATCH]), schedule)
        (done,) = trainer.export()
        x, y = x[0, kept:], y[0, kept:]
        active = done.activate(x)
        print(
            f"layer {layer}: largest output {y.abs().max():.0f}, FVU of the skip connection alone "
            f"{fvu(y, begun.base(x)):.3f}, trained {fvu(y, active @ done.decoder[:, 0] + done.base(x)):.3f}, "
            f"L0 {(active != 0).sum(1).float().mean():.1f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), [int(word) for word in sys.argv[4:]])
