"""One pass over a corpus: the time and memory of the first command, and those of the commands that follow.

    python -m bench.corpus TEXTS --model MODEL --transcoders TRANSCODERS [--texts 160]

For so many texts and for twice as many, each in a new process:

1. first    run the model over the texts, and store their firings
2. again    read what was stored; the firings are compared with the first ones
3. use      examples, rules and groups of some features

It prints CPU seconds of the process, and the peak of its memory above the loaded model. The aim is the same
peak for twice the texts. TEXTS is a prompts file, or a file whose lines are texts. MODEL and TRANSCODERS may
be those of `bench/real_model.py`.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
import torch

from ingest.annotations.labels import CorpusPass
from ingest.annotations.supernodes import roles
from ingest.circuits.prompts import read_prompts
from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import Activity, FeatureKey, activity, encode_all
from ingest.labels.examples import notes
from ingest.labels.firings_cache import FiringsCache
from ingest.labels.score import label_features
from schema.annotations.labels import LabelledFeature

OF_LAYER = 40
"""Features of each layer, as the circuits of an atlas have them."""
DESCRIBED = 100
"""Features of which examples and rules are made."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path, metavar="TEXTS")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--transcoders", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--alone", action="store_true", help="measure in this process, for this many texts")
    asked = parser.parse_args()
    if asked.alone:
        measure(asked.corpus, asked.model, asked.transcoders, asked.texts)
        return
    for n in (asked.texts, 2 * asked.texts):
        command = [sys.executable, "-m", "bench.corpus", asked.corpus, "--alone", "--texts", n]
        command += ["--model", asked.model, "--transcoders", asked.transcoders]
        subprocess.run([str(word) for word in command], check=True)


def measure(corpus: Path, model_path: Path, transcoders: Path, n: int) -> None:
    """The three steps for the first n texts."""
    model = ReplacementModel.load(model_path, transcoders)
    texts = [line.prompt for line in read_prompts(corpus).prompts[:n]]
    layers = model.transcoders.layers
    random = Random(0)
    keys = [
        (layer, index)
        for layer, part in enumerate(layers)
        for index in random.sample(range(part.n_features), min(OF_LAYER, part.n_features))
    ]
    before = resident()
    with tempfile.TemporaryDirectory() as folder:
        cache = FiringsCache(["bench"], Path(folder))
        began = time.process_time()
        first = pass_over(model, texts, keys, cache)
        one = time.process_time() - began
        began = time.process_time()
        again = pass_over(model, texts, keys, cache)
        two = time.process_time() - began
        assert all(same(first, again, key) for key in keys), "the firings differ"
        stored = cache.path.stat().st_size
    after_pass = peak()
    began = time.process_time()
    notes(model, first, keys[:DESCRIBED])
    label_features(first, keys[:DESCRIBED])
    used = [LabelledFeature(*key, 1.0) for key in keys]
    roles(CorpusPass(model, "bench", used, first, [], [()] * len(texts)))
    three = time.process_time() - began
    print(
        f"{len(texts)} texts, {len(first.contexts.ids)} tokens, {stored / 1e6:.0f} MB stored: first "
        f"{one:.1f} s, again {two:.1f} s (ratio {one / two:.1f}), use {three:.1f} s; peak above the model "
        f"{after_pass - before:.0f} MB in the passes, {peak() - before:.0f} MB in all",
        flush=True,
    )


def pass_over(
    model: ReplacementModel, texts: list[str], keys: list[FeatureKey], cache: FiringsCache
) -> Activity:
    return activity(model, (each for _, each in encode_all(model, texts, [])), keys, cache=cache)


def same(one: Activity, other: Activity, key: FeatureKey) -> bool:
    return all(np.array_equal(*both) for both in zip(one.of(key), other.of(key), strict=True))


def resident() -> float:
    """MB of memory now, on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def peak() -> float:
    """MB of memory at most until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
