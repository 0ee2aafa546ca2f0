"""How long the atlas takes until it does something: `atlas --help`, `atlas query`, and loading a model.

Usage: python bench/startup.py [--rounds N] [--imports] [--model-only]

Commands run in processes of their own, one after the other in each round; the best wall time and the CPU time
of that run are printed. `atlas query` asks a port where nothing listens, so that no server's time counts.
--imports prints what took longest to import, as `python -X importtime` measures it. The model is a random
Llama of the shape of SmolLM2-135M (538 MB as float32); it is loaded and identified twice, first without and
then with a kept hash of its weights.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QUESTION = "{ families { name } }"
SMOLLM2 = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
SLOWEST = 15
"""Imports that are printed."""


def commands(question: Path) -> dict[str, list[str]]:
    return {
        "atlas --help": ["--help"],
        "atlas query": ["query", str(question), "--api", "http://127.0.0.1:9/graphql"],
    }


def run(words: list[str], *flags: str) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds, and the standard error output of one command."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *flags, "-m", "atlas", *words], capture_output=True, text=True, check=False
    )
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, done.stderr


def time_commands(rounds: int, *, imports: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        question = Path(folder) / "question.graphql"
        question.write_text(QUESTION, encoding="utf-8")
        times: dict[str, list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for name, words in commands(question).items():
                times.setdefault(name, []).append(run(words)[:2])
        for name, found in times.items():
            wall, cpu = min(found)
            print(f"{name}: {wall:.2f} s, of which {cpu:.2f} s on a core (best of {rounds})")
        if imports:
            for name, words in commands(question).items():
                print(f"{name}: what took longest to import, with what it imports itself")
                rows = re.findall(
                    r"import time:\s+\d+ \|\s+(\d+) \|\s*(\S+)", run(words, "-X", "importtime")[2]
                )
                for spent, module in sorted(((int(a), b) for a, b in rows), reverse=True)[:SLOWEST]:
                    print(f"  {spent / 1000:6.0f} ms  {module}")


def time_model() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from ingest.circuits.convert import model_record
    from ingest.engine.replacement.model import ReplacementModel

    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(LlamaConfig(**SMOLLM2)).save_pretrained(folder)
        core = Tokenizer(WordLevel({"<bos>": 0, "<unk>": 1}, unk_token="<unk>"))
        PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<bos>", unk_token="<unk>").save_pretrained(
            folder
        )
        old = time.time() - 3600
        for path in Path(folder).iterdir():
            os.utime(path, (old, old))  # as it is with every model but one that was written just now
        for when in ("first", "second"):
            begin = time.perf_counter()
            model = ReplacementModel.load(folder, None)
            loaded = time.perf_counter()
            model_record(model)
            print(
                f"a model of SmolLM2's shape, the {when} time: loaded in {loaded - begin:.2f} s, "
                f"identified in {time.perf_counter() - loaded:.2f} s"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--imports", action="store_true")
    parser.add_argument("--model-only", action="store_true")
    given = parser.parse_args()
    if not given.model_only:
        time_commands(given.rounds, imports=given.imports)
    time_model()
