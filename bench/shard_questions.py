"""A question over all circuits without a database: `recurringEdges` by polars, on synthetic shards.

    python -m bench.shard_questions --folder FOLDER [--circuits 2000] [--shape small]

1. write   shards into FOLDER, unless it has them
2. partial for each shard: the effect of each feature on each other feature in each circuit (summed over
           positions), then count, sum, sum of squares and signs of each pair. Only one shard is in memory
3. merge   the pairs of all shards, every 32 shards
4. check   the first pairs against sums that were made from the records, without polars

Times are CPU seconds of this process, with one thread.
"""

import argparse
import math
import os
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

from bench import synthetic
from bench.bulk import SHAPES
from schema.circuit.records import Circuit, NodeKind
from schema.shards.folder import SHARD_PROMPTS, packed
from schema.shards.store import Store

PAIR = ["source_layer", "source_index", "target_layer", "target_index"]
EVERY = 32
"""Shards whose pairs are merged together."""
CHECKED = 256
"""Circuits at most whose pairs are checked against the records."""

Pair = tuple[int | None, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--circuits", type=int, default=2000)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    asked = parser.parse_args()
    circuits = write(asked.folder, asked.circuits, asked.shape)
    files = sorted(asked.folder.glob("*.parquet"))
    n_checked = min(CHECKED, asked.circuits) // SHARD_PROMPTS * SHARD_PROMPTS
    check(pairs(files[: n_checked // SHARD_PROMPTS]), circuits[:n_checked])
    began = time.process_time()
    found = pairs(files)
    first = found.sort(["n", *PAIR], descending=[True, *[False] * 4]).head(20)
    took = time.process_time() - began
    size = sum(each.stat().st_size for each in files)
    print(f"{asked.circuits} circuits, {len(files)} shards, {size / 1e6:.0f} MB")
    print(f"{len(found)} pairs; the most frequent is in {first['n'][0]} circuits")
    print(f"{took:.1f} CPU seconds, {asked.circuits / took:.0f} circuits/s")


def write(folder: Path, count: int, shape: str) -> list[Circuit]:
    """Write shards; return the circuits to check."""
    store, kept, waiting = Store(str(folder)), [], []
    store.create()
    written = bool(store.names())
    for number, circuit in enumerate(synthetic.circuits(count, SHAPES[shape])):
        if number == count or (written and number == CHECKED):
            break
        kept += [circuit] if number < CHECKED else []
        waiting.append((number, circuit))
        if not written and (len(waiting) == SHARD_PROMPTS or number == count - 1):
            for name, data in packed(waiting, synthetic.RUN):
                store.put(name, data)
            waiting = []
    return kept


def pairs(files: list[Path]) -> pl.DataFrame:
    """Count, sum, sum of squares and number of positive effects of each pair of features."""
    merged: pl.DataFrame | None = None
    for start in range(0, len(files), EVERY):
        parts = [partial(file) for file in files[start : start + EVERY]]
        together = pl.concat(parts if merged is None else [merged, *parts])
        merged = together.group_by(PAIR).agg(pl.col("n", "sum", "squares", "positive").sum())
    assert merged is not None
    return merged


def partial(file: Path) -> pl.DataFrame:
    """The same for one shard."""
    shard = pl.read_parquet(file, columns=["nodes", "edges"]).with_row_index("circuit")
    nodes = (
        shard.select("circuit", "nodes", place=pl.int_ranges(pl.col("nodes").list.len()))
        .explode("nodes", "place")
        .select("circuit", "place", pl.col("nodes").struct.field("kind", "layer", "index"))
        .filter(pl.col("kind") == NodeKind.FEATURE.value)
    )

    def ends(name: str) -> pl.DataFrame:
        return nodes.select(
            "circuit",
            pl.col("place").alias(name),
            pl.col("layer").alias(f"{name}_layer"),
            pl.col("index").alias(f"{name}_index"),
        )

    return (
        shard.select("circuit", "edges")
        .explode("edges")
        .select("circuit", pl.col("edges").struct.field("source", "target", "weight"))
        .join(ends("source"), on=["circuit", "source"])
        .join(ends("target"), on=["circuit", "target"])
        .group_by("circuit", *PAIR)
        .agg(pl.col("weight").sum())
        .group_by(PAIR)
        .agg(
            n=pl.len().cast(pl.Int64),
            sum=pl.col("weight").sum(),
            squares=(pl.col("weight") ** 2).sum(),
            positive=(pl.col("weight") > 0).sum().cast(pl.Int64),
        )
    )


def check(found: pl.DataFrame, circuits: list[Circuit]) -> None:
    """Compare every pair with sums over the records."""
    weights: defaultdict[Pair, list[float]] = defaultdict(list)
    for circuit in circuits:
        own: defaultdict[Pair, float] = defaultdict(float)
        for edge in circuit.edges:
            source, target = circuit.nodes[edge.source], circuit.nodes[edge.target]
            if source.kind is NodeKind.FEATURE and target.kind is NodeKind.FEATURE:
                own[source.layer, source.index, target.layer, target.index] += edge.weight
        for pair, weight in own.items():
            weights[pair].append(weight)
    assert len(found) == len(weights)
    for *pair, n, total, squares, positive in found.select(*PAIR, "n", "sum", "squares", "positive").rows():
        values = weights[tuple(pair)]
        assert (n, positive) == (len(values), sum(value > 0 for value in values))
        assert math.isclose(total, math.fsum(values), rel_tol=1e-9, abs_tol=1e-9)
        assert math.isclose(
            squares, math.fsum(value * value for value in values), rel_tol=1e-9, abs_tol=1e-12
        )


if __name__ == "__main__":
    main()
