"""Ask the GraphQL API from a script or a notebook.

from atlas.client import AtlasClient

atlas = AtlasClient()
atlas.query("{ families { name nCircuits } }")
"""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import httpx2 as httpx

from schema.errors import AtlasError, InputError, LimitError, UnreachableError

DEFAULT_URL = "http://127.0.0.1:8000/graphql"


class QueryError(AtlasError):
    """The API answered with errors; `code` is that of the first one."""

    def __init__(self, what: str, code: str, next_step: str | None) -> None:
        super().__init__(what, next_step=next_step)
        self.code = code


class AtlasClient:
    """One connection to the API; use it as a context manager, or call `close()`."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 60.0) -> None:
        self.url = url
        self._http = httpx.Client(timeout=timeout_s)

    def __enter__(self) -> "AtlasClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def query(self, text: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of one query.

        Raises UnreachableError when nothing answers, QueryError when the API answers with errors, InputError
        when the address is not that of an atlas.
        """
        try:
            answer = self._http.post(self.url, json={"query": text, "variables": dict(variables or {})})
        except httpx.TimeoutException as error:
            raise LimitError(
                f"{self.url} did not answer in {self._http.timeout.read:.0f} s",
                next_step="ask for fewer rows (first: …), or fewer circuits",
            ) from error
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UnreachableError(
                f"No atlas answers at {self.url}",
                next_step="start it with `atlas serve` (or `make demo`), or give another address with --api",
            ) from error
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or not ("data" in body or "errors" in body):
            raise InputError(
                f"{self.url} answered {answer.status_code}, and not as a GraphQL API does",
                next_step="check the address; the atlas's own ends in /graphql",
            )
        if body.get("errors"):
            first = body["errors"][0]
            extensions = first.get("extensions") or {}
            place = ".".join(str(step) for step in first.get("path") or ())
            raise QueryError(
                (f"{place}: " if place else "") + str(first.get("message")),
                str(extensions.get("code") or "GRAPHQL"),
                extensions.get("nextStep"),
            )
        return dict(body["data"])

    def nodes(
        self, text: str, variables: Mapping[str, Any] | None = None, *, field: str
    ) -> Iterator[dict[str, Any]]:
        """Every node of the connection `field`, page after page.

        The query must take `$after: String`, pass it to the field, and ask for
        `pageInfo { hasNextPage endCursor }` and `edges { node { … } }`.
        """
        after: str | None = None
        while True:
            connection = self.query(text, {**(variables or {}), "after": after})
            for step in field.split("."):
                connection = connection[step]
            for edge in connection["edges"]:
                yield edge["node"]
            if not connection["pageInfo"]["hasNextPage"]:
                return
            after = connection["pageInfo"]["endCursor"]
