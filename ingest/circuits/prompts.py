"""Reads prompts from a file: JSON lines, a JSON list, CSV, TSV, or plain text with one prompt on each line.

The keys of JSON objects and the columns of CSV and TSV are the fields of `PromptLine`; only `prompt` is
required, and a text stands for an object with nothing else. Tags in CSV are separated by spaces. The error of
a bad line names the line, and the other lines are read.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import orjson

from schema.errors import InputError
from schema.loading.validate import KEY_LIMIT


@dataclass(frozen=True)
class PromptLine:
    """One prompt as the user wrote it."""

    line: int
    """Number of the line in the file, or of the item in its list, from 1."""
    prompt: str
    family: str | None = None
    """The prompt family: the kind of task, such as `arithmetic`."""
    expected: str | None = None
    """The right answer, of one token or several. In a file it may be a list of answers that are all right."""
    accepted: tuple[str, ...] = ()
    """The other answers of this list."""
    tags: tuple[str, ...] = ()
    """Free words, or `name:value`."""
    pair: str | None = None
    """Name of a minimal pair; its prompts share the name."""
    split: str | None = None
    """`train` when the prompt was in the model's training corpus, `held-out` when it was not."""
    target: object = None
    """What to attribute, in the form that `ingest.engine.attribution.targets` reads. None means the
    default."""

    @property
    def answers(self) -> tuple[str, ...]:
        """All answers that are right."""
        return () if self.expected is None else (self.expected, *self.accepted)


@dataclass
class PromptFile:
    """The prompts of a file, and one error for each bad line."""

    path: Path
    prompts: list[PromptLine] = field(default_factory=list)
    problems: list[InputError] = field(default_factory=list)


PIPE_LIMIT = 64 << 20
"""Largest size in bytes of what is read from a pipe or device."""
KEYS = tuple(f.name for f in fields(PromptLine) if f.name not in ("line", "accepted"))


def read_text(path: Path, what: str = "file") -> str:
    """The text of a UTF-8 file, without a byte order mark.

    what: what the file is, for the error. Raises InputError when the file is missing, a folder, not UTF-8, or
    cannot be read.
    """
    try:
        # A pipe is read too, but not without end.
        with path.open("rb") as file:
            data = file.read() if path.is_file() else file.read(PIPE_LIMIT + 1)
        if len(data) > PIPE_LIMIT and not path.is_file():
            raise InputError(
                f"{path} is no plain file and has more than {PIPE_LIMIT >> 20} MB",
                next_step=f"name a plain file as the {what}",
            )
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except FileNotFoundError as error:
        raise InputError(f"There is no {what} {path}", next_step="check the path") from error
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


def read_prompts(path: Path) -> PromptFile:
    """Read a prompts file. Its suffix says the format.

    `.jsonl` and `.ndjson` hold an object on each line, `.json` a list of objects, `.csv` and `.tsv` a table;
    `.txt`, `.text` and no suffix are plain text.

    Raises InputError when the file is missing, empty, not UTF-8 or of another format.
    """
    text = read_text(path, "prompts file")
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        rows = _json_rows(text)
    elif suffix == ".json":
        rows = _json_list(text, path)
    elif suffix in {".csv", ".tsv"}:
        rows = _csv_rows(text, path, "\t" if suffix == ".tsv" else ",")
    elif suffix not in {"", ".txt", ".text"}:
        raise InputError(
            f"{path} is no prompts file: its ending is {suffix}",
            next_step="give .jsonl, .json, .csv, .tsv or .txt",
        )
    else:
        _refuse_json(text, path)
        rows = (
            (number, {"prompt": line}) for number, line in enumerate(text.splitlines(), 1) if line.strip()
        )
    result = PromptFile(path)
    _read(result, rows, "item" if suffix == ".json" else "line")
    if not result.prompts and not result.problems:
        raise InputError(f"{path} contains no prompts", next_step='put one {"prompt": "…"} on each line')
    return result


def read_lines(lines: Sequence[str], name: str) -> PromptFile:
    """Read prompts from lines of JSON. name: stands for the file name in errors."""
    result = PromptFile(Path(name))
    _read(result, _json_rows("\n".join(lines)))
    return result


def _read(result: PromptFile, rows: Iterable[tuple[int, object]], what: str = "line") -> None:
    for number, row in rows:
        try:
            result.prompts.append(_prompt(number, row))
        except InputError as error:
            result.problems.append(
                InputError(f"{result.path.name}, {what} {number}: {error.what}", next_step=error.next_step)
            )


def _json_rows(text: str) -> Iterator[tuple[int, object]]:
    # Not splitlines(): JSON strings may contain U+2028 and similar, which only Python takes for line ends.
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
                    next_step='write one object on each line, such as {"prompt": "…", "family": "…"}',
                ),
            )


def _json_list(text: str, path: Path) -> Iterator[tuple[int, object]]:
    """The items of a JSON list, with their numbers from 1 in place of lines."""
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            next_step="write a list of objects; a file with one object on each line ends in .jsonl",
        ) from error
    if not isinstance(items, list):
        raise InputError(
            f"{path} holds no list",
            next_step='write [{"prompt": "…"}, …], or one object on each line of a .jsonl',
        )
    return enumerate(items, 1)


def _refuse_json(text: str, path: Path) -> None:
    """Raises InputError when plain text is JSON, of which each line would become a prompt."""
    begin = text.lstrip()
    if not begin.startswith(("[", "{")):
        return
    for part in (text, begin.split("\n", 1)[0]):
        try:
            orjson.loads(part)
        except orjson.JSONDecodeError:
            continue
        raise InputError(
            f"{path} holds JSON and no plain text, which its ending stands for",
            next_step=f"end its name in {'.json' if begin.startswith('[') else '.jsonl'}",
        )


def _csv_rows(text: str, path: Path, delimiter: str) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(
        text.splitlines(keepends=True), strict=True, restkey="(too many columns)", delimiter=delimiter
    )
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
    if isinstance(row, str):
        row = {"prompt": row}
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
        raise InputError("`prompt` is missing or empty", next_step="give a non-empty string under `prompt`")
    for key in ("family", "pair", "split"):
        if not isinstance(row.get(key), str | None):
            raise InputError(f"`{key}` is not a string", next_step="write it in quotes, or leave it out")
    expected = row.get("expected")
    answers = expected if isinstance(expected, list) else [] if expected is None else [expected]
    if not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise InputError(
            "`expected` is neither a text nor a list of texts",
            next_step='write it as "Rome", or as ["Rome", "Roma"] when several answers are right',
        )
    tags = row.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InputError("`tags` is not a list of strings", next_step='write it as ["tag one", "tag two"]')
    for key, texts in (("family", [row.get("family")]), ("pair", [row.get("pair")]), ("tags", tags)):
        for text in texts:
            if text is not None and len(text.encode(errors="replace")) > KEY_LIMIT:
                raise InputError(
                    f"`{key}`: {text[:40]!r}… is longer than {KEY_LIMIT} bytes", next_step="shorten it"
                )
    return PromptLine(
        line=number,
        prompt=prompt,
        family=row.get("family") or None,
        expected=answers[0] if answers else None,
        accepted=tuple(dict.fromkeys(answers[1:])),
        tags=tuple(dict.fromkeys(tag for tag in tags if tag.strip())),
        pair=row.get("pair") or None,
        split=row.get("split"),
        target=row.get("target"),
    )
