"""How one request reads the database: few messages, each with everything that the query is known to need.

A message to the database costs about a millisecond, which is as much as most questions cost. A query over two
levels must therefore not send one message for each object on its way. This example needs one message:

    { feature(id: "F") { layer circuits { nodes { influence circuit { answer prompt { text } } } } } }

      resolver              asks for                   where the answer comes from
    ┌─────────────────┐   ┌────────────────────────┐   ┌───────────────────────────────────────────────────┐
    │ feature         │──▶│ features_by_id      F  │   │ one message                                       │
    │   circuits      │──▶│ circuits_of_feature F  │──▶│ CALL () { circuits_of_feature.cypher }            │
    │     circuit     │──▶│ circuits_by_id   c1 c2 │   │ CALL (keys) { features_by_id.cypher }           3 │
    │       prompt    │──▶│ prompts_by_id    p1 p2 │   │ CALL (rows) { circuit_summaries.cypher }      1 2 │
    └─────────────────┘   └────────────────────────┘   │ CALL (circuits_by_id) { prompt_texts.cypher } 1 2 │
                                                       └───────────────────────────────────────────────────┘

Four mechanisms, all in this file:

0. Batches. `Loaders.many` and `Loaders.page` collect the keys that sibling objects ask for while one level of
   the query is resolved, and ask for all of them at once. No key is asked for twice.
1. References. The rows of most questions hold keys of circuits, features or prompts. A question declares the
   lookup of these keys (`Question.refers`). The lookup is sent as a subquery of the same message, and its
   records wait in the loaders until a resolver asks for them (`Loaders.one`, `fact`, `all_of`).
2. Summaries. A reference that the query does not follow is left out. Where a query names only a few common
   fields of a record, a shorter lookup with these columns is sent instead (`Lookup.summary`).
3. Prefetch. `circuit(id:)` and `feature(id:)` see in the query which page will be asked of the object next.
   The page and the object's own record then travel in one message (`next_page`, `Loaders.owner_of`).
   What many fields of a request need is asked once (`Loaders.once`), such as the prompts of all circuits.

A field that answers with a list returns a value that says what to ask: a `Listing`, which is a question and
its parameters. Its connection reads one page of it when a field of the connection is resolved. A download
takes the same value and streams the whole list. A list that takes long to compute is read in long stretches,
which wait for the next pages (`api.request.kept_lists`).

Values from outside are parameters of these messages, never part of their text.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from strawberry.dataloader import DataLoader
from strawberry.extensions import SchemaExtension
from strawberry.schema import Schema
from strawberry.types.graphql import OperationType
from strawberry.types.nodes import SelectedField
from strawberry.utils.str_converters import to_camel_case

from api.request.concurrency import ClientShare
from api.request.cursors import window
from api.request.kept_lists import Kept, KeptLists, key_of
from api.request.limits import Limits
from api.request.metrics import Metrics
from api.request.weights import HEAVY
from schema.database import AsyncDatabase, Database
from schema.errors import InputError, LimitError, QueryTimeoutError
from schema.questions.question import KeyReference, Lookup, Page, Question

if TYPE_CHECKING:
    from api.request.watching import JobWatch

Row = TypeVar("Row")
Answer = TypeVar("Answer")

SLICE_S = 0.01
"""Seconds for which the records of one answer are read before the event loop turns to others."""

FieldNames = frozenset[str] | None
"""Names of the GraphQL fields that a query asks for; None: any field may be asked for."""


# ---- the text of a message -------------------------------------------------------------------------------


class JoinedLookup(NamedTuple):
    """One lookup that travels with a question."""

    column: str
    """The column of the message in which its records come: one list for each record."""
    of: str
    """The column that holds the rows whose keys are looked up."""
    keys: str
    """Cypher: the list of the keys in one of these rows, called `row`."""
    lookup: Lookup[Any]
    summary: Lookup[Any] | None
    """The shorter lookup that is sent instead, if it is enough."""


@lru_cache(1024)
def parts_of(
    question: Question[Any], owner: Lookup[Any] | None, fields: FieldNames
) -> tuple[JoinedLookup, ...]:
    """The lookups that travel with `question`: what its rows refer to, and what these records refer to.

    owner: the lookup of the `key` of each row, which travels too.
    """
    parts = list(_chain(question.refers, question, "rows", "", fields))
    if owner is not None:
        parts += _chain(KeyReference(owner), question, "keys", "owner_", fields)
    return tuple(parts)


def _chain(
    reference: KeyReference | None, question: Question[Any], of: str, prefix: str, fields: FieldNames
) -> Iterator[JoinedLookup]:
    while reference is not None:
        lookup, records = reference.to, question if isinstance(question, Lookup) else None
        if records is not None and not _any_named(reference.columns, fields):
            return
        # Rows are maps or single keys; records are lists of values.
        values = [
            f"row.{name}" if records is None else f"row[{records.columns.index(name)}]"
            for name in reference.columns
        ] or ["row" if records is None else "row[0]"]
        short = lookup.summary
        if short is not None and _any_named(set(lookup.columns) - set(short.columns), fields):
            short = None
        column = prefix + lookup.name
        yield JoinedLookup(column, of, f"[{', '.join(values)}]", lookup, short)
        reference, question, of = lookup.refers, lookup, column


def _any_named(columns: AbstractSet[str] | tuple[str, ...], fields: FieldNames) -> bool:
    """Whether the query names a field that is made of one of these columns."""
    return fields is None or any(_field_name(column) in fields for column in columns)


_field_name = cache(to_camel_case)


@cache
def message(question: Question[Any], owned: bool, parts: tuple[JoinedLookup, ...]) -> str:
    """The Cypher that asks `question` together with `parts`; one column more for each part.

    Records come as one list of lists: the driver takes time for each record and for each name in a map.
    """
    lines = [f"CALL () {{\n{question.text}\n}}"]
    if isinstance(question, Lookup):
        lines.append(f"WITH {_collected(question, question)} AS rows")
    if owned:
        lines.append("WITH *, [key] AS keys")
    for column, of, keys, lookup, summary in parts:
        sent = summary or lookup
        lines.append(
            f"CALL ({of}) {{\nCALL ({of}) {{\nUNWIND {of} AS row\nUNWIND {keys} AS key\n"
            f"WITH DISTINCT key\n{sent.of_one_key}\n}}\n"
            f"RETURN {_collected(lookup, sent)} AS {column}\n}}"
        )
    return "\n".join([*lines, "RETURN *"])


def _collected(lookup: Lookup[Any], sent: Lookup[Any]) -> str:
    """Cypher: every record of `lookup` as a list of values; null where `sent` does not bring the column."""
    values = [name if name in sent.columns else "null" for name in lookup.columns]
    return f"collect([{', '.join(values)}])"


# ---- what a query names ----------------------------------------------------------------------------------


def reads(*fields: str) -> dict[str, Any]:
    """The `metadata` of a field whose resolver reads other fields of its object, by their GraphQL names.

    Records bring only what the query names, so a field that is asked for alone must say what it is made of.
    """
    return {"reads": fields}


@cache
def _read_by_fields(schema: Schema) -> Mapping[str, frozenset[str]]:
    """For each name of a field that declares with `reads` what it is made of: these fields."""
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for kind in schema.schema_converter.type_map.values():
        for each in getattr(kind.definition, "fields", ()):
            name = each.graphql_name or _field_name(each.python_name)
            found[name] |= frozenset(each.metadata.get("reads", ()))
    return found


def fields_named(schema: Schema, document: DocumentNode) -> frozenset[str]:
    """The name of every field in a GraphQL document, fragments included, and of the fields these are made
    of."""
    made_of = _read_by_fields(schema)
    names: set[str] = set()
    selections: list[SelectionSetNode | None] = [
        node.selection_set
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
    ]
    while selections:
        chosen = selections.pop()
        for node in chosen.selections if chosen else ():
            if isinstance(node, FieldNode):
                names |= {node.name.value} | made_of[node.name.value]
            if isinstance(node, FieldNode | InlineFragmentNode):
                selections.append(node.selection_set)
    return frozenset(names)


class AsksForNamed(SchemaExtension):
    """Tells the loaders which fields the query names, before any of them is resolved."""

    def on_execute(self) -> Iterator[None]:
        context = self.execution_context
        # All subscriptions of one socket share their loaders.
        if context.graphql_document is not None and context.operation_type is not OperationType.SUBSCRIPTION:
            context.context.loaders.expect(fields_named(context.schema, context.graphql_document))
        yield


class NextPage(NamedTuple):
    """A page that the query asks of an object, known before the object itself is looked up."""

    question: Question[Page[Any]]
    parameters: dict[str, Any]
    """The question's own parameters, `skip` and `limit` included."""


async def next_page(info: "Info", pages: Mapping[str, "PageOf"]) -> NextPage | None:
    """The first page that the query asks of the object that is being resolved, or None.

    pages: for each field of the object, the listing that it answers with when it has no argument but `first`
    and `after`, or what finds it out.
    """
    for chosen in info.selected_fields:
        for below in chosen.selections:
            if not isinstance(below, SelectedField) or below.directives or below.name not in pages:
                continue
            given = below.arguments
            if not _reads(below) or not given.keys() <= {"first", "after"}:
                continue
            of, first = pages[below.name], given.get("first")
            try:
                where = window(info.context.limits, None if first is None else int(first), given.get("after"))
            except (InputError, LimitError):
                return None  # The field itself reports the error.
            listing = of if isinstance(of, Listing) else await of(info)
            return NextPage(listing.question, {**listing.parameters, **where._asdict()})
    return None


def _reads(chosen: SelectedField) -> bool:
    """Whether more is asked of a field than the name of its type."""
    return any(not isinstance(each, SelectedField) or each.name != "__typename" for each in chosen.selections)


# ---- answers that wait -----------------------------------------------------------------------------------


class Later(Generic[Answer]):
    """An answer that is asked for once, when it is first awaited. Any number of resolvers may await it."""

    def __init__(self, ask: Callable[[], Awaitable[Answer]]) -> None:
        self._ask = ask
        self._asked: asyncio.Future[Answer] | None = None

    def __await__(self) -> Generator[Any, None, Answer]:
        if self._asked is not None:
            return (yield from self._asked)
        self._asked = asyncio.get_running_loop().create_future()
        # The first to await asks in its own task: a task for each connection would cost as much as its page.
        try:
            answer = yield from self._ask().__await__()
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._asked.set_exception(error)
                self._asked.exception()  # read here, so that nobody else has to
            else:
                self._asked.cancel()
            raise
        self._asked.set_result(answer)
        return answer


# ---- lists -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listing(Generic[Answer]):
    """A list as a value: what to ask the database for it. A page is a stretch of it, a download all of it."""

    question: Question[Answer]
    """It takes `skip` and `limit`, and answers with a `Page` or another type with `total` and `rows`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """The question's parameters, without `skip` and `limit`."""
    key: Hashable = None
    """The object whose list it is, in questions that are asked of many keys at once; None in the others."""
    checked: Later[Any] | None = None
    """Raises what refuses the list. A page awaits it beside the list; a download awaits it first."""
    kept: Mapping[str, Any] | None = None
    """Not None: the database computes the whole list for each page, so later pages are kept. These parameters
    differ from those of a download, because a kept list is longer than what is read of it. The question
    answers with a `Page` and has no key."""

    @property
    def of_everything(self) -> dict[str, Any]:
        """The parameters with which a download asks."""
        return {**self.parameters, **({} if self.key is None else {"keys": [self.key]})}


# ---- the loaders of one request --------------------------------------------------------------------------


class Loaders:
    """Every way in which one request reads the database."""

    def __init__(
        self,
        database: AsyncDatabase,
        limits: Limits,
        metrics: Metrics,
        share: ClientShare,
        kept: KeptLists | None = None,
    ) -> None:
        """The clock of the request starts here.

        share: what the client gets of the server. kept: what several requests share; None: each page is
        computed by itself.
        """
        self._database = database
        self._metrics = metrics
        self.share = share
        self._kept = kept
        self._running: set[asyncio.Task[Any]] = set()
        self._limits = limits
        self._deadline = time.monotonic() + limits.timeout_s
        self._rows_left = limits.rows
        self._fields: FieldNames = None
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}
        self._once: dict[Hashable, Later[Any]] = {}
        self._records: defaultdict[str, dict[Hashable, Any]] = defaultdict(dict)
        """Records that travelled with an answer: by lookup, then by key."""

    async def ask(
        self, question: Question[Row], owner: Lookup[Any] | None = None, /, **parameters: object
    ) -> list[Row]:
        """The whole answer to a question. owner: the lookup of its keys, whose records travel too.

        Raises QueryTimeoutError when the request has used up its time.
        """
        # The work gets its own task, because several resolvers may wait for one lookup.
        task = asyncio.create_task(self._ask(question, owner, parameters))
        self._running.add(task)
        task.add_done_callback(_retrieved)
        try:
            async with asyncio.timeout(self.seconds_left()):
                return await task
        except TimeoutError:
            raise self._used_up() from None
        finally:
            self._running.discard(task)

    async def _ask(
        self, question: Question[Row], owner: Lookup[Any] | None, parameters: Mapping[str, Any]
    ) -> list[Row]:
        parts = parts_of(question, owner, self._fields)
        alone = not parts and not isinstance(question, Lookup)
        text = question.text if alone else message(question, owner is not None, parts)
        async with self.share.question(question.name in HEAVY):
            with self._metrics.database_seconds.labels(question.name).time():
                given = question.given(parameters)
                records = await self._database.read(text, given, timeout_s=self.seconds_left())
        rows: list[Row] = []
        begun = time.perf_counter()
        for record in records:
            for part in parts:
                known = self._records[part.lookup.name]
                found = {_hashable(row.key): row for row in map(part.lookup.record, record.pop(part.column))}
                self.spend(len(found.keys() - known.keys()))
                known |= found
            if isinstance(question, Lookup):
                rows += map(question.record, record["rows"])
            else:
                rows.append(question.decode(record))
            if time.perf_counter() - begun > SLICE_S:
                await asyncio.sleep(0)
                begun = time.perf_counter()
        return rows

    def expect(self, fields: frozenset[str]) -> None:
        """Records bring only what these GraphQL fields need. Without a call, records come whole."""
        self._fields = fields

    def may_read(self, field: str) -> bool:
        """Whether the query may read the GraphQL field of this name."""
        return self._fields is None or field in self._fields

    def renewed(self) -> "Loaders":
        """Loaders that remember nothing, with the full time and number of rows."""
        return Loaders(self._database, self._limits, self._metrics, self.share, self._kept)

    def seconds_left(self) -> float:
        """Seconds that the request may still take; raises QueryTimeoutError at 0."""
        left = self.left_s
        if not left:
            raise self._used_up()
        return left

    @property
    def left_s(self) -> float:
        """Seconds that the request may still take, at least 0."""
        return max(0.0, self._deadline - time.monotonic())

    def _used_up(self) -> QueryTimeoutError:
        return QueryTimeoutError(
            f"The request used up its {self._limits.timeout_s:g} s",
            next_step="ask for fewer rows (first: …), fewer circuits or less nesting",
        )

    def spend(self, rows: int) -> None:
        """Counts rows before they are read. Raises LimitError when the request has fewer rows left."""
        if rows > self._rows_left:
            raise LimitError(
                f"The request could read more than {self._limits.rows} rows",
                next_step="ask for smaller pages (first: …) inside lists, or for less nesting",
            )
        self._rows_left -= rows
        self.share.uses(rows=rows)

    def cancel(self) -> None:
        """Stops the questions that are still running, because nobody waits for their answers any more."""
        for task in self._running:
            task.cancel()

    async def once(self, name: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `ask` answers. The request asks once for each name."""
        answer: Later[Answer] = self._once.setdefault(name, Later(ask))
        return await answer

    # Records by key

    async def one(self, question: Question[Row], key: Hashable, **parameters: object) -> Row | None:
        """The row of `key`, or None."""
        if not parameters and (row := self._records[question.name].get(key)) is not None:
            known: Row = row
            return known
        rows = await self.many(question, key, **parameters)
        return rows[0] if rows else None

    async def many(self, question: Question[Row], key: Hashable, **parameters: object) -> list[Row]:
        """All rows of `key`."""
        loaded: list[Row] = await self._batch(question, parameters, list, per_key=1).load(key)
        return loaded

    def fact(self, question: Question[Row], key: str, make: Callable[[Row], Answer]) -> Answer:
        """What `make` makes of the row of `key`, which must exist, or an awaitable of it.

        GraphQL accepts both. A page whose entries need no waiting takes half the time.
        """
        if (row := self._records[question.name].get(key)) is not None:
            return make(row)

        async def later() -> Answer:
            (row,) = await self.all_of(question, [key])
            return make(row)

        return cast(Answer, later())

    async def all_of(self, question: Question[Row], keys: list[str]) -> list[Row]:
        """One row for each of `keys`, in the order of the keys. Keys without a row are left out."""
        known: dict[Hashable, Row] = self._records[question.name]
        if missing := [key for key in keys if key not in known]:
            loaded = await self._batch(question, {}, list, per_key=1).load_many(missing)
            known = known | {key: rows[0] for key, rows in zip(missing, loaded, strict=True) if rows}
        return [known[key] for key in keys if key in known]

    # Pages of lists

    async def page(self, listing: Listing[Answer], skip: int, limit: int) -> Answer:
        """A stretch of a list, when it is its turn to become objects. Raises what `listing.checked`
        raises."""
        if listing.checked is None:
            page = await self._page(listing, skip, limit)
        else:
            page, _ = await asyncio.gather(self._page(listing, skip, limit), listing.checked)
        await self.share.page(limit)
        self.seconds_left()
        return page

    async def _page(self, listing: Listing[Answer], skip: int, limit: int) -> Answer:
        if listing.kept is not None:
            listing = replace(listing, parameters={**listing.parameters, **listing.kept})
            if self._kept is not None:
                return await self._kept_page(self._kept, listing, skip, limit)
        if listing.key is None:
            return await self.ask_page(listing.question, **listing.parameters, skip=skip, limit=limit)
        pages = self._pages(listing.question, **listing.parameters, skip=skip, limit=limit)
        loaded: Answer = await pages.load(listing.key)
        return loaded

    async def _kept_page(self, lists: KeptLists, listing: Listing[Answer], skip: int, limit: int) -> Answer:
        self.spend(limit)
        start = skip - skip % self._limits.kept_rows
        key = key_of(listing.question.name, listing.parameters, start)
        kept = lists.get(key) if skip else None
        if kept is None:
            # A page may begin in one stretch and end in the next one.
            longest = self._limits.kept_rows + self._limits.page_size
            asked = {**listing.parameters, "skip": start, "limit": longest}
            (record,) = await self.ask(_undecoded(listing.question), **asked)
            kept = await asyncio.to_thread(Kept.of, record)
            lists.put(key, kept)
        return listing.question.decode({**kept.columns, "rows": kept.rows(skip - start, limit)})

    async def ask_page(self, question: Question[Answer], *, limit: int, **parameters: object) -> Answer:
        """The answer to a question that has exactly one row, a page of `limit` entries."""
        self.spend(limit)
        (page,) = await self.ask(question, limit=limit, **parameters)
        return page

    async def owner_of(self, owner: Lookup[Row], key: str, following: NextPage | None) -> Row | None:
        """The record of `key`, or None. `following` is read in the same message, and kept for its field."""
        if following is not None:
            page = await self._pages(following.question, owner, **following.parameters).load(key)
            self._pages(following.question, **following.parameters).prime(key, page)
        return await self.one(owner, key)

    def _pages(
        self,
        question: Question[Any],
        owner: Lookup[Any] | None = None,
        /,
        *,
        limit: int,
        **parameters: object,
    ) -> DataLoader[Any, Any]:
        def first(rows: list[Page[Any]]) -> Page[Any]:
            return rows[0] if rows else Page(0, [])

        return self._batch(question, {**parameters, "limit": limit}, first, per_key=limit, owner=owner)

    def _batch(
        self,
        question: Question[Any],
        parameters: dict[str, Any],
        pick: Callable[[list[Any]], Any],
        per_key: int,
        owner: Lookup[Any] | None = None,
    ) -> DataLoader[Any, Any]:
        """The loader that collects keys for one question with equal parameters.

        A map among the parameters must be the same object, because comparing all of it would take long.
        """
        told = {name: id(value) if isinstance(value, dict) else value for name, value in parameters.items()}
        name = (question.name, owner and owner.name, *sorted(told.items()))
        if name not in self._loaders:

            async def load(keys: list[Hashable]) -> list[Any]:
                self.spend(len(keys) * per_key)
                found: defaultdict[Hashable, list[Any]] = defaultdict(list)
                for row in await self.ask(question, owner, keys=keys, **parameters):
                    found[_hashable(row.key)].append(row)
                return [pick(found[key]) for key in keys]

            self._loaders[name] = DataLoader(load_fn=load)
        return self._loaders[name]


@cache
def _undecoded(question: Question[Any]) -> Question[Mapping[str, Any]]:
    """The question with its records as they come, and alone: what its rows refer to is asked page by page."""
    return Question(question.name, dict, planned_by_size=question.planned_by_size)


def _hashable(key: object) -> Hashable:
    """The database returns keys of several parts as lists."""
    return tuple(key) if isinstance(key, list) else key


# ---- what resolvers can reach ----------------------------------------------------------------------------


@dataclass
class Context:
    """What every resolver of one request, or of one socket, can reach."""

    loaders: Loaders
    limits: Limits
    writer: Database | None = None
    """The database that mutations write to; None: mutations are refused."""
    jobs: "JobWatch | None" = None
    """Where subscriptions watch jobs; None outside of the endpoint for GraphQL."""
    request_id: str = ""
    authorization: str = ""
    """The Authorization header of a socket."""
    connection_params: dict[str, object] | None = None
    """The payload of a socket's first message."""


Info = strawberry.Info[Context, None]
PageOf = Listing[Any] | Callable[[Info], Awaitable[Listing[Any]]]
"""A list of an object that is known in advance, or what has to be asked to know it."""


def _retrieved(task: "asyncio.Task[Any]") -> None:
    """Look at the error of a task whose request ended at the same moment, so that it is not logged."""
    if not task.cancelled():
        task.exception()
