"""Speed of loading circuits in three ways: the atlas, a naive way and a bare way, in turns on one server.

    python -m bench.load --home FOLDER [--circuits 200] [--rounds 4] [--shape small] [--steps]

ours   `ingest.circuits.loader.GroupLoader`: one transaction per group, including aggregates and ledger
naive  one transaction per circuit: MERGE every node by its key, MATCH both ends of every edge by their keys
bare   one transaction per circuit: CREATE nodes, and edges by place in the list. It has no keys, lookups,
       aggregates or checks, and shows the best that Cypher can do.

The naive and the bare way keep no aggregates (USES, DRIVES, frequencies), no labels and no supernodes. Their
nodes have separate node labels, the naive ones with the same constraints, so that all three ways share one
database. Edges are counted afterwards: all ways must have all edges.

--on FOLDER2 loads into a copy of FOLDER2, an ATLAS_HOME that `bench/bulk.py` filled and whose server is
stopped. This measures a load into a database with many circuits. --steps prints instead what each step of
our way takes, and the CPU time of Neo4j, for groups of 1, 4, 8, 16 and 32 circuits in turns: medians of the
rounds. Circuits are made before the clock starts. FOLDER becomes an ATLAS_HOME, and its previous contents
are lost.
"""

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TypeVar

import psutil

from atlas.local.server import LocalServer
from bench import synthetic
from bench.bulk import SHAPES
from bench.homes import start, timed
from ingest.circuits.loader import GroupLoader
from schema.circuit.records import Circuit, NodeKind
from schema.database import Database, Parameters, Rows, Transaction
from schema.loading.load import prepare, prepared, write_group
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
    parser.add_argument("--steps", action="store_true", help="time each step of our way only")
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
                steps(database, neo4j_of(asked.home), asked.circuits, asked.rounds, shape)
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


def neo4j_of(home: Path) -> psutil.Process:
    """The process of a running local server."""
    pid = LocalServer(home).status().pid
    assert pid is not None
    return psutil.Process(pid)


def steps(database: Database, neo4j: psutil.Process, n: int, rounds: int, shape: synthetic.Shape) -> None:
    """Milliseconds a circuit that each step of a load takes for the client, and CPU time of Neo4j."""
    source = synthetic.circuits(len(SIZES) * n * (rounds + 1), shape, start=circuits_there(database))
    prepare(database)
    took: Counter[str] = Counter()
    run, transaction = Transaction.run, Database.transaction

    def timed_run(self: Transaction, text: str, parameters: Parameters = None) -> Rows:
        with counted(step_of(text)):
            return run(self, text, parameters)

    def timed_transaction(self: Database, work: Callable[[Transaction], Result]) -> Result:
        def timed_work(opened: Transaction) -> Result:
            with counted(WORK):
                return work(opened)

        with counted(WHOLE):
            return transaction(self, timed_work)

    @contextmanager
    def counted(name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        took[name] += time.perf_counter() - begin

    Transaction.run = timed_run  # type: ignore[method-assign]
    Database.transaction = timed_transaction  # type: ignore[method-assign,assignment]
    found: dict[int, list[Counter[str]]] = {size: [] for size in SIZES}
    for number in range(rounds + 1):
        for size in SIZES:
            circuits = list(islice(source, n))
            took.clear()
            with counted("rows, in another thread"):
                ready = [
                    prepared(each, synthetic.RUN, Entry(each.id, each.prompt.text), batch_bytes=1 << 62)
                    for each in circuits
                ]
            before = sum(neo4j.cpu_times()[:2])
            for first in range(0, n, size):
                write_group(database, ready[first : first + size])
            took["CPU time of Neo4j"] = sum(neo4j.cpu_times()[:2]) - before
            statements = sum(each for name, each in took.items() if name in STEPS.values() or name == THERE)
            took["begin and commit"] = took[WHOLE] - took[WORK]
            took["merging in Python"] = took.pop(WORK) - statements
            if number:  # plans and the compiler warm up in the first round
                found[size].append(Counter(took))
    for size, ways in found.items():
        parts = ", ".join(f"{name} {1000 * median(each[name] for each in ways) / n:.1f}" for name in ways[0])
        print(f"groups of {size}: ms a circuit: {parts}", flush=True)


SIZES = (1, 4, 8, 16, 32)
"""Circuits in a group, for --steps."""
WHOLE, WORK, THERE = "whole transaction", "work", "there already?"
Result = TypeVar("Result")

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
    return next((name for part, name in STEPS.items() if part in text), THERE)


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
