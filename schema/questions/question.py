"""A question to the database as a value: a Cypher file in `schema/questions/cypher`, and the type of its
rows.

Two tiny runners, `ask` and `ask_async`, run any of them: nothing is written twice. The files can be pasted
into the Neo4j console: their `:param` lines set sample values there, and the comment on top shows what these
give; both are left out here. Values from outside travel as parameters, never as text of a query.

Rows hold keys of circuits and features whose facts are nearly always wanted too. A question may name the one
that brings them (`along`): `ask_async` then sends both as one query, because every message costs as much as
what it asks. Told what is wanted, it brings no more facts than that, and `brief` ones where they will do.
"""

import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Generic, NamedTuple, TypeVar

from schema.database import AsyncDatabase, Database
from schema.errors import InputError
from schema.questions.sample_answers import ANSWER

Row = TypeVar("Row")
Record = Mapping[str, Any]

KEYS = "UNWIND $keys AS key\n"
"""How every question begins that is asked of many keys at once."""

CYPHER = resources.files("schema.questions").joinpath("cypher")
"""The folder of all Cypher files, one folder in it for each kind of thing that is asked about."""

_PARAM = re.compile(r"^:param (?P<name>\w+) => (?P<value>.*?);?$", re.MULTILINE)


@cache
def cypher_files() -> dict[str, Traversable]:
    """Every Cypher file by its name without the ending."""
    files = [file for folder in CYPHER.iterdir() if folder.is_dir() for file in folder.iterdir()]
    return {
        file.name.removesuffix(".cypher"): file
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".cypher")
    }


@dataclass(frozen=True)
class Along:
    """Facts that travel along with the rows of a question."""

    facts: "Question[Any]"
    """One made by `facts_of`."""
    of: tuple[str, ...] = ()
    """Names of what in a row is a key of theirs; none: the rows are keys themselves."""


@dataclass(frozen=True)
class Question(Generic[Row]):
    """One question: where its Cypher is, and how a record of the answer becomes a row."""

    name: str
    """Name of the file in a folder of `schema/questions/cypher`, without its ending."""
    decode: Callable[[Record], Row]
    facts: type[Any] | None = None
    """The named tuple of a row, where facts of keys are asked for: its fields are the answer's columns."""
    along: Along | None = None
    brief: tuple[str, ...] = ()
    """Plain properties among the columns: often all that is wanted of facts, and read in half the time."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return () if self.facts is None else self.facts._fields

    @cached_property
    def row(self) -> Callable[[Sequence[Any]], Any]:
        """Makes facts of their values, in the order of the columns."""
        assert self.facts is not None, self.name
        make: Callable[[Sequence[Any]], Any] = self.facts._make
        return make

    @cached_property
    def beyond(self) -> frozenset[str]:
        """The columns that brief facts lack."""
        return frozenset(self.columns) - {"key", *self.brief}

    @cached_property
    def file(self) -> str:
        """The whole file, as one would paste it."""
        return cypher_files()[self.name].read_text(encoding="utf-8")

    @cached_property
    def text(self) -> str:
        """The Cypher that is sent: the file without its `:param` lines and sample answer."""
        return _PARAM.sub("", ANSWER.sub("", self.file)).strip()

    @cached_property
    def samples(self) -> dict[str, str]:
        """Every parameter with its sample value, a Cypher expression."""
        return {match["name"]: match["value"] for match in _PARAM.finditer(self.file)}


class _Brought(NamedTuple):
    """A column of facts beside the answer to a question."""

    column: str
    rows: str
    """The column that has their keys."""
    keys: str
    """Cypher: the list of those in a `row`."""
    facts: Question[Any]
    brief: bool
    """Whether the columns that are not `brief` are null."""


Wanted = AbstractSet[str] | None
"""Names of the columns of facts that may be wanted; None: all."""


def _chain(
    link: Along | None, of: Question[Any], rows: str, prefix: str, wanted: Wanted
) -> Iterator[_Brought]:
    while link is not None:
        facts = link.facts
        if wanted is not None and of.facts is not None and wanted.isdisjoint(link.of):
            return
        places = [f"[{of.columns.index(name)}]" if of.facts else f".{name}" for name in link.of]
        keys = ", ".join(f"row{place}" for place in places) or ("row[0]" if of.facts else "row")
        brief = bool(facts.brief) and wanted is not None and wanted.isdisjoint(facts.beyond)
        yield _Brought(prefix + facts.name, rows, f"[{keys}]", facts, brief)
        link, of, rows = facts.along, facts, prefix + facts.name


def brought(
    question: Question[Any], owner: Question[Any] | None = None, wanted: Wanted = None
) -> tuple[_Brought, ...]:
    """What travels along with `question`, and with that. owner: facts of the `key` of each record, too."""
    along = _chain(question.along, question, "rows", "", wanted)
    if owner is None:
        return tuple(along)
    return (*along, *_chain(Along(owner), question, "keys", "owner_", wanted))


@cache
def text_along(question: Question[Any], owned: bool, parts: tuple[_Brought, ...]) -> str:
    """The Cypher that is sent for `parts`, which `brought` gave: a column more for each.

    Facts come as one list, of lists: the driver handles every record by itself, and every name in a map.
    """
    lines = [f"CALL () {{\n{question.text}\n}}"]
    if question.facts is not None:
        lines.append(f"WITH {_collected(question, brief=False)} AS rows")
    if owned:
        lines.append("WITH *, [key] AS keys")
    for column, rows, keys, facts, brief in parts:
        lines.append(
            f"CALL ({rows}) {{\nCALL ({rows}) {{\nUNWIND {rows} AS row\nUNWIND {keys} AS key\n"
            f"WITH DISTINCT key\n{_text_of_key(facts, brief)}\n}}\n"
            f"RETURN {_collected(facts, brief)} AS {column}\n}}"
        )
    return "\n".join([*lines, "RETURN *"])


def _text_of_key(facts: Question[Any], brief: bool) -> str:
    """The facts' Cypher for one `key`."""
    _, found, text = facts.text.partition(KEYS)
    assert found, facts.name
    if not brief:
        return text
    kept = [re.search(rf"\w+\.\w+ AS {name}\b", text) for name in facts.brief]
    returned = ", ".join(["key", *(found[0] for found in kept if found)])
    before, _, _ = text.partition("\nRETURN key,")
    return f"{before}\nRETURN {returned}"


def _collected(facts: Question[Any], brief: bool) -> str:
    left_out = facts.beyond if brief else ()
    return f"collect([{', '.join('null' if name in left_out else name for name in facts.columns)}])"


def ask(database: Database, question: Question[Row], *, timeout_s: float, **parameters: object) -> list[Row]:
    """The rows of the answer. Raises QueryTimeoutError past `timeout_s`."""
    return [
        question.decode(record) for record in database.read(question.text, parameters, timeout_s=timeout_s)
    ]


class Answer(NamedTuple, Generic[Row]):
    """The rows of a question, and what came along."""

    rows: list[Row]
    facts: dict[Question[Any], list[Any]]
    """Their rows, in no order of anybody's; a key may occur twice."""


async def ask_async(
    database: AsyncDatabase,
    question: Question[Row],
    owner: Question[Any] | None = None,
    /,
    *,
    timeout_s: float,
    wanted: Wanted = None,
    **parameters: object,
) -> Answer[Row]:
    """`ask`, on the asynchronous driver, with what is `brought`."""
    parts = brought(question, owner, wanted)
    if not parts and question.facts is None:
        records = await database.read(question.text, parameters, timeout_s=timeout_s)
        return Answer([question.decode(record) for record in records], {})
    text = text_along(question, owner is not None, parts)
    records = await database.read(text, parameters, timeout_s=timeout_s)
    facts: defaultdict[Question[Any], list[Any]] = defaultdict(list)
    for part in parts:
        facts[part.facts] += [
            part.facts.row(values) for record in records for values in record.pop(part.column)
        ]
    if question.facts is not None:
        return Answer([question.row(values) for values in records[0]["rows"]], facts)
    return Answer([question.decode(record) for record in records], facts)


CHUNK = 1000
"""Entries of a streamed list that travel together."""

EVERYTHING = 2**31 - 1
"""The longest page that Cypher's lists can have."""


async def stream_async(
    database: AsyncDatabase, question: Question[Any], *, timeout_s: float, **parameters: object
) -> AsyncGenerator[list[Any], None]:
    """The whole list that the pages of `question` are stretches of, in pieces of at most `CHUNK` entries.

    The question's own Cypher runs once, as a subquery; the database holds the sorted list, which is why the
    limit on its transactions bounds it, and this side a few pieces.
    """
    async with aclosing(_pieces(database, question, "rows", timeout_s, parameters)) as records:
        async for record in records:
            yield record["rows"]


async def stream_columns(
    database: AsyncDatabase,
    question: Question[Any],
    columns: Sequence[str],
    *,
    timeout_s: float,
    **parameters: object,
) -> AsyncGenerator[dict[str, list[Any]], None]:
    """`stream_async` of a list of maps, column by column: half the time, as keys do not travel with each row.

    columns: the keys wanted; they stand in the text of the query, so names of ours only.
    """
    wanted = ", ".join(f"[row IN rows | row.{name}] AS {name}" for name in columns)
    async with aclosing(_pieces(database, question, wanted, timeout_s, parameters)) as records:
        async for record in records:
            yield record


async def _pieces(
    database: AsyncDatabase,
    question: Question[Any],
    wanted: str,
    timeout_s: float,
    parameters: Mapping[str, object],
) -> AsyncGenerator[dict[str, Any], None]:
    text = (
        f"CALL () {{\n{question.text}\n}}\n"
        "UNWIND range(0, size(rows) - 1, $chunk) AS start\n"
        "WITH rows[start .. start + $chunk] AS rows\n"
        f"RETURN {wanted}"
    )
    asked = {**parameters, "skip": 0, "limit": EVERYTHING, "chunk": CHUNK}
    async with aclosing(database.stream(text, asked, timeout_s=timeout_s)) as records:
        async for record in records:
            yield record


def words_of(search: str) -> list[str]:
    """The words of `search` in lower case: letters and digits only, so nothing in them can be read as syntax.

    Raises InputError when there are none.
    """
    words = re.findall(r"[^\W_]+", search.lower())
    if not words:
        raise InputError(
            f"There is no word to search for in {search!r}",
            next_step="give at least one word of letters or digits, or leave the argument out",
        )
    return words


def full_text(search: str) -> str:
    """A full-text query that wants every word of `search`, each whole or as the beginning of a word."""
    return " ".join(f'+("{word}" {word}*)' for word in words_of(search))


class Page(NamedTuple, Generic[Row]):
    """A stretch of a longer list."""

    total: int
    """Length of the whole list."""
    rows: list[Row]
    key: Any = None
    """What the list belongs to, in questions that are asked of many keys at once."""


def page_of(row: Callable[..., Row]) -> Callable[[Record], Page[Row]]:
    """Decodes {total, rows, key?}, each row a map of the row type's fields."""

    def decode(record: Record) -> Page[Row]:
        return Page(record["total"], [row(**each) for each in record["rows"]], record.get("key"))

    return decode


def row_of(row: Callable[..., Row]) -> Callable[[Record], Row]:
    def decode(record: Record) -> Row:
        return row(**record)

    return decode


def facts_of(
    name: str, row: type[Any], along: Along | None = None, brief: tuple[str, ...] = ()
) -> Question[Any]:
    """A question that brings the facts of keys, each a `row`, whose fields are the answer's columns."""
    return Question(name, row_of(row), row, along, brief)


def ids_of(record: Record) -> Page[str]:
    return Page(record["total"], list(record["rows"]), record.get("key"))
