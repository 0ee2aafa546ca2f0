"""Speed of loading circuits in three ways: the atlas, a naive way and a bare way, in turns on one server.

    python -m bench.load --home FOLDER [--circuits 200] [--rounds 4] [--shape small] [--steps] [--group 32]

ours   `ingest.circuits.loader.GroupLoader`: one transaction per group, including aggregates and ledger
naive  one transaction per circuit: MERGE every node by its key, MATCH both ends of every edge by their keys
bare   one transaction per circuit: CREATE nodes, and edges by place in the list. It has no keys, lookups,
       aggregates or checks, and shows the best that Cypher can do.

The naive and the bare way keep no aggregates (USES, DRIVES, frequencies), no labels and no supernodes. Their
nodes have separate node labels, the naive ones with the same constraints, so that all three ways share one
database. Edges are counted afterwards: all ways must have all edges.

--on FOLDER2 loads into a copy of FOLDER2, an ATLAS_HOME that `bench/bulk.py` filled and whose server is
stopped. This measures a load into a database with many circuits. --steps prints instead the time of each
statement of our way, for groups of 1 and of --group circuits in turns. Circuits are made before the clock
starts. FOLDER becomes an ATLAS_HOME, and its previous contents are lost.
"""

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

from atlas.local.server import LocalServer
from bench import synthetic
from bench.bulk import SHAPES
from bench.homes import start, timed
from ingest.circuits.loader import GroupLoader
from schema.circuit.records import Circuit, NodeKind
from schema.database import Database, Parameters, Rows, Transaction
from schema.loading.load import GROUP_CIRCUITS, prepare, prepared, write_group
from schema.loading.runs import Entry
from schema.upkeep.migrations import migrate

NODES = """
MERGE (c:NaiveCircuit {id: $circuit})
WITH c
UNWIND $nodes AS row
MERGE (n:NaiveNode {id: row.id}) SET n += row
MERGE (c)-[:NAIVE_HAS]->(n)
WITH n, row WHERE row.feature IS NOT NULL
MERGE (f:NaiveFeature {id: row.feature})
MERGE (n)-[:NAIVE_INSTANCE_OF]->(f)
"""
EDGES = """
UNWIND $edges AS row
MATCH (a:NaiveNode {id: row.source})
MATCH (b:NaiveNode {id: row.target})
MERGE (a)-[e:NAIVE_ATTRIBUTES]->(b) SET e.weight = row.weight
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--circuits", type=int, default=200, help="circuits per way and round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--heap", type=int, default=3000, help="heap of the server, in MB")
    parser.add_argument("--on", type=Path, default=None, help="load into a copy of this home")
    parser.add_argument("--steps", action="store_true", help="time each statement of our way only")
    parser.add_argument("--group", type=int, default=GROUP_CIRCUITS, help="circuits per group, for --steps")
    asked = parser.parse_args()
    shutil.rmtree(asked.home, ignore_errors=True)
    if asked.on is None:
        asked.home.mkdir(parents=True)
    else:
        shutil.copytree(asked.on, asked.home)
    address = start(asked.home, asked.heap)
    try:
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            migrate(database)
            for label in ("NaiveCircuit", "NaiveNode", "NaiveFeature"):
                database.write(f"CREATE CONSTRAINT FOR (n:{label}) REQUIRE n.id IS UNIQUE")
            shape = SHAPES[asked.shape]
            if asked.steps:
                steps(database, asked.circuits, asked.rounds, shape, asked.group)
            else:
                measure(database, asked.circuits, asked.rounds, shape)
    finally:
        LocalServer(asked.home).stop()


def measure(database: Database, n: int, rounds: int, shape: synthetic.Shape) -> None:
    there = relationships(database, "ATTRIBUTES")
    source = synthetic.circuits(n * (rounds + 1), shape, start=circuits_there(database))
    prepare(database)
    rates: dict[str, list[float]] = {"ours": [], "naive": [], "bare": []}
    written: list[float] = []
    for number in range(rounds + 1):
        circuits = list(islice(source, n))
        n_edges = sum(len(each.edges) for each in circuits)
        before = relationships(database)
        ours = timed(partial(load, database, circuits))
        after = relationships(database)
        naive = timed(partial(every, database, load_naive, circuits))
        bare = timed(partial(every, database, load_bare, circuits))
        if number == 0:  # plans, the page cache and the compiler warm up
            continue
        rates["ours"].append(n_edges / ours)
        rates["naive"].append(n_edges / naive)
        rates["bare"].append(n_edges / bare)
        written.append((after - before) / ours)
        print(
            f"round {number}: ours {rates['ours'][-1]:,.0f} edges/s, {written[-1]:,.0f} relationships/s "
            f"of all kinds; naive {rates['naive'][-1]:,.0f}, bare {rates['bare'][-1]:,.0f} edges/s",
            flush=True,
        )
    kinds = ("ATTRIBUTES", "NAIVE_ATTRIBUTES", "BARE_ATTRIBUTES")
    counts = [relationships(database, kind) for kind in kinds]
    assert counts[0] - there == counts[1] == counts[2], counts
    ratios = [a / b for a, b in zip(rates["ours"], rates["naive"], strict=True)]
    print(
        f"{counts[1]:,} edges by each; ours {median(rates['ours']):,.0f} edges/s and {median(written):,.0f} "
        f"relationships/s, naive {median(rates['naive']):,.0f}, bare {median(rates['bare']):,.0f} edges/s: "
        f"{median(ratios):.1f} × the naive way"
    )


def steps(database: Database, n: int, rounds: int, shape: synthetic.Shape, group: int) -> None:
    """Milliseconds that each statement of a circuit's load takes for the client."""
    source = synthetic.circuits(2 * n * (rounds + 1), shape, start=circuits_there(database))
    prepare(database)
    took: Counter[str] = Counter()
    run = Transaction.run

    def timed_run(self: Transaction, text: str, parameters: Parameters = None) -> Rows:
        begin = time.perf_counter()
        rows = run(self, text, parameters)
        took[step_of(text)] += time.perf_counter() - begin
        return rows

    Transaction.run = timed_run  # type: ignore[method-assign]
    for number in range(rounds + 1):
        for size in (1, group):
            circuits = list(islice(source, n))
            took.clear()
            begin = time.perf_counter()
            ready = [
                prepared(each, synthetic.RUN, Entry(each.id, each.prompt.text), batch_bytes=1 << 62)
                for each in circuits
            ]
            rows = time.perf_counter() - begin
            begin = time.perf_counter()
            for first in range(0, n, size):
                write_group(database, ready[first : first + size])
            whole = time.perf_counter() - begin
            took["begin, commit and merging in Python"] = whole - sum(took.values())
            parts = ", ".join(f"{name} {1000 * each / n:.1f}" for name, each in took.items())
            print(
                f"round {number}: groups of {size}: {1000 * whole / n:.0f} ms a circuit: {parts}; in another "
                f"thread: rows {1000 * rows / n:.1f}",
                flush=True,
            )


STEPS = {
    "DRIVES_IN": "DRIVES_IN",
    "DRIVES": "DRIVES",
    "FOUND_IN": "FOUND_IN and COVERS",
    "$p.uses": "sums of features",
    "GAVE": "ledger",
    "CREATE (c:Circuit)": "nodes, edges, USES",
    "TranscoderSet": "lock",
}
"""What a statement has → what it is called. The first one counts."""


def step_of(text: str) -> str:
    # The statement that writes a circuit has uses, too.
    if "CREATE (c:Circuit)" in text:
        return STEPS["CREATE (c:Circuit)"]
    return next((name for part, name in STEPS.items() if part in text), "there already?")


def load(database: Database, circuits: Sequence[Circuit]) -> None:
    with GroupLoader(database, require=lambda: None, loaded=lambda group: None) as loader:
        for each in circuits:
            loader.put(each, synthetic.RUN, Entry(each.id, each.prompt.text))


def every(database: Database, work: Callable[[Database, Circuit], None], circuits: Sequence[Circuit]) -> None:
    for each in circuits:
        work(database, each)


BARE = """
CREATE (c:BareCircuit {id: $circuit})
WITH c
CALL (c) {
  UNWIND $nodes AS row
  CREATE (c)-[:BARE_HAS]->(n:BareNode) SET n = row
  RETURN collect(n) AS nodes
}
UNWIND range(0, size($weights) - 1) AS i
WITH nodes[$sources[i]] AS a, nodes[$targets[i]] AS b, i
CREATE (a)-[:BARE_ATTRIBUTES {weight: $weights[i]}]->(b)
"""


def load_bare(database: Database, circuit: Circuit) -> None:
    nodes = [
        {
            "id": f"{circuit.id}/{node.key}",
            "layer": node.layer,
            "position": node.position,
            "activation": node.activation,
            "influence": node.influence,
        }
        for node in circuit.nodes
    ]
    edges = {
        "sources": [each.source for each in circuit.edges],
        "targets": [each.target for each in circuit.edges],
        "weights": [each.weight for each in circuit.edges],
    }
    database.transaction(lambda t: t.run(BARE, {"circuit": circuit.id, "nodes": nodes, **edges}))


def load_naive(database: Database, circuit: Circuit) -> None:
    keys = [f"{circuit.id}/{node.key}" for node in circuit.nodes]
    nodes = [
        {
            "id": key,
            "kind": node.kind.value,
            "layer": node.layer,
            "position": node.position,
            "activation": node.activation,
            "influence": node.influence,
            "feature": f"{circuit.transcoders.id}/{node.layer}/{node.index}"
            if node.kind is NodeKind.FEATURE
            else None,
        }
        for key, node in zip(keys, circuit.nodes, strict=True)
    ]
    edges = [
        {"source": keys[each.source], "target": keys[each.target], "weight": each.weight}
        for each in circuit.edges
    ]

    def work(transaction: Transaction) -> None:
        transaction.run(NODES, {"circuit": circuit.id, "nodes": nodes})
        transaction.run(EDGES, {"edges": edges})

    database.transaction(work)


def circuits_there(database: Database) -> int:
    return count(database, "MATCH (n:Circuit) RETURN count(n) AS n")


def relationships(database: Database, kind: str = "") -> int:
    """Number of relationships of one type; of all types of the atlas when no type is given."""
    return count(database, f"MATCH ()-[r{kind and ':' + kind}]->() RETURN count(r) AS n")


def count(database: Database, text: str) -> int:
    found: int = database.read(text)[0]["n"]
    return found


if __name__ == "__main__":
    main()
