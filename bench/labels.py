"""Bulk labels: `atlas labels import` of an export of Neuronpedia, beside one query for each row.

    python -m bench.labels --home FOLDER [--rows 200000]

The database has a feature for every row, so nothing can be left out. FOLDER becomes an ATLAS_HOME, and its
previous contents are lost. The files are those that Neuronpedia writes: gzip, 1 024 rows each, with the
embedding of each text. The naive way writes one label in one transaction, on a sample of the rows; what is
stored is compared first.
"""

import argparse
import gzip
import json
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from atlas.local.server import LocalServer
from bench.homes import start, timed
from ingest.imports.labels import LabelSettings, import_labels
from schema.annotations.labels import write_imported
from schema.circuit.records import Label
from schema.database import Database
from schema.upkeep.migrations import migrate

SET = "gemma-2-2b/bench-16k"
LAYERS = 26
BATCH = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--sample", type=int, default=2000, help="rows of the naive way")
    parser.add_argument("--heap", type=int, default=2000, help="heap of the server, in MB")
    asked = parser.parse_args()
    shutil.rmtree(asked.home, ignore_errors=True)
    asked.home.mkdir(parents=True)
    address = start(asked.home, asked.heap)
    try:
        with (
            Database.connect(address.bolt_uri, address.user, address.password) as database,
            tempfile.TemporaryDirectory() as folder,
        ):
            migrate(database)
            features(database, asked.rows)
            export(Path(folder), asked.rows)
            naive = timed(lambda: one_by_one(database, asked.sample)) / asked.sample
            before = stored(database, asked.sample)
            database.write("MATCH (l:Label) DETACH DELETE l")
            settings = LabelSettings((Path(folder),))
            for name in ("first", "again"):
                summary = import_labels(database, settings, console=Console(stderr=True))
                rate = asked.rows / summary.seconds
                print(
                    f"{name}: {summary.labels} new, {summary.present} there, {summary.seconds:.1f} s, "
                    f"{rate:,.0f} rows/s; one by one {1 / naive:,.0f} rows/s: {rate * naive:.1f} times"
                )
            assert stored(database, asked.sample) == before
            assert database.read("MATCH (l:Label) RETURN count(l) AS n") == [{"n": asked.rows}]
    finally:
        LocalServer(asked.home).stop()


def features(database: Database, count: int) -> None:
    """A set with as many features as there will be rows, spread over the layers."""
    database.write(
        "CREATE (:TranscoderSet {id: $id, name: $id, neuronpedia: $id})"
        "-[:FOR]->(:Model {id: 'm', name: 'm'})",
        {"id": SET},
    )
    for begin in range(0, count, 10_000):
        rows = [
            [f"{SET}/{n % LAYERS}/{n // LAYERS}", n % LAYERS, n // LAYERS]
            for n in range(begin, min(begin + 10_000, count))
        ]
        database.write(
            "MATCH (t:TranscoderSet {id: $set}) UNWIND $rows AS row "
            "CREATE (:Feature {id: row[0], layer: row[1], index: row[2], n_circuits: 1, n_measured: 0, "
            "influence: 0.0, degree: 0})-[:IN]->(t)",
            {"set": SET, "rows": rows},
        )


def text(n: int) -> str:
    return f"words about subject {n * 7919 % 10_007}, and what follows them in lists of {n % 101}"


def export(folder: Path, count: int) -> None:
    embedding = str([round((n * 37 % 1000) / 1000 - 0.5, 6) for n in range(256)])
    _, source_set = SET.split("/")
    for layer in range(LAYERS):
        (folder / f"{layer}-{source_set}" / "explanations").mkdir(parents=True)
    for layer in range(LAYERS):
        numbers = range(layer, count, LAYERS)
        for begin in range(0, len(numbers), BATCH):
            lines = [
                json.dumps(
                    {
                        "id": f"cl{n:023d}",
                        "modelId": "gemma-2-2b",
                        "layer": f"{layer}-{source_set}",
                        "index": str(n // LAYERS),
                        "authorId": "clkht01d40000jv08hvalcvly",
                        "description": text(n),
                        "embedding": embedding,
                        "typeName": "oai_token-act-pair",
                        "explanationModelName": "gpt-4o-mini",
                        "umap_x": 0.0,
                        "umap_y": 0.0,
                        "umap_cluster": 0,
                        "umap_log_feature_sparsity": 0.0,
                    }
                )
                for n in numbers[begin : begin + BATCH]
            ]
            path = folder / f"{layer}-{source_set}" / "explanations" / f"batch-{begin // BATCH}.jsonl.gz"
            path.write_bytes(gzip.compress("\n".join(lines).encode(), 5))


def one_by_one(database: Database, count: int) -> None:
    for n in range(count):
        label = Label(n % LAYERS, n // LAYERS, text(n), "oai_token-act-pair", "gpt-4o-mini")
        write_imported(database, SET, [label])


def stored(database: Database, count: int) -> list[dict[str, object]]:
    """The labels of the first features."""
    wanted = [f"{SET}/{n % LAYERS}/{n // LAYERS}" for n in range(count)]
    return database.read(
        "UNWIND $ids AS id MATCH (l:Label)-[:LABELS]->(:Feature {id: id}) "
        "RETURN id, properties(l) AS label ORDER BY id",
        {"ids": wanted},
    )


if __name__ == "__main__":
    main()
