"""The local Neo4j: its life in one home, and what it says when it cannot start."""

import json
import os
import select
import signal
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import psutil
import pytest

from atlas.local.server import LocalServer, Status
from schema.database import Database
from schema.errors import CredentialsError, DatabaseError, InputError, ServerError
from tests.support.servers import free_port


def test_life_of_a_server(tmp_path: Path):
    server = LocalServer(tmp_path / "home")
    ports = {"bolt_port": free_port(), "http_port": free_port()}
    address = server.start(**ports, heap_mb=256)
    try:
        assert address.bolt_uri == f"bolt://127.0.0.1:{ports['bolt_port']}"
        assert address.password not in repr(address)
        first = server.status()
        assert first == Status(True, first.pid, address, "2026.08.1", first.data_bytes)
        assert first.data_bytes > 0
        assert server.start() == address, "a second start finds the running one, whatever the ports"
        assert "Neo4j Browser" in httpx2.get(address.browser_url, trust_env=False).text
        assert _listening(first.pid) == {"127.0.0.1"}, "loopback only"
        assert stat.S_IMODE(server._credentials.stat().st_mode) == 0o600

        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            database.write("CREATE (:Survivor)")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        _gone(first.pid)
        assert server.status() == replace(
            first, running=False, pid=None, address=None, data_bytes=_any(server)
        )

        assert server.start(**ports, heap_mb=256) == address
        with Database.connect(address.bolt_uri, address.user, address.password) as database:
            assert database.read("MATCH (n:Survivor) RETURN count(n) AS n") == [{"n": 1}]

        server._credentials.write_text(json.dumps({"user": "neo4j", "password": "another one"}))
        with pytest.raises(CredentialsError, match="is not that of the database"):
            server.start()
        assert server.status().running
    finally:
        assert server.stop()
    assert not server.status().running
    assert not server.stop()


def test_a_recycled_process_id_is_neither_reported_nor_killed(tmp_path: Path):
    server = LocalServer(tmp_path)
    (tmp_path / "server.json").write_text(
        json.dumps({"pid": os.getpid(), "bolt_port": 7687, "http_port": 7474})
    )
    assert server.status() == Status(False, None, None, "2026.08.1", 0)
    assert server.stop() is False


def test_status_of_a_home_that_is_not_there_makes_nothing(tmp_path: Path):
    server = LocalServer(tmp_path / "none")
    assert server.status() == Status(False, None, None, "2026.08.1", 0)
    assert server.stop() is False
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("option", ["--bolt-port", "--http-port"])
def test_a_taken_port_is_named_with_the_option_to_type(tmp_path: Path, option: str):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = {"bolt_port": free_port(), "http_port": free_port()}
        ports["bolt_port" if option == "--bolt-port" else "http_port"] = taken
        with pytest.raises(InputError) as caught:
            LocalServer(tmp_path).start(**ports)
    assert f"127.0.0.1:{taken}" in caught.value.what
    assert caught.value.next_step == (
        f"stop the program that uses the port, or choose another one, for example {option} {taken + 1}"
    )
    assert not (tmp_path / "credentials").exists()


def test_a_home_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "home").write_text("")
    with pytest.raises(InputError, match="cannot be used for the database"):
        LocalServer(tmp_path / "home").start()


def test_credentials_that_are_no_credentials_are_refused(tmp_path: Path):
    (tmp_path / "credentials").write_text("{}")
    with pytest.raises(CredentialsError, match="cannot be read") as caught:
        LocalServer(tmp_path).start(bolt_port=free_port(), http_port=free_port())
    assert caught.value.next_step == 'it should hold {"user": "neo4j", "password": "…"}'


STATES = [
    "",
    "[]",
    "null",
    "{",
    "{}",
    '{"pid": "1"}',
    '{"pid": 1}',
    '{"pid": -1, "bolt_port": 7687, "http_port": 7474}',
    '{"pid": 9007199254740993, "bolt_port": 7687, "http_port": 7474}',
    '{"pid": 1, "bolt_port": 0, "http_port": 7474}',
    '{"pid": 1, "bolt_port": 7687, "http_port": 7474, "heap_mb": null}',
    "[" * 100_000,
    "\x00",
]


@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
def test_a_malformed_state_is_named_with_what_to_do(tmp_path: Path, state: str):
    (tmp_path / "server.json").write_text(state)
    server = LocalServer(tmp_path)
    for call in (server.status, server.stop, server.start):
        with pytest.raises(ServerError, match=r"server\.json cannot be read") as caught:
            call()
        assert f"--home-dir={tmp_path}" in str(caught.value.next_step)
    assert (tmp_path / "server.json").read_text() == state


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_state_that_is_no_file_is_refused_without_waiting(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "server.json")
    server = LocalServer(tmp_path)
    for call in (server.status, server.stop, server.start):
        with pytest.raises(ServerError, match=r"server\.json cannot be read: .*it is no plain file"):
            call()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_home_that_others_can_read_is_closed(tmp_path: Path, mode: int):
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(mode)
    LocalServer(home).stop()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_cypher_reaches_neither_files_nor_the_network(connection: Database, tmp_path: Path):
    """The one user of the database is its administrator, and must still not read the machine's files."""
    file = tmp_path / "file.csv"
    file.write_text("content\n")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web:
        port = web.server_address[1]
        for address in (
            f"file://{file}",
            f"file:///../../../../../../../..{file}",
            "file:///credentials",
            "file:///../credentials",
            f"http://127.0.0.1:{port}/x.csv",
            f"http://localhost:{port}/x.csv",
            f"http://[::1]:{port}/x.csv",
            f"ftp://127.0.0.1:{port}/x.csv",
        ):
            with pytest.raises(DatabaseError) as caught:
                connection.read("LOAD CSV FROM $address AS line RETURN line", {"address": address})
            assert "content" not in caught.value.what
            assert not select.select([web.socket], [], [], 0)[0], f"{address} was asked"
    procedures = {row["name"] for row in connection.read("SHOW PROCEDURES YIELD name")}
    assert {name.partition(".")[0] for name in procedures} == {"db", "dbms", "tx"}


def _listening(pid: int | None) -> set[str]:
    connections = psutil.Process(pid).net_connections(kind="inet")
    addresses = {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}
    return {address.removeprefix("::ffff:") for address in addresses}


def _gone(pid: int) -> None:
    end = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)


def _any(server: LocalServer) -> int:
    return server.status().data_bytes
