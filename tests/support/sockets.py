"""WebSockets of tests, without a network."""

import asyncio
import json
from typing import Any

from starlette.types import Message

from tests.support.api import Api


class Socket:
    """A WebSocket to the API, without a network."""

    def __init__(self, api: Api, address: str = "127.0.0.1") -> None:
        self._received, self._sent = asyncio.Queue[Message](), asyncio.Queue[Message]()
        scope = {
            "type": "websocket",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "subprotocols": ["graphql-transport-ws"],
            "scheme": "ws",
            "server": ("localhost", 80),
            "client": (address, 1),
        }
        self._received.put_nowait({"type": "websocket.connect"})
        self.ended = asyncio.create_task(api.app(scope, self._received.get, self._sent.put))

    def say(self, message: Any) -> None:
        self._received.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    def leave(self) -> None:
        self._received.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def answers(self) -> list[Message]:
        """What was sent until the socket ended. Raises what ended it."""
        await asyncio.wait_for(self.ended, 20)
        return [self._sent.get_nowait() for _ in range(self._sent.qsize())]
