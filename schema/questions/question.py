"""A question to the database as a value: a Cypher file in `schema/questions/cypher` and the type of its rows.

The files can be pasted into the Neo4j console. Their `:param` lines set sample values there, and the comment
on top shows what these values give. Both are left out of the text that is sent. Values from outside travel as
parameters, never as text of a query.

Parameters travel in one map, `p`, unless a question says otherwise. Neo4j plans a query again for each new
order of magnitude of the size of a list or text parameter, and for each new combination of the types of the
parameters, but it does not look into a map.

`ask` runs a question on the synchronous driver. The API has its own runner, which sends several questions in
one message (`api.request.batching`); `refers` and `summary` tell it which questions belong together.
`stream_async` and `stream_columns` read a whole list piece by piece.
"""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Generic, NamedTuple, TypeVar, cast

from schema.database import AsyncDatabase, Database
from schema.errors import InputError
from schema.questions.sample_answers import ANSWER

Row = TypeVar("Row")
Record = Mapping[str, Any]

KEYS = "UNWIND $p.keys AS key\n"
"""The first line of every question that is asked of many keys at once."""

CYPHER = resources.files("schema.questions").joinpath("cypher")
"""The folder of all Cypher files, one folder in it for each kind of thing that is asked about."""

_PARAM = re.compile(r"^:param (?P<name>\w+) => (?P<value>.*?);?$", re.MULTILINE)
_PARAMETER = re.compile(
    r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|//[^\n]*|/\*.*?\*/|\$(?P<name>\w+)""", re.DOTALL
)
"""Matches a parameter, and strings, quoted names and comments, in which a dollar sign is none."""


@cache
def cypher_files() -> dict[str, Traversable]:
    """Every Cypher file by its name without the ending."""
    files = [file for folder in CYPHER.iterdir() if folder.is_dir() for file in folder.iterdir()]
    return {
        file.name.removesuffix(".cypher"): file
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".cypher")
    }


@dataclass(frozen=True, eq=False)
class Question(Generic[Row]):
    """One question: where its Cypher is, and how a record of the answer becomes a row."""

    name: str
    """Name of the file in a folder of `schema/questions/cypher`, without its ending."""
    decode: Callable[[Record], Row]
    refers: "KeyReference | None" = None
    """The lookup of keys in its rows that nearly every caller wants to follow."""
    planned_by_size: bool = False
    """Whether each parameter travels by itself, so that Neo4j plans the question again for each size of its
    lists. It is for questions that read a parameter in every row, which takes longer from a map."""

    @cached_property
    def file(self) -> str:
        """The whole file, as one would paste it."""
        return cypher_files()[self.name].read_text(encoding="utf-8")

    @cached_property
    def text(self) -> str:
        """The Cypher that is sent: the file without its `:param` lines and sample answer, see `sent`."""
        return self.sent(_PARAM.sub("", ANSWER.sub("", self.file)).strip())

    def sent(self, cypher: str) -> str:
        """Cypher with `$p.name` in place of `$name`, unless the question is planned by size."""
        return cypher if self.planned_by_size else _from_map(cypher)

    @cached_property
    def samples(self) -> dict[str, str]:
        """Every parameter with its sample value, a Cypher expression."""
        return {match["name"]: match["value"] for match in _PARAM.finditer(self.file)}

    def given(self, parameters: Mapping[str, object]) -> dict[str, object]:
        """What is sent with the text. Raises TypeError without a value for one of the question's parameters,
        which Neo4j would take for null."""
        if missing := self.samples.keys() - parameters.keys():
            raise TypeError(f"The question {self.name} needs a value for: {', '.join(sorted(missing))}")
        return dict(parameters) if self.planned_by_size else {"p": parameters}


def _from_map(text: str) -> str:
    """The Cypher that reads its parameters from the map `p`."""
    return _PARAMETER.sub(lambda found: f"$p.{found['name']}" if found["name"] else found[0], text)


@dataclass(frozen=True, eq=False)
class KeyReference:
    """Keys in the rows of a question, and the lookup that finds what they name."""

    to: "Lookup[Any]"
    columns: tuple[str, ...] = ()
    """The columns that hold the keys; empty: the rows are keys themselves."""


@dataclass(frozen=True, eq=False)
class Lookup(Question[Row]):
    """A question that brings one record for each of many keys."""

    row: Callable[..., Row] = field(kw_only=True)
    """The named tuple of a record. Its fields are the columns of the answer; the first one is `key`."""
    summary: "Lookup[Any] | None" = field(default=None, kw_only=True)
    """A shorter lookup, with those columns that are often all that is wanted."""

    @cached_property
    def columns(self) -> tuple[str, ...]:
        names: tuple[str, ...] = cast(Any, self.row)._fields
        return names

    @cached_property
    def record(self) -> Callable[[Sequence[Any]], Row]:
        """Makes a record of its values, in the order of the columns."""
        make: Callable[[Sequence[Any]], Row] = cast(Any, self.row)._make
        return make

    @cached_property
    def of_one_key(self) -> str:
        """The Cypher for one `key`: what follows the first line of the query, `KEYS`."""
        _, found, text = self.text.partition(KEYS)
        assert found, self.name
        assert self.samples.keys() == {"keys"}, self.name
        return text


def lookup(
    name: str,
    row: Callable[..., Row],
    refers: KeyReference | None = None,
    summary: Lookup[Any] | None = None,
) -> Lookup[Row]:
    """The lookup in the file `name` whose records are `row`s."""
    return Lookup(name, row_of(row), refers, row=row, summary=summary)


def ask(database: Database, question: Question[Row], *, timeout_s: float, **parameters: object) -> list[Row]:
    """The rows of the answer. Raises QueryTimeoutError past `timeout_s`."""
    records = database.read(question.text, question.given(parameters), timeout_s=timeout_s)
    return [question.decode(record) for record in records]


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
    cut = question.sent(
        "UNWIND range(0, size(rows) - 1, $chunk) AS start\nWITH rows[start .. start + $chunk] AS rows\n"
    )
    text = f"CALL () {{\n{question.text}\n}}\n{cut}RETURN {wanted}"
    asked = {**parameters, "skip": 0, "limit": EVERYTHING, "chunk": CHUNK}
    async with aclosing(database.stream(text, question.given(asked), timeout_s=timeout_s)) as records:
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
    n_unknown: int | None = None
    """Entries of the whole list whose influence is unknown; None where influence does not order the list."""


def page_of(row: Callable[..., Row]) -> Callable[[Record], Page[Row]]:
    """Decodes {total, rows, key?}, each row a map of the row type's fields."""

    def decode(record: Record) -> Page[Row]:
        return Page(record["total"], [row(**each) for each in record["rows"]], *_rest(record))

    return decode


def row_of(row: Callable[..., Row]) -> Callable[[Record], Row]:
    def decode(record: Record) -> Row:
        return row(**record)

    return decode


def ids_of(record: Record) -> Page[str]:
    return Page(record["total"], list(record["rows"]), *_rest(record))


def _rest(record: Record) -> tuple[Any, int | None]:
    return record.get("key"), record.get("n_unknown")
