"""Speed of building a new database: `schema.loading.bulk`, and Neo4j's importer on the same CSV files.

    python -m bench.bulk --home FOLDER [--circuits 10000] [--shape small] [--keep]

1. write   Write records as tables, including aggregates. The time of the generator is subtracted.
2. import  Run Neo4j's importer on these tables, with the options of `atlas`.
3. amend   Start the server, migrate (constraints and indexes), and add what tables cannot hold.
4. bare    Run the importer on the same tables without options, into a database that is thrown away.

FOLDER becomes an ATLAS_HOME, and its previous contents are lost. With --keep its server keeps running.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from atlas.local.admin import import_tables
from atlas.local.server import LocalServer
from bench import synthetic
from bench.homes import start, timed
from schema.database import Database
from schema.loading.bulk import BulkWriter
from schema.upkeep.migrations import migrate
from schema.upkeep.stats import stats

SHAPES = {"small": synthetic.SMALL, "large": synthetic.LARGE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--circuits", type=int, default=10_000)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--heap", type=int, default=3000, help="heap of importer and server, in MB")
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    asked = parser.parse_args()
    shutil.rmtree(asked.home, ignore_errors=True)
    server = LocalServer(asked.home)
    asked.home.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=asked.home.parent) as folder:
        tables = Path(folder) / "tables"
        writer, made, wrote = BulkWriter(tables), 0.0, 0.0
        source = synthetic.circuits(asked.circuits, SHAPES[asked.shape])
        for _ in range(asked.circuits):
            t0 = time.perf_counter()
            circuit = next(source)
            t1 = time.perf_counter()
            writer.add(circuit, synthetic.RUN)
            made, wrote = made + t1 - t0, wrote + time.perf_counter() - t1
        t0 = time.perf_counter()
        arguments = writer.finish()
        wrote += time.perf_counter() - t0
        imported = timed(lambda: import_tables(server, arguments, heap_mb=asked.heap))
        t0 = time.perf_counter()
        address = start(asked.home, asked.heap)
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            started = time.perf_counter() - t0
            t0 = time.perf_counter()
            migrate(database)
            writer.amend(database)
            amended = time.perf_counter() - t0
            counts = stats(database)
        plain = [each for each in arguments if each.startswith(("--nodes", "--relationships", "--id-type"))]
        plain += [each for each in arguments if each.startswith("--array-delimiter")]
        bare_home = LocalServer(Path(folder) / "bare")
        bare_home.home.mkdir()
        bare = timed(lambda: import_tables(bare_home, plain, heap_mb=asked.heap))
        size = sum(each.stat().st_size for each in tables.iterdir())
    relationships = sum(counts.relationships.values())
    print(f"{asked.circuits:,} circuits, {relationships:,} relationships, {size / 1e9:.2f} GB of CSV")
    print(f"made {made:.0f} s (not counted)")
    whole = wrote + imported + amended
    for name, seconds in (
        ("write", wrote),
        ("import", imported),
        ("start", started),
        ("amend", amended),
        ("whole", whole),
        ("bare", bare),
    ):
        print(f"{name:>8} {seconds:7.1f} s {relationships / seconds:12,.0f} relationships/s")
    print(f"importer as called / bare: {bare / imported:.0%}; whole, from records / bare: {bare / whole:.0%}")
    print(counts.nodes, counts.relationships)
    if not asked.keep:
        server.stop()


if __name__ == "__main__":
    main()
