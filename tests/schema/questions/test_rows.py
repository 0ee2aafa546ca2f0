"""What each Cypher file returns is what its row type declares, read from the text of the file.

1. The columns of the RETURN clause are the fields of the type that the question decodes.
2. A field that holds records (`rows: list[FeatureRow]`) is filled by a map whose keys are the record's
   fields, or, where many records travel, by a list of as many values.

`tests/api/serving/test_console.py` runs every question and compares the columns of its sample answer, which
are compared with the text here.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import schema
from schema.questions.graph import NodeRow
from schema.questions.question import Page, Question, cypher_files, ids_of, page_of
from schema.questions.sample_answers import ANSWER, columns_of
from schema.questions.sets import Counts

MODULES = [importlib.import_module(each.name) for each in pkgutil.walk_packages(schema.__path__, "schema.")]
HOMES = {
    value.name: (value, module.__name__.split("."))
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, Question) and re.search(rf"^{name}\b", inspect.getsource(module), re.MULTILINE)
}
QUESTIONS = {name: question for name, (question, _) in HOMES.items()}
AS_LISTS: dict[type, int] = {NodeRow: 0, Counts: 1}
"""Records that travel as lists, because they are many, and how many values follow them in their list."""


# -- what the text returns


def plain(text: str) -> str:
    """The text without comments, and without what strings say."""
    return re.sub(r'"(?:\\.|[^"\\])*"|//[^\n]*', lambda found: '""' if found[0][0] == '"' else "", text)


def depths(text: str) -> Iterator[tuple[int, str]]:
    """Every letter, and how many brackets it stands in."""
    depth = 0
    for letter in text:
        depth -= letter in ")]}"
        yield depth, letter
        depth += letter in "([{"


def outside(text: str) -> str:
    """The text with what stands in brackets blanked out: places stay the same."""
    return "".join(letter if depth == 0 else " " for depth, letter in depths(text))


def split(text: str) -> list[str]:
    """The entries of a list, without what stands in brackets between them."""
    commas = [place for place, letter in enumerate(outside(text)) if letter == ","]
    starts, ends = [0, *(comma + 1 for comma in commas)], [*commas, len(text)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def returned(text: str) -> list[str]:
    """The names of the columns."""
    text = plain(text)
    start = [found.end() for found in re.finditer(r"\bRETURN (?:DISTINCT )?", outside(text))][-1]
    clause = re.split(r"\b(?:ORDER BY|SKIP|LIMIT|UNION)\b", outside(text[start:]))[0]
    return [
        re.sub(r"^.*\bAS\s+", "", column, flags=re.DOTALL)
        for column in split(text[start : start + len(clause)])
    ]


def brackets(text: str, opening: str) -> list[list[str]]:
    """The entries of every pair of brackets."""
    text, open_at, found = plain(text), [], []
    for place, letter in enumerate(text):
        if letter in "([{":
            open_at.append(place)
        elif letter in ")]}":
            start = open_at.pop()
            if text[start] == opening:
                found.append(split(text[start + 1 : place]))
    return found


def maps(text: str) -> list[list[str]]:
    """The keys of every map in the text: `{key: value, …}` or `node {.key, …}`."""
    entries = [
        [re.match(r"(\w+)\s*:|\.(\w+)$", each) for each in each_map] for each_map in brackets(text, "{")
    ]
    return [[key[1] or key[2] for key in keys if key] for keys in entries if all(keys)]


# -- what the question declares


def record_of(question: Question[Any]) -> Any:
    """The type that the question's `decode` gives."""
    if question.decode is ids_of:
        return Page[str]
    row: Any = inspect.getclosurevars(question.decode).nonlocals.get("row")
    if row is not None:
        return Page[row] if question.decode.__qualname__.startswith(page_of.__name__) else row
    return get_type_hints(question.decode)["return"]


def needed(record: Any) -> set[str]:
    """The fields without a default."""
    return set(record._fields) - set(record._field_defaults)


def inner(hint: Any) -> list[Any]:
    """The types of records in a type such as `list[FeatureRow] | None`."""
    if hasattr(hint, "_fields"):
        return [hint]
    return [each for argument in get_args(hint) for each in inner(argument)]


def held(record: Any) -> list[Any]:
    """The types of records that the fields of a record hold, and what these hold."""
    found = [each for hint in get_type_hints(record).values() for each in inner(hint)]
    return found + [each for one in found for each in held(one)]


def records_of(record: Any) -> list[Any]:
    """The record types of an answer: the outermost one, unless it is a page, and all that it holds."""
    if get_origin(record) is Page:
        return [each for row in get_args(record) for each in (inner(row) and [row, *held(row)])]
    return [record, *held(record)]


# -- both agree


def problems(text: str, record: Any) -> list[str]:
    """What the text returns otherwise than the record declares."""
    columns, outermost = returned(text), None if get_origin(record) is Page else record
    wrong = []
    if outermost is None and set(columns) - {"key", "n_unknown"} != {"total", "rows"}:
        wrong.append(f"a page has total and rows, and may have key and n_unknown: {columns}")
    for each in records_of(record):
        if each is outermost:
            fits = agree(columns, each)
        elif each in AS_LISTS:
            fits = any(len(entries) == len(each._fields) + AS_LISTS[each] for entries in brackets(text, "["))
        else:
            fits = any(agree(keys, each) for keys in maps(text))
        wrong += [] if fits else [f"nothing returns {each._fields}, the fields of {each.__name__}"]
    return wrong


def agree(names: list[str], record: Any) -> bool:
    return needed(record) <= set(names) <= set(record._fields) and len(names) == len(set(names))


def test_every_file_is_a_question():
    assert QUESTIONS.keys() == cypher_files().keys()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_file_returns_the_fields_of_its_row_type(question):
    assert problems(question.text, record_of(question)) == []
    assert returned(question.text) == columns_of(question.file), "write its sample answer: make answers"


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_renamed_column_is_noticed(question):
    record = record_of(question)
    names = {name for each in records_of(record) if each not in AS_LISTS for name in needed(each)}
    for name in names | ({"total", "rows"} if get_origin(record) is Page else set()):
        assert problems(re.sub(rf"\b{name}\b", "renamed", question.text), record) != [], name


def test_a_file_is_in_the_folder_named_after_the_module_of_its_question():
    for name, (_, module) in HOMES.items():
        folder = Path(str(cypher_files()[name])).parent.name
        assert folder == (module[2] if module[1] == "questions" else module[1]), name


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_file_starts_with_a_question_and_explains_its_parameters(question):
    header = ANSWER.sub("", question.file).split("\n:param", 1)[0].split("\n\n", 1)[0].splitlines()
    assert header[0].startswith("// ")
    assert header[0].endswith("?")
    assert set(re.findall(r"\$(\w+)", "\n".join(header))) == question.samples.keys()
