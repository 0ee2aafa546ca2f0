"""Clients that are silent, slow or too many lose their connections, and the others are answered meanwhile."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest
import uvicorn

from api.app import create_app
from api.request.limits import Limits
from atlas.local.server import Address
from atlas.serving.connections import HEAD_BYTES, bounded, connections_within
from schema.database import AsyncDatabase
from tests.support.servers import free_port

HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SILENT = {
    "nothing": b"",
    "half a line": b"GET /healthz HT",
    "half a head": HEAD,
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"query": ',
    "half a chunk": HEAD + b'Transfer-Encoding: chunked\r\n\r\n40\r\n{"query": ',
}
LIMITS = Limits(read_s=0.5, write_s=1.0, connections=6, client_connections=4)


@asynccontextmanager
async def listening(server: Address, limits: Limits) -> AsyncIterator[int]:
    """The port of a real server."""
    port = free_port()
    async with await AsyncDatabase.connect(server.bolt_uri, server.user, server.password) as database:
        app = create_app(database, limits=limits)
        config = uvicorn.Config(
            *(app, "127.0.0.1", port), log_level="error", http=bounded(limits, limits.connections)
        )
        running = uvicorn.Server(config)
        task = asyncio.create_task(running.serve())
        while not running.started:
            await asyncio.sleep(0.01)
        yield port
        running.should_exit = True
        await task


async def opened(port: int, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the server ends the connection."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("kind", SILENT)
async def test_a_client_that_falls_silent_loses_its_connection(server, circuits, kind):
    async with listening(server, LIMITS) as port:
        reader, writer = await opened(port)
        writer.write(SILENT[kind])
        await writer.drain()
        answer = await ended(reader)
        assert answer.split(b" ")[1:2] == ([b"408"] if "b" in kind.split()[-1] or "chunk" in kind else [])
        writer.close()


OLD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
LEFT_OVER = {
    "an empty line": (OLD + b"\r\n", b"\r\n"),
    "a body that nobody reads": (OLD + b"Content-Length: 100\r\n\r\n", b"x"),
    "chunks that nobody reads": (
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"4",
    ),
    "the body of a page that came from elsewhere": (
        HEAD + b"Origin: http://evil\r\nContent-Length: 100\r\n\r\n{",
        b'"',
    ),
    "the body of a download": (
        b"GET /export/circuits.csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n",
        b"x",
    ),
    "a body that came too slowly": (HEAD + b"Content-Length: 100\r\n\r\n{", b'"'),
    "a body that is too large": (HEAD + b"Content-Length: 2000000\r\n\r\n" + b" " * 1_100_000, b" "),
}
"""A request with an answer, and what a client sends after the answer before it falls silent."""


@pytest.mark.parametrize("kind", LEFT_OVER)
async def test_who_sends_more_after_an_answer_and_falls_silent_loses_its_connection(server, circuits, kind):
    request, more = LEFT_OVER[kind]
    async with listening(server, LIMITS) as port:
        reader, writer = await opened(port)
        writer.write(request)
        assert await reader.readline() != b""
        await asyncio.sleep(0.2)
        writer.write(more)
        await ended(reader)
        writer.close()


async def test_a_second_request_on_a_connection_has_its_time_too(server, circuits):
    async with listening(server, LIMITS) as port:
        reader, writer = await opened(port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" in await reader.readline()
        writer.write(b"GET /healthz HTTP/1.1\r\nHo")
        await ended(reader)
        writer.close()


async def test_a_head_without_end_is_cut(server, circuits):
    async with listening(server, Limits(read_s=60)) as port:
        reader, writer = await opened(port)
        writer.write(HEAD + b"".join(b"x: " + b"y" * 4000 + b"\r\n" for _ in range(2 * HEAD_BYTES // 4000)))
        assert await ended(reader) == b""
        writer.close()


async def test_too_many_connections_are_closed_and_others_are_answered(server, circuits):
    async with AsyncExitStack() as held:
        port = await held.enter_async_context(listening(server, LIMITS))
        known = await held.enter_async_context(
            httpx2.AsyncClient(base_url=f"http://localhost:{port}", trust_env=False)
        )
        assert (await known.get("/healthz")).status_code == 200
        # Those of one client beyond its share, then those beyond all.
        for address, left in (("127.0.0.2", 4), ("127.0.0.3", 1)):
            made = [await opened(port, address) for _ in range(6)]
            await asyncio.sleep(0.1)
            assert sum(not reader.at_eof() for reader, _ in made) == left
            held.push_async_callback(close, [writer for _, writer in made])
        assert (await known.get("/healthz")).status_code == 200


async def close(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()


async def test_an_answer_that_nobody_reads_is_given_up(server, circuits):
    """Downloads fill what the system holds for a connection, and their slots are free again after a while."""
    limits = Limits(write_s=1.0, downloads=2, client_downloads=2)
    async with listening(server, limits) as port:
        unread = []
        for _ in range(4):
            one = socket.create_connection(("127.0.0.1", port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(b"GET /export/circuits.csv HTTP/1.1\r\nHost: localhost\r\n\r\n")
            unread.append(one)
        async with httpx2.AsyncClient(
            base_url=f"http://localhost:{port}", trust_env=False, timeout=30
        ) as http:
            assert (await http.post("/graphql", json={"query": "{ families { name } }"})).status_code == 200
            assert (await http.get("/export/families.csv")).status_code in (200, 404)
        for one in unread:
            one.close()


def test_files_are_left_for_the_database():
    limits = Limits(connections=10**9)
    assert connections_within(limits, database=100) < 10**9
    assert connections_within(Limits(connections=5), database=10) == 5
