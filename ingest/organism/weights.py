"""Paths of the bundled model, its transcoders, its prompts and its checkpoints."""

from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS_DIR = HERE / "weights"
MODEL_DIR = WEIGHTS_DIR / "lm"
TRANSCODERS_DIR = WEIGHTS_DIR / "clt"
PROMPTS_PATH = HERE / "prompts.jsonl"
CHECKPOINTS_DIR = HERE.parents[1] / "checkpoints"
