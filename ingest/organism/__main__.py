"""`python -m ingest.organism train | transcoder | evaluate | all | follow`: rebuilds the bundled model."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from transformers import LlamaForCausalLM
from transformers.utils import logging

from ingest.engine.transcoders.formats import recognise
from ingest.engine.transcoders.save import save
from ingest.organism.agreement import agreement, layer_report
from ingest.organism.evaluate import accuracy, gated, two_hop_lens
from ingest.organism.prompts import choose, write_prompts
from ingest.organism.train import STEPS, train
from ingest.organism.transcoder import train_transcoder
from ingest.organism.weights import CHECKPOINTS_DIR, PROMPTS_PATH, WEIGHTS_DIR
from schema.counted import counted

SHIPPED = "clt"  # folder of the transcoder that ships
FOLLOW_STEPS = 200
THREADS = 2
# Folder: features of a layer, mean active features of a token, steps.
WIDTHS = {"clt": (1536, 48, 1800), "clt-narrow": (768, 48, 1500)}

app = typer.Typer(help="Train and measure the bundled model and its transcoders.", no_args_is_help=True)
console = Console()
Out = Annotated[Path, typer.Option(help="Folder for lm/, clt/ and measured.json.")]
Seed = Annotated[int, typer.Option(help="Seed of weights, batches and resampling.")]
Checkpoints = Annotated[Path, typer.Option(help="Folder for the checkpoints of the language model.")]
Steps = Annotated[
    int, typer.Option(help="Training steps of the language model. Use fewer for experiments only.")
]


@app.callback()
def fix_threads() -> None:
    """Fix the number of PyTorch's threads, because it decides the last bits of the weights."""
    torch.set_num_threads(THREADS)


def load_model(out: Path) -> LlamaForCausalLM:
    """Load the saved language model in float32."""
    return LlamaForCausalLM.from_pretrained(
        out / "lm", dtype=torch.float32, attn_implementation="eager"
    ).eval()


@app.command("train")
def train_command(
    out: Out = WEIGHTS_DIR, seed: Seed = 0, checkpoints: Checkpoints = CHECKPOINTS_DIR, steps: Steps = STEPS
) -> None:
    """Train the language model. Writes lm/ and the checkpoints."""
    train(out / "lm", checkpoints, seed, steps)


@app.command("transcoder")
def transcoder_command(
    out: Out = WEIGHTS_DIR,
    seed: Seed = 0,
    only: Annotated[str | None, typer.Option(help=f"One of {', '.join(WIDTHS)}; both by default.")] = None,
    scale: Annotated[
        float, typer.Option(help="Factor on the number of steps. Use less than 1 for experiments only.")
    ] = 1.0,
) -> None:
    """Train the transcoder in two widths. Writes clt/ and clt-narrow/."""
    if only is not None and only not in WIDTHS:
        raise typer.BadParameter(f"there is no transcoder {only!r}; choose one of {', '.join(WIDTHS)}")
    for name, (width, k, steps) in WIDTHS.items():
        if only in (None, name):
            clt = train_transcoder(load_model(out), width, k, max(2, round(steps * scale)), seed)
            save(clt, out / name)


@app.command("follow")
def follow_command(
    out: Out = WEIGHTS_DIR,
    seed: Seed = 0,
    checkpoints: Checkpoints = CHECKPOINTS_DIR,
    steps: Annotated[int, typer.Option(help="Training steps at each checkpoint.")] = FOLLOW_STEPS,
) -> None:
    """Train a transcoder for every checkpoint, starting from the transcoder of the next checkpoint.

    The command goes from the last checkpoint to the first and writes step-…/clt/. Existing transcoders are
    kept.
    """
    width, k, _ = WIDTHS[SHIPPED]
    following = recognise.read(out / SHIPPED)
    for folder in sorted(checkpoints.glob("step-*"), reverse=True):
        if not (folder / SHIPPED / "config.yaml").exists():
            console.print(f"{folder.name}:")
            model = LlamaForCausalLM.from_pretrained(
                folder, dtype=torch.float32, attn_implementation="eager"
            ).eval()
            save(train_transcoder(model, width, k, steps, seed, following), folder / SHIPPED)
        following = recognise.read(folder / SHIPPED)


@app.command("evaluate")
def evaluate_command(
    out: Out = WEIGHTS_DIR,
    prompts: Annotated[Path, typer.Option(help="File to write the bundled prompts to.")] = PROMPTS_PATH,
) -> None:
    """Measure the saved model and transcoders, and choose the bundled prompts.

    Prints the figures and writes measured.json.
    """
    model = load_model(out)
    measured: dict[str, Any] = {"accuracy": {k: v._asdict() for k, v in accuracy(model).items()}}
    measured["two-hop"] = {
        ask: [r._asdict() for r in two_hop_lens(model, ask)] for ask in ("capital", "code")
    }
    measured["gates"] = {family: found._asdict() for family, found in gated(model).items()}
    for name in WIDTHS:
        if (out / name / "config.yaml").exists():
            clt = recognise.read(out / name)
            measured[name] = {
                "width": clt.n_features,
                "agreement": {k: v._asdict() for k, v in agreement(model, clt).items()},
                "layers": [r._asdict() for r in layer_report(model, clt)],
            }
    rounded = json.loads(json.dumps(measured), parse_float=lambda x: round(float(x), 4))
    (out / "measured.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")
    show(rounded)
    chosen = choose(model)
    write_prompts(chosen, prompts)
    console.print(f"{counted(len(chosen), 'prompt')} in {prompts}")


@app.command("all")
def all_command(out: Out = WEIGHTS_DIR, seed: Seed = 0, checkpoints: Checkpoints = CHECKPOINTS_DIR) -> None:
    """Train and measure everything. Takes less than 75 minutes on two CPU cores."""
    started = time.monotonic()
    train_command(out, seed, checkpoints)
    transcoder_command(out, seed)
    evaluate_command(out, PROMPTS_PATH if out == WEIGHTS_DIR else out / "prompts.jsonl")
    console.print(f"{(time.monotonic() - started) / 60:.0f} minutes in total")


def show(measured: dict[str, Any]) -> None:
    """Print the figures as Markdown tables for the model card."""
    names = [n for n in WIDTHS if n in measured]
    lines = ["| family | accuracy | n | " + " | ".join(f"agreement {n}" for n in names) + " |"]
    lines.append("|---" * (3 + len(names)) + "|")
    for family, score in measured["accuracy"].items():
        cells = [f"{measured[n]['agreement'][family]['share']:.3f}" for n in names]
        lines.append("| " + " | ".join([family, f"{score['share']:.3f}", str(score["n"]), *cells]) + " |")
    cells = [f"{measured[n]['agreement']['all']['share']:.3f}" for n in names]
    lines.append("| " + " | ".join(["mean of families", "", "", *cells]) + " |")
    tables = {f"two-hop {ask}": rows for ask, rows in measured["two-hop"].items()}
    tables["gates"] = [{"family": family} | row for family, row in measured["gates"].items()]
    tables |= {f"{n} ({measured[n]['width']} features a layer)": measured[n]["layers"] for n in names}
    for title, rows in tables.items():
        lines += ["", title, "", "| " + " | ".join(k.replace("_", " ") for k in rows[0]) + " |"]
        lines.append("|---" * len(rows[0]) + "|")
        lines += [
            "| " + " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in r.values()) + " |"
            for r in rows
        ]
    console.print("\n".join(lines), markup=False, soft_wrap=True)


if __name__ == "__main__":
    logging.disable_progress_bar()
    app()
