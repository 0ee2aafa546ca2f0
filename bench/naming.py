"""Naming features in batches beside one at a time, and the share of attribution in an ingest.

    python -m bench.naming PROMPTS --model MODEL --transcoders TRANSCODERS --home FOLDER [--features 300]

1. The names of the same features, 256 together and one at a time, are compared, and then timed in turns.
2. The prompts are ingested into a new database, and the time of each part is printed. FOLDER becomes an
   ATLAS_HOME, and its previous contents are lost.

Times are CPU seconds of one thread.

MODEL and TRANSCODERS may be those of `bench/real_model.py`.
"""

import argparse
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from atlas.local.server import LocalServer
from bench.homes import start
from ingest.circuits import run
from ingest.circuits.run import Attributor, IngestSettings, ingest
from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import FeatureKey
from ingest.labels.promoted import promoted, written
from schema.database import Database
from schema.upkeep.migrations import migrate

TOGETHER = 256
ROUNDS = 5
SPENT: dict[str, float] = defaultdict(float)
"""Part of the ingest → CPU seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--transcoders", type=Path, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--features", type=int, default=300, help="feature nodes of a graph")
    asked = parser.parse_args()
    # With one thread, its CPU time counts all of the work, whatever else the machine does.
    torch.set_num_threads(1)
    compare(ReplacementModel.load(asked.model, asked.transcoders))
    shutil.rmtree(asked.home, ignore_errors=True)
    asked.home.mkdir(parents=True)
    address = start(asked.home, 1000)
    try:
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            migrate(database)
            settings = IngestSettings(
                asked.prompts, asked.model, asked.transcoders, max_feature_nodes=asked.features
            )
            shares(database, settings)
    finally:
        LocalServer(asked.home).stop()


def compare(model: ReplacementModel) -> None:
    """Names together and one at a time: equal, then timed in turns."""
    layers = model.transcoders.layers
    keys = [(n % len(layers), n // len(layers)) for n in range(TOGETHER)]
    keys = [key for key in keys if key[1] < layers[key[0]].n_features]
    together, alone = together_of(model, keys), alone_of(model, keys)
    assert together == alone, "the names differ"
    times: dict[str, list[float]] = {"alone": [], "together": []}
    for _ in range(ROUNDS):
        times["alone"].append(busy(lambda: alone_of(model, keys[:32])) / 32)
        times["together"].append(busy(lambda: together_of(model, keys)) / len(keys))
    one, batch = median(times["alone"]), median(times["together"])
    print(
        f"{len(keys)} features, equal: {1e3 * one:.2f} ms each alone, {1e3 * batch:.2f} ms each together, "
        f"ratio {one / batch:.1f}",
        flush=True,
    )


def busy(work: Callable[[], object]) -> float:
    """CPU seconds that a call takes in this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def together_of(model: ReplacementModel, keys: list[FeatureKey]) -> list[list[int]]:
    found: list[list[int]] = promoted(model, written(model, keys), 3).tolist()
    return found


def alone_of(model: ReplacementModel, keys: list[FeatureKey]) -> list[list[int]]:
    return [row for key in keys for row in together_of(model, [key])]


def shares(database: Database, settings: IngestSettings) -> None:
    """Ingest, and print the time of each part of the main thread; loading runs beside it."""
    timed_part(Attributor, "prune", "prune")
    timed_part(Attributor, "circuit", "convert, name and group")
    timed_part(run.Namer, "over", "count firings")
    graphs = Attributor.graphs

    def attributed(self: Attributor, group: list[Any]) -> Iterator[Any]:
        found = graphs(self, group)
        while True:
            began = time.thread_time()
            graph = next(found, None)
            SPENT["attribute"] += time.thread_time() - began
            if graph is None:
                return
            yield graph

    Attributor.graphs = attributed  # type: ignore[method-assign]
    timed_part(IngestSettings, "load_model", "load the model")
    began = time.thread_time()
    summary = ingest(database, settings, console=Console(quiet=True))
    print(summary.sentence())
    assert not summary.problems
    whole = time.thread_time() - began - SPENT.pop("load the model")
    for name, seconds in (*SPENT.items(), ("anything else", whole - sum(SPENT.values()))):
        print(f"{name:>24}: {seconds:6.2f} s, {seconds / whole:.1%} of the time after loading the model")


def timed_part(owner: Any, name: str, part: str) -> None:
    """Let a function add its duration to `SPENT`."""
    function: Callable[..., Any] = getattr(owner, name)

    def wrapped(*given: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*given, **named)
        finally:
            SPENT[part] += time.thread_time() - began

    setattr(owner, name, wrapped)


if __name__ == "__main__":
    main()
