"""A question to the database as a value: a Cypher file in `schema/cypher`, and the type of its rows.

Two tiny runners, `ask` and `ask_async`, run any of them: nothing is written twice. The files can be pasted
into the Neo4j console: their `:param` lines set sample values there, and the comment on top shows what these
give; both are left out here. Values from outside travel as parameters, never as text of a query.
"""

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any, Generic, NamedTuple, TypeVar

from schema.database import AsyncDatabase, Database
from schema.errors import InputError
from schema.sample_answers import ANSWER

Row = TypeVar("Row")
Record = Mapping[str, Any]

_PARAM = re.compile(r"^:param (?P<name>\w+) => (?P<value>.*?);?$", re.MULTILINE)


@dataclass(frozen=True)
class Question(Generic[Row]):
    """One question: where its Cypher is, and how a record of the answer becomes a row."""

    name: str
    """Name of the file in `schema/cypher`, without its ending."""
    decode: Callable[[Record], Row]

    @cached_property
    def file(self) -> str:
        """The whole file, as one would paste it."""
        return resources.files("schema").joinpath("cypher", f"{self.name}.cypher").read_text(encoding="utf-8")

    @cached_property
    def text(self) -> str:
        """The Cypher that is sent: the file without its `:param` lines and sample answer."""
        return _PARAM.sub("", ANSWER.sub("", self.file)).strip()

    @cached_property
    def samples(self) -> dict[str, str]:
        """Every parameter with its sample value, a Cypher expression."""
        return {match["name"]: match["value"] for match in _PARAM.finditer(self.file)}


def ask(database: Database, question: Question[Row], *, timeout_s: float, **parameters: object) -> list[Row]:
    """The rows of the answer. Raises QueryTimeoutError past `timeout_s`."""
    return [
        question.decode(record) for record in database.read(question.text, parameters, timeout_s=timeout_s)
    ]


async def ask_async(
    database: AsyncDatabase, question: Question[Row], *, timeout_s: float, **parameters: object
) -> list[Row]:
    """`ask`, on the asynchronous driver."""
    records = await database.read(question.text, parameters, timeout_s=timeout_s)
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
    text = (
        f"CALL () {{\n{question.text}\n}}\n"
        "UNWIND range(0, size(rows) - 1, $chunk) AS start\n"
        "RETURN rows[start .. start + $chunk] AS rows"
    )
    asked = {**parameters, "skip": 0, "limit": EVERYTHING, "chunk": CHUNK}
    async with aclosing(database.stream(text, asked, timeout_s=timeout_s)) as records:
        async for record in records:
            yield record["rows"]


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


def ids_of(record: Record) -> Page[str]:
    return Page(record["total"], list(record["rows"]), record.get("key"))
