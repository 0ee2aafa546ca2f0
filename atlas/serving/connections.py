"""Connections of the server: how many there may be, and how long a client may be silent.

uvicorn ends connections that are idle after an answer. It has no limit on the number of connections, on the
time of a request's head, or on the time for which a client leaves an answer unread; here are these.
"""

import asyncio
import resource
import socket
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.request.limits import Limits

HEAD_BYTES = 65_536
"""Bytes of the longest head of a request."""
SPARE_FILES = 100
"""Files that the server opens beside connections."""


def connections_within(limits: Limits, database: int) -> int:
    """Connections of clients that leave files for everything else. database: connections to the database.

    It first raises the process's limit of open files as far as the system allows.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + limits.sockets + database + SPARE_FILES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    return max(1, min(limits.connections, soft - limits.sockets - database - SPARE_FILES))


def bounded(limits: Limits, connections: int) -> type[HttpToolsProtocol]:
    """uvicorn's protocol for HTTP with these limits. connections: in all; WebSockets have a limit of their
    own."""
    at_hand: Counter[str] = Counter()

    class Bounded(HttpToolsProtocol):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self._address = ""
            self._counted = False
            self._head_bytes: int | None = None
            """Of the request whose head has not arrived; None between heads."""
            self._silence: asyncio.TimerHandle | None = None
            """Ends the connection unless a head is complete before."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._address = str((transport.get_extra_info("peername") or ("",))[0])
            at_hand[self._address] += 1
            self._counted = True
            if at_hand.total() > connections or at_hand[self._address] > limits.client_connections:
                transport.abort()
                return
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                # The system ends a connection whose client has read nothing for so long.
                transport.get_extra_info("socket").setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * limits.write_s)
                )
            self._head_begins()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_ends()
            self._leave()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._head_bytes is not None:
                self._head_bytes += len(data)
                if self._head_bytes > HEAD_BYTES:
                    self.transport.abort()
            elif self._counted and self._silence is None and self._answered:
                # Bytes that belong to no request that is worked on, such as the rest of a body that nobody
                # read. uvicorn has stopped waiting for the next request when they came.
                self._silence = self.loop.call_later(limits.read_s, self.transport.abort)

        @property
        def _answered(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._head_begins()

        def on_headers_complete(self) -> None:
            self._head_ends()
            super().on_headers_complete()

        def handle_websocket_upgrade(self) -> None:
            self._leave()
            super().handle_websocket_upgrade()

        def _head_begins(self) -> None:
            self._head_ends()
            self._head_bytes = 0
            self._silence = self.loop.call_later(limits.read_s, self.transport.abort)

        def _head_ends(self) -> None:
            self._head_bytes = None
            if self._silence is not None:
                self._silence.cancel()
                self._silence = None

        def _leave(self) -> None:
            if self._counted:
                self._counted = False
                at_hand[self._address] -= 1
                if not at_hand[self._address]:
                    del at_hand[self._address]

    return Bounded
