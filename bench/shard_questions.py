"""Questions over all circuits by polars on synthetic shards, with and without aggregates in Neo4j.

    python -m bench.shard_questions --folder FOLDER [--circuits 2000] [--shape small] [--aggregates HOME]

1. write    shards into FOLDER, unless it has them
2. check    both questions below on the first circuits, against loops over the records without polars
3. recur    `recurringEdges`: for each shard the effect of each feature on each other feature in each circuit
            (summed over positions), then count, sum, sum of squares and signs of each pair; the pairs of 32
            shards at a time are merged
4. contrast `contrast { features }` of one family with all others: the influence of each feature in each
            circuit, then counts, means and AUROC of each feature
5. aggregates    with --aggregates: the pairs of step 3 become DRIVES between features of a new database in
            HOME, which holds no circuit; then the atlas's own Cypher for `recurringEdges` is asked, twice
            before it is timed, and its answer compared with the pairs. HOME loses its previous contents

Times are CPU seconds of this process, with one thread; memory is the highest of this process so far.
"""

import argparse
import math
import os
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import polars as pl

from atlas.local.admin import import_tables
from atlas.local.server import LocalServer
from bench import synthetic
from bench.bulk import SHAPES
from bench.homes import start
from schema.circuit.records import Circuit, NodeKind
from schema.database import Database
from schema.loading.bulk_table import Table
from schema.loading.effects import HALF, half
from schema.model.core import NODES, RELATIONSHIPS
from schema.questions.question import ask
from schema.questions.structure import RECURRING_EFFECTS
from schema.shards.folder import SHARD_PROMPTS, packed
from schema.shards.store import Store
from schema.upkeep.migrations import migrate

PAIR = ["source_layer", "source_index", "target_layer", "target_index"]
EVERY = 32
"""Shards whose pairs are merged together."""
CHECKED = 256
"""Circuits at most whose pairs are checked against the records."""

FEATURE = ["layer", "index"]
FAMILY = "family 0"
"""The family that is contrasted with all others."""

Pair = tuple[int | None, ...]
Answer = TypeVar("Answer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--circuits", type=int, default=2000)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--aggregates", type=Path, metavar="HOME")
    parser.add_argument("--heap", type=int, default=4000, help="of Neo4j, in MB")
    asked = parser.parse_args()
    circuits = write(asked.folder, asked.circuits, asked.shape)
    files = sorted(asked.folder.glob("*.parquet"))
    if len(files) != math.ceil(asked.circuits / SHARD_PROMPTS):
        raise SystemExit(f"{asked.folder} has {len(files)} shards of other circuits; name an empty folder")
    size = sum(each.stat().st_size for each in files)
    print(f"{asked.circuits} circuits, {len(files)} shards, {size / 1e6:.0f} MB", flush=True)
    n_checked = min(CHECKED, asked.circuits) // SHARD_PROMPTS * SHARD_PROMPTS
    checked = files[: n_checked // SHARD_PROMPTS]
    check_pairs(pairs(checked), circuits[:n_checked])
    check_contrast(contrast(checked, FAMILY), circuits[:n_checked])
    found = measured("recur", lambda: pairs(files), asked.circuits)
    first = found.sort(["n", *PAIR], descending=[True, *[False] * 4]).head(20)
    print(f"  {len(found)} pairs; the most frequent is in {first['n'][0]} circuits", flush=True)
    if asked.aggregates is not None:
        aggregates(found, asked.aggregates, asked.heap)
    del found, first
    found = measured("contrast", lambda: contrast(files, FAMILY), asked.circuits)
    best = found.sort("auroc", descending=True).row(0, named=True)
    print(f"  {len(found)} features; the highest AUROC is {best['auroc']:.3f} ({best['p']} circuits inside)")


def measured(name: str, work: Callable[[], Answer], circuits: int) -> Answer:
    began = time.process_time()
    answer = work()
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name}: {took:.1f} CPU seconds, {circuits / took:.0f} circuits/s, {peak:.1f} GB", flush=True)
    return answer


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
    for place in range(0, len(files), EVERY):
        parts = [partial(file) for file in files[place : place + EVERY]]
        together = pl.concat(parts if merged is None else [merged, *parts])
        merged = together.group_by(PAIR).agg(pl.col("n", "sum", "squares", "positive").sum())
    assert merged is not None
    return merged


def partial(file: Path) -> pl.DataFrame:
    """The same for one shard."""
    shard = pl.read_parquet(file, columns=["nodes", "edges"]).with_row_index("circuit")
    nodes = (
        shard.select("circuit", "nodes", place=pl.int_ranges(pl.col("nodes").list.len()))
        .explode("nodes", "place", empty_as_null=False)
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
        .explode("edges", empty_as_null=False)
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


def aggregates(found: pl.DataFrame, home: Path, heap: int) -> None:
    """Import the pairs as features and DRIVES, and ask for the first page of those that recur."""
    began = time.perf_counter()
    mean = pl.col("sum") / pl.col("n")
    squares = pl.max_horizontal(0.0, pl.col("squares") - pl.col("n") * mean**2)
    effects = found.with_columns(
        mean=mean,
        m2=squares,
        sd=(squares / pl.col("n")).sqrt(),
        negative=pl.col("n") - pl.col("positive"),
        consistency=pl.max_horizontal("positive", pl.col("n") - pl.col("positive")) / pl.col("n"),
    )
    ends = [found.select(layer=f"{end}_layer", index=f"{end}_index") for end in ("source", "target")]
    features = pl.concat(ends).unique().sort(FEATURE).with_row_index("number")
    features = features.with_columns(
        pl.col("number").cast(pl.Int64),
        half=pl.struct(FEATURE).map_elements(lambda row: half(row["layer"], row["index"]), pl.Int64),
        id=pl.format("{}/{}/{}", pl.lit(synthetic.TRANSCODERS.id), *FEATURE),
    )
    for end in ("source", "target"):
        named = features.select(
            pl.col("layer").alias(f"{end}_layer"),
            pl.col("index").alias(f"{end}_index"),
            pl.col("number").alias(end),
            pl.col("half").alias(f"{end}_half"),
            pl.col("id").alias(f"{end}_id"),
        )
        effects = effects.join(named, on=[f"{end}_layer", f"{end}_index"])
    effects = effects.with_columns(pair=pl.col("source_half") * HALF + pl.col("target_half"))
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        declared = next(node for node in NODES if node.label == "Feature").properties
        nodes = Table(Path(folder) / "Feature.csv", [":ID"], declared)
        for number, layer, index, _, id_ in features.rows():
            nodes.add((number,), {"id": id_, "layer": layer, "index": index})
        declared = next(each for each in RELATIONSHIPS if each.type == "DRIVES").properties
        drives = Table(Path(folder) / "DRIVES.csv", [":START_ID", ":END_ID"], declared)
        columns = {
            "n_circuits": "n",
            "n_positive": "positive",
            "n_negative": "negative",
            "sign_consistency": "consistency",
        }
        wanted = ["source", "target", *(columns.get(each.name, each.name) for each in declared)]
        for part in effects.select(wanted).iter_slices(1_000_000):
            drives.write(part.to_arrow())
        arguments = ["--id-type=integer"]
        for table, kind in ((nodes, "--nodes=Feature"), (drives, "--relationships=DRIVES")):
            table.close()
            arguments.append(f"{kind}={table.path.with_suffix('.header.csv')},{table.path}")
        import_tables(LocalServer(home), arguments, heap_mb=heap)
    address = start(home, heap)
    try:
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            migrate(database)
            print(f"aggregates: {time.perf_counter() - began:.0f} s to import and index them", flush=True)
            given: dict[str, Any] = {
                "families": None,
                "transcoders": None,
                "min_circuits": 2,
                "sign_consistency": 0.9,
            }
            given |= {"order": "circuits", "denominators": False, "units": None, "skip": 0, "limit": 20}
            times = []
            for _ in range(7):
                began = time.perf_counter()
                (answer,) = ask(database, RECURRING_EFFECTS, timeout_s=120, **given)
                times.append(time.perf_counter() - began)
    finally:
        LocalServer(home).stop()
    recurring = effects.filter((pl.col("n") >= 2) & (pl.col("consistency") >= 0.9)).with_columns(
        strength=pl.col("mean").abs()
    )
    by = ["n", "strength", "source_id", "target_id"]
    first = recurring.sort(by, descending=[True, True, False, False]).head(20)
    assert answer.total == len(recurring)
    assert [(row.source, row.target, row.n_circuits) for row in answer.rows] == first.select(
        "source_id", "target_id", "n"
    ).rows()
    shown = sorted(times[2:])[len(times[2:]) // 2]
    print(f"recurringEdges from aggregates: {1e3 * shown:.0f} ms (p50), {answer.total} effects", flush=True)


def uses(file: Path, family: str) -> pl.DataFrame:
    """The influence of each feature in each circuit of one shard; whether the circuit is in the family."""
    return (
        pl.read_parquet(file, columns=["family", "nodes"])
        .with_row_index("circuit")
        .select("circuit", inside=pl.col("family") == family, node=pl.col("nodes"))
        .explode("node", empty_as_null=False)
        .select("circuit", "inside", pl.col("node").struct.field("kind", "layer", "index", "influence"))
        .filter(pl.col("kind") == NodeKind.FEATURE.value)
        .group_by("circuit", "inside", *FEATURE)
        .agg(pl.col("influence").sum())
        .drop("circuit")
    )


def contrast(files: list[Path], family: str) -> pl.DataFrame:
    """For each feature: p and q, the circuits inside and outside that have it; means of influence; AUROC.

    A circuit without the feature ranks below all that have it. All circuits are of one transcoder set, and
    all influences are known.
    """
    families = pl.concat([pl.read_parquet(file, columns=["family"]) for file in files])["family"]
    n_inside = int((families == family).sum())
    n_outside = len(families) - n_inside
    inside, outside = pl.col("inside"), ~pl.col("inside")
    won = pl.col("ranks") - pl.col("p") * (pl.col("p") + 1) / 2
    without = n_outside - pl.col("q")
    return (
        pl.concat([uses(file, family) for file in files])
        .with_columns(rank=pl.col("influence").rank("average").over(FEATURE))
        .group_by(FEATURE)
        .agg(
            p=inside.sum().cast(pl.Int64),
            q=outside.sum().cast(pl.Int64),
            mean_inside=pl.col("influence").filter(inside).mean(),
            mean_outside=pl.col("influence").filter(outside).mean(),
            ranks=pl.col("rank").filter(inside).sum(),
        )
        .with_columns(
            auroc=(won + pl.col("p") * without + (n_inside - pl.col("p")) * without / 2)
            / (n_inside * n_outside)
        )
        .drop("ranks")
    )


def check_contrast(found: pl.DataFrame, circuits: list[Circuit]) -> None:
    """Compare every feature with a comparison of each circuit inside with each outside."""
    values: defaultdict[Pair, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for number, circuit in enumerate(circuits):
        for node in circuit.nodes:
            if node.kind is NodeKind.FEATURE:
                assert node.influence is not None
                values[node.layer, node.index][number] += node.influence
    sides: tuple[list[int], list[int]] = ([], [])
    for number, circuit in enumerate(circuits):
        sides[circuit.prompt.family != FAMILY].append(number)
    assert len(found) == len(values)
    assert all(sides)
    for row in found.rows(named=True):
        own = values[row["layer"], row["index"]]
        have = [[own[number] for number in side if number in own] for side in sides]
        assert (row["p"], row["q"]) == tuple(map(len, have))
        for side_mean, each in zip((row["mean_inside"], row["mean_outside"]), have, strict=True):
            assert (side_mean is None) == (not each)
            assert not each or math.isclose(side_mean, math.fsum(each) / len(each), rel_tol=1e-9)
        ours, theirs = ([own.get(number, -1.0) for number in side] for side in sides)
        won = sum((a > b) + (a == b) / 2 for a in ours for b in theirs)
        assert math.isclose(row["auroc"], won / (len(ours) * len(theirs)), rel_tol=1e-9)


def check_pairs(found: pl.DataFrame, circuits: list[Circuit]) -> None:
    """Compare every pair with sums over the records."""
    weights: defaultdict[Pair, list[float]] = defaultdict(list)
    for circuit in circuits:
        own: defaultdict[Pair, float] = defaultdict(float)
        for edge in circuit.edges:
            source, target = circuit.nodes[edge.source], circuit.nodes[edge.target]
            if source.kind is NodeKind.FEATURE and target.kind is NodeKind.FEATURE:
                own[source.layer, source.index, target.layer, target.index] += edge.weight
        for ends, weight in own.items():
            weights[ends].append(weight)
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
