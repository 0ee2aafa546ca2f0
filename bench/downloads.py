"""Speed and memory of the API for a download of many rows, and for one whole circuit.

    python -m bench.downloads --home FOLDER [--question recurringEdges] [--arguments minCircuits=2]

FOLDER is an ATLAS_HOME that `bench/bulk.py` filled. A circuit of 1 000 nodes and 20 000 effects is added,
requested as one GraphQL answer and as Arrow, and deleted. The limit of 300 s on a download applies here too.
"""

import argparse
import time
from pathlib import Path

import httpx2
import psutil
import pyarrow as pa
from pyarrow import ipc

from bench import synthetic
from bench.homes import served, start
from bench.query_latency import spread
from schema.database import Database
from schema.loading.load import load_circuit
from schema.upkeep.delete import delete_circuit

WHOLE = synthetic.Shape(features=883, errors=100, edges=20_000)
TIMES = 12
WARM = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    parser.add_argument("--question", default="recurringEdges")
    parser.add_argument("--arguments", default="minCircuits=2&signConsistency=0")
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with (
        Database.connect(address.bolt_uri, address.user, address.password) as database,
        served(asked.home) as atlas,
        httpx2.Client(base_url=atlas.url, timeout=600) as http,
    ):
        whole_circuit(database, http)
        for ending in ("arrow", "jsonl"):
            download(http, f"/export/{asked.question}.{ending}?{asked.arguments}", ending)


def whole_circuit(database: Database, http: httpx2.Client) -> None:
    circuit = next(synthetic.circuits(1, WHOLE, seed=7, start=10**6))
    load_circuit(database, circuit, synthetic.RUN)
    query = {
        "query": """query ($c: ID!) { circuit(id: $c) { graph { sources targets weights
                      nodes { id kind layer position activation influence } } } }""",
        "variables": {"c": circuit.id},
    }
    try:
        times: dict[str, list[float]] = {"GraphQL": [], "Arrow": []}
        for _ in range(TIMES):
            begin = time.perf_counter()
            graph = http.post("/graphql", json=query).json()["data"]["circuit"]["graph"]
            times["GraphQL"].append(time.perf_counter() - begin)
            begin = time.perf_counter()
            answer = http.get("/export/circuit.edges.arrow", params={"id": circuit.id}).content
            table = ipc.open_stream(pa.BufferReader(answer)).read_all()
            times["Arrow"].append(time.perf_counter() - begin)
        assert len(graph["nodes"]) == len(circuit.nodes)
        assert len(graph["weights"]) == len(table) == len(circuit.edges)
    finally:
        delete_circuit(database, circuit.id)
    print(f"one circuit of {len(circuit.nodes)} nodes and {len(circuit.edges)} effects")
    for name, took in times.items():
        p50, p95 = spread(took[WARM:])
        print(f"  {name:8} p50 {p50:7.1f} ms, p95 {p95:7.1f} ms")


def download(http: httpx2.Client, path: str, ending: str) -> None:
    # "serve" must match as a word: Neo4j may also be a child of this process, and its name contains "server".
    (api,) = (each for each in psutil.Process().children() if "serve" in each.cmdline())
    before, most, size, lines, begin = api.memory_info().rss, 0, 0, 0, time.perf_counter()
    with http.stream("GET", path) as answer:
        if answer.status_code != 200:
            raise SystemExit(answer.read().decode())
        for piece in answer.iter_bytes(1 << 20):
            size, lines = size + len(piece), lines + piece.count(b"\n")
            most = max(most, api.memory_info().rss)
    took = time.perf_counter() - begin
    rows = f"{lines:,} rows, " if ending == "jsonl" else ""
    print(
        f"{path}\n  {rows}{size / 1e6:.0f} MB in {took:.1f} s; the API's memory: "
        f"{before / 1e6:.0f} MB before, {most / 1e6:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
