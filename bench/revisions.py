"""Comparison of this checkout with another one: questions over HTTP and an import, in turns on one server.

    git worktree add ../before REVISION
    python -m bench.revisions --other ../before --home FOLDER [--every] [--keep]

Each checkout runs in its own processes, with the packages of this environment. The answers to each question
are compared before anything is timed. A ratio is the other checkout's time divided by this checkout's time,
pair by pair. Above 1, this checkout is faster. The import reads the same graph JSON files into a database
whose circuits are deleted before each turn. FOLDER becomes an ATLAS_HOME, and its previous contents are lost.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from atlas.local.server import Address, LocalServer
from bench import synthetic
from bench.bulk import SHAPES
from bench.homes import serving, start, timed
from bench.query_latency import draw
from bench.questions import GRAPH, Graph, Sample
from schema.database import Database
from schema.exports import graph_json
from schema.loading.load import load_circuit, prepare
from schema.loading.runs import Entry
from schema.upkeep.migrations import migrate

HERE = Path(__file__).parents[1]
QUESTIONS = (
    "feature",
    "sharedFeatures of 20 circuits",
    "contrast of features, 20 and 20",
    "similarCircuits",
    "recurringEdges of a family",
)
"""The questions that are asked unless --every is given."""
WARM_S = 10
ASKED = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--other", type=Path, required=True, help="folder of the other checkout")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--circuits", type=int, default=1000, help="number of circuits in the database")
    parser.add_argument("--every", action="store_true", help="ask every question of bench/questions.py")
    parser.add_argument("--files", type=int, default=200, help="number of graph files to import")
    parser.add_argument("--rounds", type=int, default=5, help="number of imports per checkout")
    parser.add_argument("--keep", action="store_true", help="ask the database that FOLDER has already")
    parser.add_argument("--heap", type=int, default=3000, help="heap of the server, in MB")
    asked = parser.parse_args()
    if not asked.keep:
        shutil.rmtree(asked.home, ignore_errors=True)
        asked.home.mkdir(parents=True)
    address = start(asked.home, asked.heap)
    try:
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            migrate(database)
            if not asked.keep:
                fill(database, asked.circuits)
            samples = draw(database, ASKED)
        with ExitStack() as held:
            urls = [
                held.enter_context(serving(environment(folder, address), folder=folder)).url
                for folder in (HERE, asked.other.resolve())
            ]
            clients = [held.enter_context(httpx2.Client(base_url=url, timeout=120)) for url in urls]
            chosen = [each for each in GRAPH if asked.every or each.name in QUESTIONS]
            for each in chosen:
                race(each, clients, samples)
        if asked.rounds:
            import_in_turns(address, asked.other.resolve(), asked.files, asked.rounds)
    finally:
        LocalServer(asked.home).stop()


def fill(database: Database, count: int) -> None:
    prepare(database)
    for circuit in islice(synthetic.circuits(count, SHAPES["small"]), count):
        load_circuit(database, circuit, synthetic.RUN, Entry(circuit.id, circuit.prompt.text))
    database.wait_for_full_text()


def environment(folder: Path, address: Address) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(folder),
        "NEO4J_URI": address.bolt_uri,
        "NEO4J_USERNAME": address.user,
        "NEO4J_PASSWORD": address.password,
    }


def race(each: Graph, clients: list[httpx2.Client], samples: list[Sample]) -> None:
    def ask(client: httpx2.Client, sample: Sample) -> object:
        body = {"query": each.text, "variables": each.variables(sample)}
        answer = client.post("/graphql", json=body).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    end = time.perf_counter() + WARM_S
    while time.perf_counter() < end:
        for sample in samples[:10]:
            mine, other = (ask(client, sample) for client in clients)
            assert rounded(mine) == rounded(other), each.name
    pairs = []
    for number, sample in enumerate(samples):
        times = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            times[side] = timed(partial(ask, clients[side], sample))
        pairs.append(times)
    ours, theirs = (1000 * median(side) for side in zip(*pairs, strict=True))
    ratio = median(theirs / ours for ours, theirs in pairs)
    print(f"{each.name:34} this {ours:7.1f} ms, other {theirs:7.1f} ms, ratio {ratio:.2f}", flush=True)


def rounded(value: Any) -> Any:
    """An answer whose numbers have nine significant digits: libraries may compute the last ones otherwise."""
    match value:
        case float():
            return float(f"{value:.9g}")
        case dict():
            return {name: rounded(each) for name, each in value.items()}
        case list():
            return [rounded(each) for each in value]
    return value


def import_in_turns(address: Address, other: Path, count: int, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as made:
        files = Path(made)
        for number, circuit in enumerate(islice(synthetic.circuits(count, SHAPES["small"]), count)):
            graph_json.write(circuit, files / f"{number:04}.json")
        pairs: list[dict[Path, float]] = []
        for number in range(rounds + 1):
            turns = (HERE, other) if number % 2 else (other, HERE)
            pairs.append({folder: imported(folder, address, files) for folder in turns})
    # The first round warms up the database.
    ours, theirs = ([pair[folder] for pair in pairs[1:]] for folder in (HERE, other))
    ratio = median(b / a for a, b in zip(ours, theirs, strict=True))
    print(
        f"import of {count} files, whole command: this {median(ours):.1f} s, other {median(theirs):.1f} s, "
        f"ratio {ratio:.2f}"
    )


def imported(folder: Path, address: Address, files: Path) -> float:
    """Seconds that `atlas import` takes into a database without circuits."""
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        while database.write(
            "MATCH (n) WHERE NOT n:Migration WITH n LIMIT 500 DETACH DELETE n RETURN count(*) AS n"
        )[0]["n"]:
            pass
        database.wait_for_full_text()
    command = [sys.executable, "-m", "atlas", "import", str(files)]
    return timed(
        lambda: subprocess.run(
            command,
            cwd=folder,
            env=environment(folder, address),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    )


if __name__ == "__main__":
    main()
