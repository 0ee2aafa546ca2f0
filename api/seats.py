"""How many queries are answered at the same time, GraphQL and downloads together."""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.responses import Response

from api.errors import refusal
from api.metrics import Metrics


class Seats:
    """One for each query that is being answered."""

    def __init__(self, limit: int, metrics: Metrics) -> None:
        self._limit, self._metrics, self._taken = limit, metrics, 0

    def refusal(self) -> Response | None:
        """The answer to a request for which there is no seat; None when there is one."""
        if self._taken < self._limit:
            return None
        return refusal(
            429,
            "BUSY",
            f"The atlas is answering {self._taken} queries, which is its limit",
            "ask again in a second",
            headers={"retry-after": "1"},
        )

    @contextmanager
    def seat(self) -> Iterator[None]:
        self._taken += 1
        self._metrics.running.set(self._taken)
        try:
            yield
        finally:
            self._taken -= 1
            self._metrics.running.set(self._taken)
