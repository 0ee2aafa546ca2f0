"""The connection to Neo4j is cut for thirty seconds in the midst of a load, which then goes on."""

import re
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

from schema.loading.load import GROUP_CIRCUITS
from schema.upkeep.canonical_dump import dump
from tests.support.loading import Loader, assert_sound, count, wait_until, write_graphs
from tests.support.servers import empty

N_CIRCUITS = 4 * GROUP_CIRCUITS
CUT_S = 30
GIVES_UP_S = 150
"""The driver tries for half a minute or a minute, to load and to look whether the circuit is there."""


class Relay:
    """Passes on what comes to a port of its own, until it is cut: then nothing more, and nobody is let in."""

    def __init__(self, host: str, port: int) -> None:
        self._there = (host, port)
        self._open: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.uri = f"bolt://127.0.0.1:{self._door.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._door.accept()
                if not self._whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection(self._there)
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        target.close()

    def cut(self) -> None:
        self._whole.clear()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open = []

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        self._door.close()


def test_the_connection_is_cut_for_good(database, server, tmp_path):
    """The error says how many circuits were loaded, and that the same command goes on; it does."""
    graphs = write_graphs(tmp_path / "graphs", N_CIRCUITS)
    address = urlsplit(server.bolt_uri)
    assert address.hostname is not None
    assert address.port is not None
    relay = Relay(address.hostname, address.port)
    try:
        loader = Loader(graphs, server, tmp_path / "said.txt", uri=relay.uri)
        wait_until(lambda: count(database) >= N_CIRCUITS // 4 or not loader.alive, "a quarter is loaded")
        assert loader.alive
        relay.cut()
        began = time.monotonic()
        status, said = loader.end(GIVES_UP_S)
        assert status == 1, (time.monotonic() - began, said)
    finally:
        relay.close()
    found = re.search(r"(\d+) circuits were loaded before that", " ".join(said.split()))
    assert found, said
    # The answer to the last commit may have been lost.
    assert count(database) - GROUP_CIRCUITS <= int(found[1]) <= count(database)
    assert "run the same command again; it resumes from there" in " ".join(said.split())
    status, said = Loader(graphs, server, tmp_path / "said.txt").end()
    assert status == 0, said
    assert count(database) == N_CIRCUITS


def test_the_connection_is_cut_for_thirty_seconds(database, server, tmp_path):
    graphs = write_graphs(tmp_path / "graphs", N_CIRCUITS)
    status, said = Loader(graphs, server, tmp_path / "clean.txt").end()
    assert status == 0, said
    clean = dump(database)
    empty(database)

    address = urlsplit(server.bolt_uri)
    assert address.hostname is not None
    assert address.port is not None
    relay = Relay(address.hostname, address.port)
    try:
        loader = Loader(graphs, server, tmp_path / "said.txt", uri=relay.uri)
        wait_until(lambda: count(database) >= N_CIRCUITS // 4 or not loader.alive, "a quarter is loaded")
        assert loader.alive
        relay.cut()
        before = count(database)
        time.sleep(CUT_S)
        # What had been sent whole may still arrive.
        assert count(database) in (before, before + GROUP_CIRCUITS)
        relay.mend()
        status, said = loader.end()
        if status != 0:  # it gave up: nothing is lost, and the same command goes on
            assert "→" in said
            status, said = Loader(graphs, server, tmp_path / "said.txt", uri=relay.uri).end()
        assert status == 0, said
        assert_sound(database, clean)
    finally:
        relay.close()
