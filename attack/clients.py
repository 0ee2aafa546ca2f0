"""Well-behaved clients beside one attacker: their response times, the server's memory, and faults in answers.

    python -m attack.clients --home FOLDER [--clients 50] [--seconds 30] [--only WORD …]

FOLDER is an ATLAS_HOME with circuits (from `atlas ingest` or `bench/bulk.py`). Its server is started if it
does not run, and `atlas serve` is started on it with a token of its own. Every client has an address of its
own on the loopback network, which no packet leaves. Each asks one short question after another, with pauses.
Before each attack they are alone for as long as it will last: the first minutes of a server are its slowest,
so that an attack is compared with the time right before it. Then one more address attacks with a bounded
number of tasks, from a process of its own, so that its work delays no client by itself.

An attack passes when the p99 of the others stays within 3 times that without an attacker (or 50 ms), when the
server's memory grows by less than 25 %, and when no answer has a status from 500 on but 503 and 504. Jobs
that the attacks leave are cancelled and deleted at the end.
"""

import argparse
import asyncio
import json
import random
import secrets
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import httpx2
import websockets

from bench.homes import Served, served, start
from schema.database import Database

TASKS = 16
"""Tasks of one attacker that send at once."""
SOCKETS = 300
"""Connections that one attacker opens at once, at the most."""
PAUSE_S = 0.5
"""Mean pause of a well-behaved client between an answer and its next question."""
WARM_S = 60.0
TIMES = 3.0
FLOOR_S = 0.05
GROWTH = 1.25
ATTACKER = "127.0.9.9"


class Target(NamedTuple):
    """What is attacked."""

    url: str
    port: int
    token: str
    job: str
    """Id of a job that can be watched."""

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


class Seen(NamedTuple):
    """What clients were answered."""

    seconds: list[float]
    statuses: Counter[str]
    """Status, 500 and the code of an error of the server, or the name of what broke the connection."""

    @classmethod
    def nothing(cls) -> "Seen":
        return cls([], Counter())

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * (len(self.seconds) - 1))] if self.seconds else float("inf")

    @property
    def faults(self) -> int:
        """Answers that say that the server itself failed."""
        return sum(
            n
            for status, n in self.statuses.items()
            if status.startswith("5") and status not in ("503", "504")
        )


QUESTIONS = (
    "{ families { name nCircuits } }",
    "{ circuits(first: 5) { nodes { id answer prompt { text } } } }",
    "{ features(first: 10) { totalCount nodes { id layer nCircuits } } }",
    "{ runs { totalCount } }",
)


@asynccontextmanager
async def client(target: Target, address: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with this address of the loopback network."""
    # Nothing is encrypted on the loopback network, and reading the certificates takes 30 ms for each client.
    transport = httpx2.AsyncHTTPTransport(local_address=address, verify=False)
    async with httpx2.AsyncClient(
        base_url=target.url, transport=transport, headers=target.bearer, timeout=60
    ) as http:
        yield http


async def behave(target: Target, number: int, end: float, seen: Seen) -> None:
    """Asks one short question after another."""
    rng = random.Random(number)
    async with client(target, f"127.0.1.{number + 1}") as http:
        while time.monotonic() < end:
            await asyncio.sleep(rng.expovariate(1 / PAUSE_S))
            await asked(http, rng.choice(QUESTIONS), seen)


async def asked(http: httpx2.AsyncClient, query: str, seen: Seen, **variables: object) -> None:
    begin = time.perf_counter()
    try:
        response = await http.post("/graphql", json={"query": query, "variables": variables})
        seen.statuses[str(response.status_code)] += 1
        for error in response.json().get("errors", []):
            code = error["extensions"]["code"]
            if code in ("INTERNAL", "DATABASE_ERROR"):
                seen.statuses[f"500 {code}"] += 1
    except httpx2.TransportError as error:
        seen.statuses[type(error).__name__] += 1
    seen.seconds.append(time.perf_counter() - begin)


# ---- the attacks, one for each kind ----------------------------------------------------------------------

Attack = Callable[[Target, float, Seen], Awaitable[None]]


def sending(queries: Callable[[int], str]) -> Attack:
    """Sends queries, several at once."""

    async def attack(target: Target, end: float, seen: Seen) -> None:
        async with client(target, ATTACKER) as http:

            async def one(task: int) -> None:
                number = task
                while time.monotonic() < end:
                    await asked(http, queries(number), seen)
                    number += TASKS

            await asyncio.gather(*(one(task) for task in range(TASKS)))

    return attack


def costly_text(number: int) -> str:
    """A new text each time: with many unknown fields, or with one field many times."""
    if number % 2:
        return "{ circuits { nodes { " + "id " * 900 + f"}} }} }} # {number}"
    return "{" + " ".join(f"circuits{number}x{n}" for n in range(900)) + "}"


def heavy_questions(number: int) -> str:
    """As many heavy questions as a query may ask, and more."""
    fields = (
        "motifs(minSupport: 2) { totalCount }",
        "sharedFeatures { totalCount }",
        "recurringEdges { totalCount }",
    )
    times = (4, 15, 30)[number % 3]
    return "{" + " ".join(f"a{n}: {fields[number % 3]}" for n in range(times)) + f"}} # {number}"


def heavy_arguments(number: int) -> str:
    """Questions that take longest with these arguments, about another pair of families each time."""
    pair = f'["family {number % 18}", "family {number // 18 % 18}"]'
    fields = (
        f"recurringEdges(minCircuits: 1, signConsistency: 0, orderBy: WEIGHT, families: {pair}) "
        "{ totalCount }",
        f'contrast(positive: {{families: {pair}}}, negative: {{families: ["family 18", "family 19"]}}) '
        "{ edges { totalCount } features { totalCount } }",
        f"motifs(minSupport: 2, among: {{families: {pair}}}) {{ totalCount }}",
        f'paths(from: {{token: "a"}}, to: {{logit: "b"}}, inCircuits: {{families: {pair}}}, maxLength: 5, '
        "minWeight: 0) { totalCount }",
        f'search(text: "a e", families: {pair}) {{ totalCount }}',
    )
    return f"{{ {fields[number % len(fields)]} }} # {number}"


def many_objects(number: int) -> str:
    """Pages in pages, within the estimated cost."""
    kind = (
        "nodes(first: 100) { nodes { id kind token layer feature { id } } }",
        "edges(first: 70) { nodes { weight source { id } target { id } } }",
    )[number % 2]
    return f"{{ circuits(first: 100) {{ nodes {{ {kind} }} }} }} # {number}"


async def unread_downloads(target: Target, end: float, seen: Seen) -> None:
    """Asks for downloads, and reads nothing of them."""
    head = (
        "GET /export/circuits.csv HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {target.token}\r\n\r\n"
    )

    async def one() -> None:
        while time.monotonic() < end:
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            plain.setblocking(False)
            plain.bind((ATTACKER, 0))
            with plain, suppress(OSError):
                await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", target.port))
                await asyncio.get_running_loop().sock_sendall(plain, head.encode())
                await asyncio.sleep(max(0.0, end - time.monotonic()))

    await asyncio.gather(*(one() for _ in range(TASKS)))


async def subscriptions(target: Target, end: float, seen: Seen) -> None:
    """Watches one job from as many sockets as are let in."""
    query = "subscription ($id: ID!) { job(id: $id) { state prompts } }"

    async def one() -> None:
        while time.monotonic() < end:
            try:
                async with websockets.connect(
                    target.url.replace("http:", "ws:") + "/graphql",
                    subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
                    additional_headers=target.bearer,
                    local_addr=(ATTACKER, 0),
                ) as opened:
                    await opened.send(json.dumps({"type": "connection_init"}))
                    for number in range(20):
                        payload = {"query": query, "variables": {"id": target.job}}
                        message = {"type": "subscribe", "id": str(number), "payload": payload}
                        await opened.send(json.dumps(message))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(max(0.0, end - time.monotonic())):
                            async for _ in opened:
                                pass
            except (OSError, websockets.WebSocketException) as error:
                seen.statuses[type(error).__name__] += 1
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(5 * TASKS)))


async def jobs(target: Target, end: float, seen: Seen) -> None:
    """Requests circuits of long prompts."""
    query = "mutation ($p: [PromptInput!]!, $a: String!) { requestCircuits(prompts: $p, author: $a) { id } }"
    async with client(target, ATTACKER) as http:

        async def one(task: int) -> None:
            number = task
            while time.monotonic() < end:
                prompts = [{"prompt": f"attack {number} {n} " + "x" * 500} for n in range(500)]
                await asked(http, query, seen, p=prompts, a=f"attacker {number}")
                number += TASKS

        await asyncio.gather(*(one(task) for task in range(TASKS)))


async def connections(target: Target, end: float, seen: Seen) -> None:
    """Opens connections, and says nothing or half of something on them."""
    said = (
        b"",
        b"GET /healthz HTTP/1.1\r\nHo",
        b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
    )

    async def one(number: int) -> None:
        while time.monotonic() < end:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", target.port, local_addr=(ATTACKER, 0)
                )
                writer.write(said[number % 3])
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, end - time.monotonic())):
                        await reader.read()
                writer.close()
            except OSError as error:
                seen.statuses[type(error).__name__] += 1
            await asyncio.sleep(0.2)

    await asyncio.gather(*(one(number) for number in range(SOCKETS)))


ATTACKS: dict[str, Attack] = {
    "texts that take long to validate": sending(costly_text),
    "heavy questions": sending(heavy_questions),
    "heavy arguments": sending(heavy_arguments),
    "answers of many objects": sending(many_objects),
    "unread downloads": unread_downloads,
    "subscriptions": subscriptions,
    "jobs": jobs,
    "silent connections": connections,
}


# ---- the measurement -------------------------------------------------------------------------------------


async def together(target: Target, clients: int, seconds: float) -> Seen:
    """What the clients were answered."""
    end, seen = time.monotonic() + seconds, Seen.nothing()
    await asyncio.gather(*(behave(target, number, end, seen) for number in range(clients)))
    return seen


def attacked(target: Target, name: str, seconds: float) -> Seen:
    """What the attacker was answered."""
    seen = Seen.nothing()
    asyncio.run(ATTACKS[name](target, time.monotonic() + seconds, seen))  # type: ignore[arg-type]
    return seen


@contextmanager
def served_with_token(home: Path) -> Iterator[tuple[Served, str]]:
    """`atlas serve` with a token, which is given too."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "token"
        file.touch(0o600)
        file.write_text(token)
        with served(home, "--token-file", str(file)) as atlas:
            yield atlas, token


def main() -> int:
    """The exit status: 1 when an attack does not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--heap", type=int, help="memory of Neo4j in MB; as much as `atlas db start` takes")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument(
        "--only", action="append", help="only attacks whose names contain this word; repeat it for several"
    )
    given = parser.parse_args()
    address = start(given.home, given.heap)
    failed = 0
    with (
        Database.connect(address.bolt_uri, address.user, address.password) as database,
        served_with_token(given.home) as ((url, port, process), token),
        ProcessPoolExecutor(1, get_context("spawn")) as elsewhere,
    ):
        from schema.jobs import RequestedPrompt, request

        job = request(database, [RequestedPrompt(f"watched {n}") for n in range(100)], "attack")
        target = Target(url, port, token, job)
        elsewhere.submit(int).result()  # the process has started before anything is measured
        try:
            asyncio.run(together(target, given.clients, WARM_S))
            for name in ATTACKS:
                if given.only and not any(word in name for word in given.only):
                    continue
                alone = asyncio.run(together(target, given.clients, given.seconds))
                bound = max(FLOOR_S, TIMES * alone.p99)
                before = process.memory_info().rss
                attacking = elsewhere.submit(attacked, target, name, given.seconds)
                others = asyncio.run(together(target, given.clients, given.seconds))
                attacker = attacking.result()
                after = process.memory_info().rss
                faults = others.faults + attacker.faults
                passed = others.p99 <= bound and after <= GROWTH * before and not faults
                failed += not passed
                show(f"alone, before {name}", alone, f"{len(alone.seconds)} answers {dict(alone.statuses)}")
                show(
                    name,
                    others,
                    f"{others.p99 / alone.p99:4.1f} x  RSS {before / 1e6:.0f} -> {after / 1e6:.0f} MB",
                    f"faults {faults}  {len(others.seconds)} answers {dict(others.statuses)}",
                    f"attacker {dict(attacker.statuses)}  {'passed' if passed else 'FAILED'}",
                )
        finally:
            database.write("MATCH (j:Job) WHERE j.asked_by STARTS WITH 'attack' DETACH DELETE j")
    return 1 if failed else 0


def show(name: str, seen: Seen, *more: str) -> None:
    print(f"{name:48} p99 {1e3 * seen.p99:8.1f} ms ", *more, sep="  ", flush=True)


if __name__ == "__main__":
    sys.exit(main())
