"""Load test with many clients: errors, response times, and the server's memory before and after.

    python -m bench.load_test --home FOLDER [--clients 50] [--seconds 60] [--only WORD] [--skip WORD]

FOLDER is an ATLAS_HOME with circuits (from `atlas ingest` or `bench/bulk.py`). Each client asks one question
after another and reads the whole answer. Questions and their subjects are drawn from `bench/questions.py`. A
client that is told to wait (429) waits and asks again. `waited` counts these waits, and the response time
includes them. Memory is the resident set of `atlas serve`. It is first measured after a warm-up in which
every question is asked three times.
"""

import argparse
import asyncio
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import httpx2

from bench.homes import served, start
from bench.query_latency import draw, spread
from bench.questions import GRAPH, Graph, Sample
from schema.database import Database

DRAWN = 40
"""Number of subjects of questions that are drawn."""
WARM = 3


class Seen(NamedTuple):
    """The results of all clients."""

    times: dict[str, list[float]]
    """Question → seconds of each answer."""
    errors: Counter[str]
    waited: list[float]
    """Seconds of each wait that an answer 429 asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="only questions whose names contain this word")
    parser.add_argument("--skip", default="\0", help="skip questions whose names contain this word")
    asked = parser.parse_args()
    address = start(asked.home, asked.heap)
    with Database.connect(address.bolt_uri, address.user, address.password) as database:
        samples = draw(database, DRAWN)
    questions = [each for each in GRAPH if asked.only in each.name and asked.skip not in each.name]
    with served(asked.home) as (url, _, server):
        asyncio.run(clients(url, questions, samples, len(questions), None))
        before = server.memory_info().rss
        begin = time.perf_counter()
        seen = asyncio.run(clients(url, questions, samples, asked.clients, asked.seconds))
        took = time.perf_counter() - begin
        after = server.memory_info().rss
    show(seen, took, asked.clients, before, after)


async def clients(
    url: str, questions: list[Graph], samples: list[Sample], count: int, seconds: float | None
) -> Seen:
    """Ask for the given time. None means that one client asks each question a few times."""
    seen = Seen(defaultdict(list), Counter(), [])
    end = time.monotonic() + (seconds or 0)
    limits = httpx2.Limits(max_connections=count, max_keepalive_connections=count)
    async with httpx2.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        if seconds is None:
            for sample in samples[:WARM]:
                for each in questions:
                    await ask(http, each, sample, seen)
            return seen

        async def client(number: int) -> None:
            rng = random.Random(number)
            while time.monotonic() < end:
                await ask(http, rng.choice(questions), rng.choice(samples), seen)

        await asyncio.gather(*(client(number) for number in range(count)))
    return seen


async def ask(http: httpx2.AsyncClient, question: Graph, sample: Sample, seen: Seen) -> None:
    body = {"query": question.text, "variables": question.variables(sample)}
    begin = time.perf_counter()
    while (response := await http.post("/graphql", json=body)).status_code == 429:
        wait = float(response.headers["retry-after"])
        seen.waited.append(wait)
        await asyncio.sleep(wait)
    seen.times[question.name].append(time.perf_counter() - begin)
    if response.status_code != 200:
        seen.errors[f"{question.name}: {response.status_code}"] += 1
    elif errors := response.json().get("errors"):
        seen.errors[f"{question.name}: {errors[0]['message'][:80]}"] += 1


def show(seen: Seen, took: float, count: int, before: int, after: int) -> None:
    for name, times in sorted(seen.times.items()):
        p50, p99 = spread(times)[0], 1e3 * sorted(times)[min(len(times) - 1, int(0.99 * len(times)))]
        print(f"{name:34} n {len(times):6} p50 {p50:8.1f} ms p99 {p99:8.1f} ms")
    times = sorted(each for some in seen.times.values() for each in some)
    p50, p99 = 1e3 * times[len(times) // 2], 1e3 * times[min(len(times) - 1, int(0.99 * len(times)))]
    print(
        f"{count} clients, {took:.0f} s: {len(times)} answers ({len(times) / took:.0f}/s), "
        f"{sum(seen.errors.values())} errors, {len(seen.waited)} waited; "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms ({p99 / p50:.1f} x p50); "
        f"RSS {before / 1e6:.0f} -> {after / 1e6:.0f} MB ({after / before - 1:+.1%})"
    )
    for what, n in seen.errors.most_common():
        print(f"  {n} x {what}")


if __name__ == "__main__":
    main()
