"""Seconds to read a long list page by page: each page computed by itself, and the list kept for its pages.

    python -m bench.long_list --home FOLDER [--circuits 20] [--pages 10]

FOLDER is an ATLAS_HOME that `bench/bulk.py` filled, or one with imported graphs. The lists are the effects of
a contrast of two families (or of two halves of the only one), with this number of circuits on each side; the
effects that only one of two circuits has; and the effects that recur in the circuits of one transcoder set.
The API runs in this process and is asked over ASGI, with and without memory for its lists
(`Limits.kept_bytes`).
"""

import argparse
import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2

from api.app import create_app
from api.request.limits import Limits
from atlas.local.server import Address
from bench.homes import start
from schema.database import AsyncDatabase

PAGE = "totalCount pageInfo { endCursor hasNextPage } nodes { source { id } target { id } }"
CONTRAST = f"""query ($a: [ID!], $b: [ID!], $after: String) {{
  asked: contrast(positive: {{ circuits: $a }}, negative: {{ circuits: $b }}) {{
    list: edges(minCircuits: 1, first: 100, after: $after) {{ {PAGE} }} }} }}"""
RECURRING = f"""query ($sets: [String!], $after: String) {{
  list: recurringEdges(transcoders: $sets, first: 100, after: $after) {{ {PAGE} }} }}"""
COMPARE = f"""query ($a: ID!, $b: ID!, $after: String) {{
  asked: compareCircuits(a: $a, b: $b) {{ list: edgesOnlyInA(first: 100, after: $after) {{ {PAGE} }} }} }}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, default=3000)
    parser.add_argument("--circuits", type=int, default=20, help="circuits on each side of the contrast")
    parser.add_argument("--pages", type=int, default=10, help="pages of 100 entries that are read")
    asked = parser.parse_args()
    asyncio.run(measure(start(asked.home, asked.heap), asked.circuits, asked.pages))


async def measure(address: Address, n_circuits: int, n_pages: int) -> None:
    database = await AsyncDatabase.connect(address.bolt_uri, address.user, address.password)
    try:
        rows = await database.read(
            "MATCH (y:Family)<-[:IN_FAMILY]-()<-[:OF_PROMPT]-(c) "
            "WITH y.name AS name, c ORDER BY c.id WITH name, collect(c.id)[..$n] AS circuits "
            "RETURN circuits ORDER BY name LIMIT 2",
            {"n": n_circuits},
        )
        ours, theirs = rows[0]["circuits"], rows[-1]["circuits"]
        if len(rows) == 1:
            ours, theirs = ours[::2], theirs[1::2]
        (largest,) = await database.read(
            "MATCH (t:TranscoderSet) RETURN t.id AS id ORDER BY COUNT { (t)<-[:BY]-() } DESC LIMIT 1"
        )
        print(f"{'list':42} {'entries':>8} {'pages':>6} {'first s':>8} {'next s':>8}")
        for name, text, variables in (
            (f"contrast of {n_circuits} + {n_circuits}, edges", CONTRAST, {"a": ours, "b": theirs}),
            ("compareCircuits, edgesOnlyInA", COMPARE, {"a": ours[0], "b": theirs[0]}),
            ("recurringEdges of a set, by prompt", RECURRING, {"sets": [largest["id"]]}),
        ):
            for kept in (0, Limits.kept_bytes):
                total, times = await pages(
                    database, Limits(kept_bytes=kept, timeout_s=300), text, variables, n_pages
                )
                later = sum(times[1:]) / max(1, len(times) - 1)
                title = f"{name}, {'kept' if kept else 'by page'}"
                print(f"{title:42} {total:8} {len(times):6} {times[0]:8.3f} {later:8.3f}", flush=True)
    finally:
        await database.close()


async def pages(
    database: AsyncDatabase, limits: Limits, text: str, variables: dict[str, Any], count: int
) -> tuple[int, list[float]]:
    """Length of the list, and the seconds of each page that was read."""
    times: list[float] = []
    transport = httpx2.ASGITransport(app=create_app(database, limits=limits))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=600) as http:
        after, total = None, 0
        while len(times) < count:
            begin = time.perf_counter()
            body = {"query": text, "variables": {**variables, "after": after}}
            answer = (await http.post("/graphql", json=body)).json()
            times.append(time.perf_counter() - begin)
            found = answer["data"].get("asked", answer["data"])["list"]
            after, total = found["pageInfo"]["endCursor"], found["totalCount"]
            if not found["pageInfo"]["hasNextPage"]:
                break
    return total, times


if __name__ == "__main__":
    main()
