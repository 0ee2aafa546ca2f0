"""Latency of questions on synthetic circuits: over Bolt, with the naive query, and over HTTP.

    python -m bench.query_latency --home FOLDER [--samples 20] [--only WORD] [--naive 3]

FOLDER is an ATLAS_HOME that `bench/bulk.py` filled. Each time a question is asked, it is about other features
and circuits, drawn with a fixed seed. Before timing, there is one round over Bolt, and eight seconds of each
question over HTTP. The first few timed calls are not counted. Answers over Bolt are compared with those of
the naive query whenever that runs. `cypher` is the time of the queries that the API sends for the same
request, run one after the other over Bolt. `adds` is the additional time of the API (p50).
"""

import argparse
import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from api.app import create_app
from atlas.local.server import Address
from bench.homes import served, start, warm_up
from bench.questions import BOLT, GRAPH, Bolt, Graph, Sample
from schema.database import AsyncDatabase, Database, Parameters, Rows
from schema.questions.question import ask

WARM, WARM_S = 4, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--naive", type=int, default=3, help="number of times the naive query is asked")
    parser.add_argument("--only", default="")
    parser.add_argument("--part", choices=("bolt", "http"), default=None)
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        samples = draw(database, asked.samples + WARM)
        if asked.part != "http":
            over_bolt(database, samples, asked.naive, asked.only)
    if asked.part != "bolt":
        over_http(asked.home, address, samples, asked.only)


def draw(database: Database, count: int) -> list[Sample]:
    rng = random.Random(1)
    rows = database.read(
        "MATCH (y:Family)<-[:IN_FAMILY]-()<-[:OF_PROMPT]-(c) RETURN y.name AS y, c.id AS c ORDER BY y, c"
    )
    families: dict[str, list[str]] = {}
    for row in rows:
        families.setdefault(row["y"], []).append(row["c"])
    samples = []
    for _ in range(count):
        family, other = rng.sample(sorted(families), 2)
        circuits = rng.sample(families[family], 20)
        used = database.read(
            "MATCH (:Circuit {id: $c})-[:USES]->(f) RETURN f.id AS f ORDER BY f", {"c": circuits[0]}
        )
        features = [row["f"] for row in rng.sample(used, 10)]
        samples.append(Sample(features, circuits, family, rng.sample(families[other], 20), other))
    return samples


def spread(times: list[float]) -> tuple[float, float]:
    """p50 and p95, in milliseconds."""
    ordered = sorted(times)
    return 1e3 * ordered[len(ordered) // 2], 1e3 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def over_bolt(database: Database, samples: list[Sample], naive: int, only: str) -> None:
    print(f"{'over Bolt, first page of 20':34} {'p50 ms':>8} {'p95 ms':>8} {'naive p50':>10} {'same':>6}")
    asked = [each for each in BOLT if only in each.name]
    for each in asked:
        # A whole round precedes the timing; otherwise the first question would include compilation.
        for sample in samples:
            ask(database, each.question, timeout_s=120, **each.parameters(sample))
    for each in asked:
        times, slow, same = [], [], []
        for number, sample in enumerate(samples):
            parameters = each.parameters(sample)
            begin = time.perf_counter()
            answer = ask(database, each.question, timeout_s=120, **parameters)
            times.append(time.perf_counter() - begin)
            if WARM - 1 <= number < WARM + naive:
                begin = time.perf_counter()
                rows = database.read(each.naive, parameters, timeout_s=120)
                if number >= WARM:
                    slow.append(time.perf_counter() - begin)
                same.append(compare(each, answer[0], rows))
        p50, p95 = spread(times[WARM:])
        print(
            f"{each.name:34} {p50:8.1f} {p95:8.1f} {spread(slow)[0]:10.1f} {sum(same) / len(same):6.1%}",
            flush=True,
        )


def compare(each: Bolt, answer: Any, rows: Rows) -> float:
    """The share of the naive query's page that our page has. The program fails below 0.9.

    Similar circuits are searched among candidates, so one may be missed. For other questions, a tie at the
    end of the page may be broken differently, because floating point numbers are added in another order.
    """
    ours = {row if isinstance(row, str) else getattr(row, each.column) for row in answer.rows}
    naive = {row["key"] for row in rows}
    share = len(ours & naive) / max(1, len(naive))
    if share < 0.9 or len(ours) != len(naive):
        raise SystemExit(f"{each.name}: {sorted(ours)} is not {sorted(naive)}")
    return share


class Recording(AsyncDatabase):
    """A database that records the queries that the API sends."""

    sent: list[tuple[str, Mapping[str, Any]]]

    async def read(self, text: str, parameters: Parameters = None, *, timeout_s: float | None = None) -> Rows:
        self.sent.append((text, dict(parameters or {})))
        return await super().read(text, parameters, timeout_s=timeout_s)


def over_http(home: Path, address: Address, samples: list[Sample], only: str) -> None:
    print(f"{'over HTTP, first page of 20':34} {'p50 ms':>8} {'p95 ms':>8} {'cypher p50':>10} {'adds':>6}")
    with served(home) as atlas, httpx2.Client(base_url=atlas.url, timeout=120) as http:
        for each in GRAPH:
            if only not in each.name:
                continue
            times = over_http_timed(http, each, samples)
            if isinstance(times, str):
                print(f"{each.name:34} {times[:90]}")
                continue
            p50, p95 = spread(times)
            cypher = asyncio.run(replay(address, each.text, [each.variables(s) for s in samples]))
            print(f"{each.name:34} {p50:8.1f} {p95:8.1f} {cypher:10.1f} {p50 - cypher:6.1f}", flush=True)


def over_http_timed(http: httpx2.Client, each: Graph, samples: list[Sample]) -> list[float] | str:
    """Seconds of the timed calls, after warming up, or the error of the first answer that has one."""

    def asked(sample: Sample) -> dict[str, Any]:
        body = {"query": each.text, "variables": each.variables(sample)}
        answer: dict[str, Any] = http.post("/graphql", json=body).json()
        return answer

    warm_up(asked, samples, WARM_S)
    times = []
    for sample in samples:
        begin = time.perf_counter()
        answer = asked(sample)
        times.append(time.perf_counter() - begin)
        if "errors" in answer:
            return str(answer["errors"][0]["message"])
    return times[WARM:]


async def replay(address: Address, text: str, variables: list[dict[str, Any]]) -> float:
    """p50 (ms) of the queries that the API sends, when they are run over Bolt."""
    database = await Recording.connect(address.bolt_uri, address.user, address.password)
    assert isinstance(database, Recording)
    times = []
    try:
        transport = httpx2.ASGITransport(app=create_app(database))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=120) as http:
            for each in variables:
                database.sent = []
                await http.post("/graphql", json={"query": text, "variables": each})
                sent = database.sent
                begin = time.perf_counter()
                for cypher, parameters in sent:
                    await AsyncDatabase.read(database, cypher, parameters, timeout_s=60)
                times.append(time.perf_counter() - begin)
    finally:
        await database.close()
    return spread(times[WARM:])[0]


if __name__ == "__main__":
    main()
