"""How the latency of each GraphQL question grows with the number of circuits, over HTTP.

    python -m bench.question_growth --home SMALL --home LARGE [--samples 16] [--only WORD]

SMALL and LARGE are ATLAS_HOMEs that `bench/bulk.py` filled with different numbers of circuits. Each question
is asked as in `bench/query_latency.py`: about other features and circuits each time, after eight seconds that
are not timed. The table gives the p50 at both sizes, the exponent k with which it grows from the one to the
other (1: ten times as many circuits take ten times as long), and what the same growth would make of 10^5 and
10^6 circuits. A negative k counts as 0. Nothing is measured at these sizes: growth goes on like this only
while the database fits into memory, and a part that is still small at the measured sizes is not seen.
"""

import argparse
import math
from pathlib import Path

import httpx2

from atlas.local.server import LocalServer
from bench.homes import served, start
from bench.query_latency import WARM, draw, over_http_timed, spread
from bench.questions import GRAPH
from schema.database import Database

SIZES = (100_000, 1_000_000)
"""Numbers of circuits that are estimated."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, action="append", help="give it twice")
    parser.add_argument("--heap", type=int, default=6000)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    if len(asked.home) != 2:
        parser.error("give --home twice, with two numbers of circuits")
    (small, before), (large, after) = sorted(
        (measured(home, asked.heap, asked.samples, asked.only) for home in asked.home),
        key=lambda each: each[0],
    )
    if small == large:
        parser.error(f"both homes have {small:,} circuits")
    estimated = " ".join(f"{size:>12,}" for size in SIZES)
    print(f"{'p50 over HTTP, ms':34} {small:>9,} {large:>9,} {'k':>6} {estimated}")
    for name, first in before.items():
        if name not in after:
            continue
        k = math.log(after[name] / first) / math.log(large / small)
        later = " ".join(f"{after[name] * (size / large) ** max(0.0, k):12,.0f}" for size in SIZES)
        print(f"{name:34} {first:9.1f} {after[name]:9.1f} {k:6.2f} {later}")


def measured(home: Path, heap: int, n_samples: int, only: str) -> tuple[int, dict[str, float]]:
    """The number of circuits, and the p50 of each question in milliseconds. The server ends with it."""
    address = start(home, heap)
    try:
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            n_circuits: int = database.read("MATCH (:Circuit) RETURN count(*) AS n")[0]["n"]
            samples = draw(database, n_samples + WARM)
        found = {}
        with served(home) as atlas, httpx2.Client(base_url=atlas.url, timeout=120) as http:
            for each in GRAPH:
                if only not in each.name:
                    continue
                times = over_http_timed(http, each, samples)
                said = times if isinstance(times, str) else f"{spread(times)[0]:.1f} ms"
                print(f"{n_circuits:,} circuits, {each.name}: {said}", flush=True)
                if not isinstance(times, str):
                    found[each.name] = spread(times)[0]
        return n_circuits, found
    finally:
        LocalServer(home).stop()


if __name__ == "__main__":
    main()
