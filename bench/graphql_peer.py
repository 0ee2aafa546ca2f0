"""Comparison of this API with @neo4j/graphql: the same questions of the same database, in turns.

    python -m bench.graphql_peer --home FOLDER [--samples 20] [--only WORD]

FOLDER is an ATLAS_HOME that `bench/bulk.py` filled. The first call installs @neo4j/graphql with npm into
`bench/neo4j_graphql`. For @neo4j/graphql, each question uses the smallest possible number of round trips. Its
time includes the joining, counting and ranking that its client must do. The two answers, including numbers,
are compared each time.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import orjson

from atlas.local.server import Address
from bench import peer_joins
from bench.homes import free_port, served, start, warm_up
from bench.peer_joins import Answer, Ask
from bench.query_latency import draw, spread
from bench.questions import Sample
from schema.database import Database

PEER = Path(__file__).parent / "neo4j_graphql"
WARM, WARM_S = 20, 20
TIMEOUT_S = 600


class Pair(NamedTuple):
    """One question that is asked of both APIs."""

    name: str
    ours: Callable[[Ask, Sample], Answer]
    theirs: Callable[[Ask, Sample], Answer]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        samples = draw(database, asked.samples + WARM)
    print(f"{'first page of 20':32} {'ours p50':>9} {'p95':>8} {'peer p50':>9} {'p95':>8} {'ratio':>7}")
    with (
        served(asked.home) as atlas,
        peer(address) as their_url,
        httpx2.Client(timeout=TIMEOUT_S) as http,
    ):
        ours, theirs = asking(http, atlas.url + "/graphql"), asking(http, their_url)
        for pair in PAIRS:
            if asked.only in pair.name:
                race(pair, ours, theirs, samples)


def race(pair: Pair, ours: Ask, theirs: Ask, samples: list[Sample]) -> None:
    times: dict[str, list[float]] = {"ours": [], "theirs": []}

    def ask_both(sample: Sample) -> None:
        answers = {}
        for side, ask in (("ours", ours), ("theirs", theirs)):
            begin = time.perf_counter()
            answers[side] = getattr(pair, side)(ask, sample)
            times[side].append(time.perf_counter() - begin)
        peer_joins.check_same(pair.name, answers["ours"], answers["theirs"])

    warm_up(ask_both, samples[:WARM], WARM_S)
    times["ours"].clear()
    times["theirs"].clear()
    for sample in samples[WARM:]:
        ask_both(sample)
    (p50, p95), (their_p50, their_p95) = (spread(times[side]) for side in ("ours", "theirs"))
    ratio = their_p50 / p50
    print(f"{pair.name:32} {p50:9.1f} {p95:8.1f} {their_p50:9.1f} {their_p95:8.1f} {ratio:6.1f}×", flush=True)


def asking(http: httpx2.Client, url: str) -> Ask:
    def ask(query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        answer = orjson.loads(http.post(url, json={"query": query, "variables": dict(variables)}).content)
        if "errors" in answer:
            raise SystemExit(f"{url}: {answer['errors'][0]['message']}\n{query}")
        data: dict[str, Any] = answer["data"]
        return data

    return ask


@contextmanager
def peer(address: Address) -> Iterator[str]:
    if not (PEER / "node_modules").exists():
        subprocess.run(["npm", "install", "--no-package-lock", "--silent"], cwd=PEER, check=True)
    port = free_port()
    login = {
        "NEO4J_URI": address.bolt_uri,
        "NEO4J_USER": address.user,
        "NEO4J_PASSWORD": address.password,
        "NODE_ENV": "production",
    }
    process = subprocess.Popen(
        ["node", "server.mjs", str(port)], cwd=PEER, env=os.environ | login, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit("@neo4j/graphql did not start; its error is above")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(30)


PAIRS = (
    Pair("circuits of a feature", peer_joins.our_circuits, peer_joins.their_circuits),
    Pair("features of a circuit", peer_joins.our_features, peer_joins.their_features),
    Pair("shared features of 20 circuits", peer_joins.our_shared, peer_joins.their_shared),
    Pair("contrast of 20 and 20 circuits", peer_joins.our_contrast, peer_joins.their_contrast),
    Pair("similar circuits", peer_joins.our_similar, peer_joins.their_similar),
    Pair("recurring edges of a family", peer_joins.our_recurring, peer_joins.their_recurring),
)


if __name__ == "__main__":
    main()
