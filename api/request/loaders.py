"""What one request carries: its limits, and loaders that turn many small look-ups into one query each."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import strawberry
from strawberry.dataloader import DataLoader

from api.request.limits import Limits
from api.request.metrics import Metrics
from schema.database import AsyncDatabase, Database
from schema.errors import LimitError, QueryTimeoutError
from schema.questions.question import Page, Question, ask_async

Row = TypeVar("Row")
Answer = TypeVar("Answer")


def _key(value: object) -> Hashable:
    """Keys of several parts come back from the database as lists."""
    return tuple(value) if isinstance(value, list) else value


class Ahead(NamedTuple):
    """A page that will be asked of one key, known before the key's own facts are."""

    question: Question[Page[Any]]
    parameters: dict[str, Any]
    """Its own, `skip` and `limit`."""


class Loaders:
    """Every way a request reads the database.

    Look-ups of one question with equal parameters that are made while a level of the query is resolved travel
    together, and no key is asked for twice.
    """

    at_once = True
    """Whether a question may be asked beside what can still refuse it."""

    def __init__(self, database: AsyncDatabase, limits: Limits, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._running: set[asyncio.Task[Any]] = set()
        self._limits = limits
        self._deadline: float | None = None
        self._rows_left = limits.rows
        self._wanted: frozenset[str] | None = None
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        self._here: defaultdict[str, dict[Hashable, Any]] = defaultdict(dict)

    async def ask(
        self, question: Question[Row], owner: Question[Any] | None = None, /, **parameters: object
    ) -> list[Row]:
        """The whole answer to a question. owner: brings the facts of its keys along.

        Raises QueryTimeoutError when the request's time is used up.
        """
        left = self.left()
        # A task of its own, because a look-up that several resolvers wait for belongs to none of them.
        asked = ask_async(self._database, question, owner, timeout_s=left, wanted=self._wanted, **parameters)
        task = asyncio.create_task(asked)
        self._running.add(task)
        try:
            with self._metrics.database_seconds.labels(question.name).time():
                answer = await task
        finally:
            self._running.discard(task)
        for facts, rows in answer.facts.items():
            found = {_key(row.key): row for row in rows}
            self.spend(len(found))
            self._here[facts.name] |= found
        return answer.rows

    def want(self, names: frozenset[str]) -> None:
        """Columns that are not among these will not be asked for; said before anything is."""
        self._wanted = names

    def may_want(self, name: str) -> bool:
        """Whether a column may be asked for."""
        return self._wanted is None or name in self._wanted

    def again(self) -> "Loaders":
        """Loaders that remember nothing, with time and rows of their own."""
        return Loaders(self._database, self._limits, self._metrics)

    def left(self) -> float:
        """Seconds that the request may still spend in the database; QueryTimeoutError when there are none."""
        if self._deadline is None:
            # The time that a request waits for a seat does not count.
            self._deadline = time.monotonic() + self._limits.timeout_s
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise QueryTimeoutError(
                f"The request used up its {self._limits.timeout_s:g} s in the database",
                next_step="ask for fewer rows (first: …), fewer circuits or less nesting",
            )
        return left

    def cancel(self) -> None:
        """Stop what still runs in the database, when nobody waits for the answer any more."""
        for task in self._running:
            task.cancel()

    async def ask_page(self, question: Question[Answer], *, limit: int, **parameters: object) -> Answer:
        """The page that answers a question; such questions have exactly one row."""
        self.spend(limit)
        (page,) = await self.ask(question, limit=limit, **parameters)
        return page

    async def one(self, question: Question[Row], key: Hashable, **parameters: Hashable) -> Row | None:
        """The row of `key`, None when there is none."""
        if not parameters and (row := self._here[question.name].get(key)) is not None:
            here: Row = row
            return here
        rows = await self.many(question, key, **parameters)
        return rows[0] if rows else None

    def fact(self, question: Question[Row], key: str, of: Callable[[Row], Answer]) -> Answer:
        """What `of` makes of the row of `key`: itself when the row came along, else something to wait for.

        GraphQL takes either from a resolver, and waits for it; a page whose entries need no waiting for takes
        half the time.
        """
        if (row := self._here[question.name].get(key)) is not None:
            return of(row)

        async def later() -> Answer:
            (row,) = await self.all_of(question, [key])
            return of(row)

        return cast(Answer, later())

    async def many(self, question: Question[Row], key: Hashable, **parameters: Hashable) -> list[Row]:
        """Every row of `key`."""
        loaded: list[Row] = await self._loader(question, parameters, list, per_key=1).load(key)
        return loaded

    async def all_of(self, question: Question[Row], keys: list[str]) -> list[Row]:
        """The rows of `keys`, one each, in their order; keys without a row are left out."""
        here: dict[Hashable, Row] = self._here[question.name]
        if missing := [key for key in keys if key not in here]:
            loaded = await self._loader(question, {}, list, per_key=1).load_many(missing)
            here = here | {key: rows[0] for key, rows in zip(missing, loaded, strict=True) if rows}
        return [here[key] for key in keys if key in here]

    async def page(
        self, question: Question[Page[Row]], key: Hashable, *, skip: int, limit: int, **parameters: Hashable
    ) -> Page[Row]:
        """The page of `key`'s list."""
        loaded: Page[Row] = await self._pages(question, skip=skip, limit=limit, **parameters).load(key)
        return loaded

    async def owner_of(self, owner: Question[Row], key: str, ahead: Ahead | None) -> Row | None:
        """The row of `key`, None when there is none.

        ahead: travels in the same message.
        """
        if ahead is not None and self.at_once:
            page = await self._pages(ahead.question, owner, **ahead.parameters).load(key)
            self._pages(ahead.question, **ahead.parameters).prime(key, page)
        return await self.one(owner, key)

    def _pages(
        self,
        question: Question[Any],
        owner: Question[Any] | None = None,
        /,
        *,
        limit: int,
        **parameters: Hashable,
    ) -> DataLoader[Any, Any]:
        def first(rows: list[Page[Any]]) -> Page[Any]:
            return rows[0] if rows else Page(0, [])

        return self._loader(question, {**parameters, "limit": limit}, first, per_key=limit, owner=owner)

    def _loader(
        self,
        question: Question[Any],
        parameters: dict[str, Any],
        pick: Callable[[list[Any]], Any],
        per_key: int,
        owner: Question[Any] | None = None,
    ) -> DataLoader[Any, Any]:
        name = (question.name, owner and owner.name, *sorted(parameters.items()))
        if name not in self._loaders:

            async def load(keys: list[Hashable]) -> list[Any]:
                self.spend(len(keys) * per_key)
                found: defaultdict[Hashable, list[Any]] = defaultdict(list)
                for row in await self.ask(question, owner, keys=keys, **parameters):
                    found[_key(row.key)].append(row)
                return [pick(found[key]) for key in keys]

            self._loaders[name] = DataLoader(load_fn=load)
        return self._loaders[name]

    def spend(self, rows: int) -> None:
        """Raises LimitError before a query that could bring more rows than the request has left."""
        if rows > self._rows_left:
            raise LimitError(
                f"The request could read more than {self._limits.rows} rows",
                next_step="ask for smaller pages (first: …) inside lists, or for less nesting",
            )
        self._rows_left -= rows


@dataclass
class Context:
    """What every resolver of one request, or of one socket, can reach."""

    loaders: Loaders
    limits: Limits
    writer: Database | None = None
    """Where mutations write; None: nobody may."""
    authorization: str = ""
    """The header of a socket."""
    connection_params: dict[str, object] | None = None
    """What a socket's first message said."""


Info = strawberry.Info[Context, None]
