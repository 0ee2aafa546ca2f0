"""Read prompts from a file: JSON lines, CSV, or plain text with one prompt a line.

JSON lines and CSV have the keys (columns) of `PromptLine`; only `prompt` is needed. Tags in CSV are separated
by spaces. A bad line is remembered with its number and the rest goes on.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import orjson

from schema.errors import InputError


@dataclass(frozen=True)
class PromptLine:
    """One prompt as the user wrote it."""

    line: int
    """1-based line number in the file."""
    prompt: str
    family: str | None = None
    """The kind of task, e.g. `arithmetic`."""
    expected: str | None = None
    """The next token a right answer begins with."""
    tags: tuple[str, ...] = ()
    pair: str | None = None
    """Shared by the members of a minimal pair."""
    split: str | None = None
    """`train` or `held-out` with respect to the model's corpus."""
    target: object = None
    """What to attribute, as `ingest.engine.attribution.targets` reads it; None for the default."""


@dataclass
class PromptFile:
    """What a file held: the good lines, and what was wrong with the others."""

    path: Path
    prompts: list[PromptLine] = field(default_factory=list)
    problems: list[InputError] = field(default_factory=list)


KEYS = tuple(f.name for f in fields(PromptLine) if f.name != "line")


def read_prompts(path: Path) -> PromptFile:
    """Read a prompts file by its suffix: `.jsonl`/`.ndjson`, `.csv`, else one prompt a line.

    Raises InputError when the file is missing, empty or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no prompts file {path}", next_step="check the path") from error
    except IsADirectoryError as error:
        raise InputError(
            f"{path} is a folder", next_step="name one .jsonl, .csv or .txt file in it"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text (byte {error.start})", next_step="save it as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", next_step="check its permissions"
        ) from error
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        rows = _json_rows(text)
    elif suffix == ".csv":
        rows = _csv_rows(text, path)
    else:
        rows = (
            (number, {"prompt": line}) for number, line in enumerate(text.splitlines(), 1) if line.strip()
        )
    result = PromptFile(path)
    _read(result, rows)
    if not result.prompts and not result.problems:
        raise InputError(f"{path} holds no prompts", next_step='put one {"prompt": "…"} on each line')
    return result


def read_lines(lines: Sequence[str], name: str) -> PromptFile:
    """Prompts from lines of JSON that are in no file; name: what errors call them."""
    result = PromptFile(Path(name))
    _read(result, _json_rows("\n".join(lines)))
    return result


def _read(result: PromptFile, rows: Iterable[tuple[int, object]]) -> None:
    for number, row in rows:
        try:
            result.prompts.append(_prompt(number, row))
        except InputError as error:
            result.problems.append(
                InputError(f"{result.path.name}, line {number}: {error.what}", next_step=error.next_step)
            )


def _json_rows(text: str) -> Iterator[tuple[int, object]]:
    # Not splitlines(): JSON strings may hold U+2028 and its kin, which are line ends to Python only.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield (
                number,
                InputError(
                    f"not valid JSON: {error.msg} at column {error.colno}",
                    next_step='write one object a line, such as {"prompt": "…", "family": "…"}',
                ),
            )


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True, restkey="(too many columns)")
    if reader.fieldnames is not None and "prompt" not in reader.fieldnames:
        raise InputError(
            f"{path} has no column `prompt` (its columns: {', '.join(reader.fieldnames)})",
            next_step="name the column with the prompts `prompt` in the first line",
        )
    rows = iter(reader)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield (
                reader.line_num,
                InputError(f"not valid CSV: {error}", next_step="check the quotes on this line"),
            )
            continue
        values: dict[str, object] = {key: value for key, value in row.items() if value not in (None, "")}
        if isinstance(tags := values.get("tags"), str):
            values["tags"] = tags.split()
        yield reader.line_num, values


def _prompt(number: int, row: object) -> PromptLine:
    if isinstance(row, InputError):
        raise row
    if not isinstance(row, dict):
        raise InputError(
            f"expected an object, found {type(row).__name__}", next_step='write {"prompt": "…"} on each line'
        )
    unknown = [key for key in row if key not in KEYS]
    if unknown:
        raise InputError(
            f"unknown key {', '.join(repr(key) for key in unknown)}",
            next_step=f"the keys are {', '.join(KEYS)}; put anything else into `tags`",
        )
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError("no `prompt`, or an empty one", next_step="give a non-empty string under `prompt`")
    for key in ("family", "expected", "pair", "split"):
        if not isinstance(row.get(key), str | None):
            raise InputError(f"`{key}` is not a string", next_step="write it in quotes, or leave it out")
    tags = row.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InputError("`tags` is not a list of strings", next_step='write it as ["tag one", "tag two"]')
    return PromptLine(
        line=number,
        prompt=prompt,
        family=row.get("family"),
        expected=row.get("expected"),
        tags=tuple(dict.fromkeys(tags)),
        pair=row.get("pair"),
        split=row.get("split"),
        target=row.get("target"),
    )
