"""Cross-prompt questions: an atlas, and a polars script over a folder of JSON files with the same circuits.

    python -m bench.polars_folder --home FOLDER [--samples 5] [--only WORD] [--files FOLDER] [--made]

FOLDER is an ATLAS_HOME with circuits of one transcoder set. Its circuits are first written as graph JSON into
--files, as `atlas export` does. The files stay there, and a second call uses them. With --made, the circuits
are those of `bench/bulk.py` and are made again instead of read, which takes a minute for 10 000 circuits
instead of an hour.

The atlas answers one GraphQL query over HTTP. `cold` is the time of the script including the reading of the
files, as when a script is started for one question. `warm` leaves the reading out, as in a notebook that
keeps all frames. Answers are compared each time. A ratio is the median time of the script divided by that of
the atlas.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx2
import orjson
import polars as pl

from bench import synthetic
from bench.bulk import SHAPES
from bench.graphql_peer import asking
from bench.homes import served, start, warm_up
from bench.peer_joins import Answer, Ask, check_same, our_contrast, our_recurring, our_shared
from bench.query_latency import draw
from bench.questions import PAGE, Sample
from schema.circuit.records import Circuit
from schema.database import Database
from schema.exports.graph_json import to_json
from schema.loading.read import read_circuit

WARM, WARM_S = 3, 10


class Frames(NamedTuple):
    """The tables that the script reads from the folder."""

    circuits: pl.DataFrame
    """circuit, family"""
    uses: pl.DataFrame
    """circuit, feature, influence: summed over positions"""
    links: pl.DataFrame
    """circuit, source, target (features), weight: summed over positions"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--only", default="")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--made", action="store_true", help="the home holds the circuits of bench/bulk.py")
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with tempfile.TemporaryDirectory() as folder:
        files = asked.files or Path(folder)
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            samples = draw(database, asked.samples + WARM)
            size = write(database, files, asked.made)
        print(f"{len(list(files.glob('*.json')))} circuits, {size / 1e6:.0f} MB of JSON")
        print(f"{'first page of 20, p50 ms':32} {'ours':>8} {'cold':>10} {'':7} {'warm':>9}")
        held = read(files)
        with served(asked.home) as atlas, httpx2.Client(timeout=120) as http:
            for name, ours, theirs in PAIRS:
                if asked.only in name:
                    race(name, ours, theirs, asking(http, atlas.url + "/graphql"), samples, files, held)


def write(database: Database, files: Path, made: bool) -> int:
    """Write every circuit as graph JSON unless its file exists; returns the total size in bytes."""
    files.mkdir(parents=True, exist_ok=True)
    ids = [row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id")]
    missing = [each for each in ids if not (files / f"{each}.json").exists()]
    circuits: Iterable[Circuit] = (read_circuit(database, each) for each in missing)
    if made and missing:
        circuits = synthetic.circuits(len(ids), SHAPES["small"])
    for circuit in circuits:
        (files / f"{circuit.id}.json").write_bytes(orjson.dumps(to_json(circuit)))
    assert {path.stem for path in files.glob("*.json")} == set(ids), f"{files} holds other circuits too"
    return sum(path.stat().st_size for path in files.glob("*.json"))


def read(files: Path, links: bool = True) -> Frames:
    """The tables of the folder. links: whether to read the links too."""
    circuits, uses, edges = [], [], []
    for path in files.glob("*.json"):
        graph = orjson.loads(path.read_bytes())
        circuit, made_with = path.stem, graph["metadata"]["atlas"]["transcoders"]
        name = f"{made_with['name']}@{made_with['revision'][:12]}"
        circuits.append((circuit, graph["metadata"]["atlas"]["prompt"].get("family")))
        ids = {}
        for node in graph["nodes"]:
            if node["feature_type"] == "cross layer transcoder":
                layer, index, _ = node["node_id"].split("_")
                ids[node["node_id"]] = feature = f"{name}/{layer}/{index}"
                uses.append((circuit, feature, node["raw_influence"]))
        if links:
            edges += [
                (circuit, ids[link["source"]], ids[link["target"]], link["weight"])
                for link in graph["links"]
                if link["source"] in ids and link["target"] in ids
            ]
    return Frames(
        pl.DataFrame(circuits, ["circuit", "family"], orient="row"),
        pl.DataFrame(uses, ["circuit", "feature", "influence"], orient="row")
        .group_by("circuit", "feature")
        .agg(pl.col("influence").sum()),
        pl.DataFrame(edges, _LINKS, orient="row")
        .group_by("circuit", "source", "target")
        .agg(pl.col("weight").sum()),
    )


_LINKS = {"circuit": pl.String, "source": pl.String, "target": pl.String, "weight": pl.Float64}


def shared(frames: Frames, sample: Sample) -> Answer:
    inside = len(sample.circuits)
    outside = len(frames.circuits) - inside
    mine = pl.col("circuit").is_in(sample.circuits)
    rows = (
        frames.uses.group_by("feature")
        .agg(mine.sum().alias("n"), pl.col("influence").filter(mine).mean(), pl.len().alias("all"))
        .filter(pl.col("n") >= 2)
        .with_columns(((pl.col("all") - pl.col("n")) / outside).alias("share"))
        .with_columns(pl.when(pl.col("share") > 0).then(pl.col("n") / inside / pl.col("share")).alias("lift"))
        .sort("n", "influence", "feature", descending=[True, True, False])
        .head(PAGE)
    )
    return rows.select("feature", "n", "influence", "lift").rows()


def contrast(frames: Frames, sample: Sample) -> Answer:
    """AUROC of each feature, by ranks of its influence in two sets of circuits; 0 if a circuit lacks it."""
    positive, negative = len(sample.circuits), len(sample.others)
    used = frames.uses.filter(pl.col("circuit").is_in([*sample.circuits, *sample.others])).with_columns(
        pl.col("circuit").is_in(sample.circuits).alias("mine")
    )
    # Circuits without the feature rank below all circuits with it, and tie with each other.
    absent = positive + negative - pl.len()
    rows = (
        used.with_columns(pl.col("influence").rank("average").over("feature").alias("rank"))
        .group_by("feature")
        .agg(
            pl.col("rank").filter(pl.col("mine")).sum().alias("ranks"),
            pl.col("mine").sum().alias("a"),
            (~pl.col("mine")).sum().alias("b"),
            absent.alias("absent"),
        )
        .filter(pl.col("a") + pl.col("b") >= 2)
        .with_columns(
            (
                pl.col("ranks")
                + pl.col("a") * pl.col("absent")
                + (positive - pl.col("a")) * (pl.col("absent") + 1) / 2
            ).alias("ranks")
        )
        .with_columns(
            ((pl.col("ranks") - positive * (positive + 1) / 2) / (positive * negative)).alias("auroc"),
            pl.when(pl.col("b") > 0).then(pl.col("a") * negative / (positive * pl.col("b"))).alias("lift"),
        )
        .with_columns((pl.col("auroc") - 0.5).abs().round(12).alias("far"))
        .sort("far", "a", "b", "feature", descending=[True, True, False, False])
        .head(PAGE)
    )
    return rows.select("feature", "auroc", "lift").rows()


def check(name: str, ours: Answer, theirs: Answer) -> None:
    """Compare two pages of a contrast; see `check_same`.

    A contrast is ranked by the distance of AUROC from 0.5, which many features share. Therefore the distances
    are compared in order, and the other numbers for the features that both pages have.
    """
    if name.startswith("contrast"):
        both = {row[0] for row in ours} & {row[0] for row in theirs}
        check_same(name, *(sorted(row for row in each if row[0] in both) for each in (ours, theirs)))
        ours, theirs = ([(row[0], round(abs(row[1] - 0.5), 9)) for row in each] for each in (ours, theirs))
    check_same(name, ours, theirs)


def recurring(frames: Frames, sample: Sample) -> Answer:
    of_family = frames.circuits.filter(pl.col("family") == sample.family).select("circuit")
    rows = (
        frames.links.join(of_family, on="circuit")
        .group_by("source", "target")
        .agg(pl.len().alias("n"), pl.col("weight").mean())
        .filter(pl.col("n") >= 2)
        .with_columns(pl.col("weight").abs().alias("size"))
        .sort("n", "size", "source", "target", descending=[True, True, False, False])
        .head(PAGE)
    )
    return [((row["source"], row["target"]), row["n"], row["weight"]) for row in rows.to_dicts()]


PAIRS: tuple[tuple[str, Callable[[Ask, Sample], Answer], Callable[[Frames, Sample], Answer]], ...] = (
    ("shared features of 20 circuits", our_shared, shared),
    ("contrast of 20 and 20 circuits", our_contrast, contrast),
    ("recurring edges of a family", our_recurring, recurring),
)


def race(
    name: str,
    ours: Callable[[Ask, Sample], Answer],
    theirs: Callable[[Frames, Sample], Answer],
    ask: Ask,
    samples: list[Sample],
    files: Path,
    held: Frames,
) -> None:
    """Times of two calls that run in turns. The first few turns are not counted."""
    times: dict[str, list[float]] = {"ours": [], "cold": [], "warm": []}

    def timed(side: str, work: Callable[[], Answer]) -> Answer:
        begin = time.perf_counter()
        answer = work()
        times[side].append(1e3 * (time.perf_counter() - begin))
        return answer

    warm_up(lambda sample: ours(ask, sample), samples[:WARM], WARM_S)
    for number, sample in enumerate(samples):
        our = timed("ours", lambda sample=sample: ours(ask, sample))  # type: ignore[misc]
        check(name, our, timed("warm", lambda sample=sample: theirs(held, sample)))  # type: ignore[misc]
        if number >= WARM:
            links = theirs is recurring
            cold = timed("cold", lambda sample=sample, links=links: theirs(read(files, links), sample))  # type: ignore[misc]
            check(name, our, cold)
    p50, warm, cold = median(times["ours"][WARM:]), median(times["warm"][WARM:]), median(times["cold"])
    print(f"{name:32} {p50:8.1f} {cold:10.1f} {cold / p50:6.1f}x {warm:9.1f} {warm / p50:6.1f}x", flush=True)


if __name__ == "__main__":
    main()
