"""Labels and examples of many features in one file: exports of Neuronpedia and delphi, and plain tables.

Neuronpedia   JSON lines, a JSON list or one JSON object, gzip or not. A row names its feature by `modelId`,
              `layer` (such as `20-gemmascope-transcoder-16k`: layer and source set) and `index`. It is an
              explanation (`description`), an activation (`tokens`, `values`), or a feature (`pos_str`,
              `neg_str`, `frac_nonzero`). A feature of the API holds explanations and activations in lists.
delphi        A folder `explanations` with a text for each latent, `MODULE_latentINDEX.txt`. Beside it are
              `scores/SCORER` with the answers of each scorer, and `run_config.json`.
tables        CSV, TSV or Parquet, or JSON with other keys. Each row is a label.

Sources: hijohnnylin/neuronpedia (utils/neuronpedia-utils/neuronpedia_utils/export-data.py, the schema of its
database), EleutherAI/delphi (delphi/__main__.py, delphi/scorers/classifier).
"""

import csv
import errno
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from schema.circuit.records import FeatureExample, FeatureNotes
from schema.errors import FileError, InputError
from schema.exports.graph_json import EXPLANATION
from schema.formats.features import EXAMPLES, bounded, share_of
from schema.formats.files import is_byproduct
from schema.formats.raw import check_items
from schema.plain_file import GZIP, open_plain, unpacked_limit

UNKNOWN_AUTHOR = "unknown"
"""Author of labels whose author neither the file nor the user names."""
SMALL_LIMIT = 16 << 20
"""Largest size in bytes of a file that describes one latent, or of a configuration."""
LINE_LIMIT = 64 << 20
"""Largest size in bytes of one line, unpacked."""
JSON_LIMIT = 1 << 30
"""Largest size in bytes of a file that is one JSON value, unpacked."""
TEXT_LIMIT = 10_000
"""Greatest number of characters of a label; the rest is cut off."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "layer": ("layer",),
    "index": ("index", "feature", "feature_index", "latent"),
    "text": ("description", "text", "label", "explanation"),
    "author": ("explanationModelName", "author", "explainer_model"),
    "method": ("typeName", "method"),
    "score": ("score",),
    "transcoders": ("transcoders",),
}
"""What a column holds → the names that it may have, the first one that is there."""
SCORERS = ("detection", "eleuther_recall", "fuzz", "eleuther_fuzz", "eleuther_embedding", "recall_alt")
"""Tests of labels. Of several scores the first of these is kept, then the first by name."""
ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
_BESIDE = re.compile(
    r"(model|source|sourceset|release|inference_hosts\w*|run_config|graph-metadata|index)\.jsonl?", re.ASCII
)
"""Files of an export that hold neither labels nor examples."""
_LAYER = re.compile(r"(\d{1,4})(?:-(.+))?", re.ASCII | re.DOTALL)
_POINTED = re.compile(r"(\d+)\.0+", re.ASCII)
_TOO_MANY = "\0more"
"""The key of values beyond the last column of a table's header."""
_LATENT = re.compile(r"(.+)_latent(\d{1,18})\.(?:txt|json)", re.ASCII | re.DOTALL)
_MODULE = re.compile(r"(?:^|[._/-])(?:layers?|h|blocks?)[._](\d{1,4})(?![0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class LabelInFile:
    """A label of a feature that may or may not be in the database."""

    transcoders: str | None
    """Name of the transcoders as the file gives it; None when the file names none."""
    layer: int
    index: int
    text: str
    method: str
    author: str
    score: float | None = None
    """How well the label predicts where the feature is active, 0 to 1; None when unknown."""
    scorer: str | None = None
    """The test that gave the score."""


Found = LabelInFile | FeatureNotes | FileError | None
"""What a row holds. An error names its line. None stands for a row with an empty text."""


class LabelFile(NamedTuple):
    """A file to read."""

    path: Path
    size: int
    """Size on disk in bytes."""


class TableColumns(NamedTuple):
    """Which columns hold what, and what stands in for missing ones."""

    names: Mapping[str, str]
    """Key of COLUMNS → name of the column in the files, in place of the usual names."""
    author: str | None = None
    method: str | None = None


def find_labels(paths: Iterable[Path]) -> list[LabelFile]:
    """The files at the paths and in the folders, each file once, sorted by name.

    Raises InputError when a path does not exist or contains nothing that can be read.
    """
    found: dict[Path, LabelFile] = {}
    for path in paths:
        if not path.exists():
            raise InputError(f"{path} does not exist", next_step="name files with labels, or folders of them")
        within = (
            [each for each in sorted(path.rglob("*")) if each.is_file() and _wanted(each, path)]
            if path.is_dir()
            else [path]
        )
        if not within:
            raise InputError(
                f"{path} holds no file with labels",
                next_step="name .jsonl, .json, .csv, .tsv or .parquet files, or delphi's folder of results",
            )
        for each in within:
            found.setdefault(each, LabelFile(each, each.stat().st_size))
    return list(found.values())


def _wanted(path: Path, root: Path) -> bool:
    inside = path.relative_to(root)
    if is_byproduct(inside) or "scores" in inside.parts[:-1] or "config" in inside.parts[:-1]:
        return False
    if _LATENT.fullmatch(path.name):
        return True
    name = _plain_name(path)
    return name.endswith(ENDINGS) and _BESIDE.fullmatch(name) is None


def _plain_name(path: Path) -> str:
    """The name of a file in small letters, without the ending of gzip."""
    return path.name.lower().removesuffix(".gz")


def read_labels(
    path: Path, columns: TableColumns, advance: Callable[[int], object] = lambda n: None
) -> Iterator[Found]:
    """Yield what each row of a file holds. A row that cannot be read gives a FileError, and the next follows.

    advance: called now and then with the number of bytes of the file that were read so far. Raises FileError
    when the file as a whole, or the rest of it, cannot be read.
    """
    name = _plain_name(path)
    try:
        if found := _LATENT.fullmatch(path.name):
            yield _latent(path, found[1], int(found[2]), columns)
        elif name.endswith(".parquet"):
            yield from _rows(path, _parquet(path, columns), columns)
        else:
            with open_plain(path) as raw:
                packed = raw.read(2) == GZIP
                raw.seek(0)
                file = cast(IO[bytes], gzip.GzipFile(fileobj=raw) if packed else raw)
                rows: Iterator[tuple[str, Any]]
                if name.endswith((".csv", ".tsv")):
                    rows = _table(path, file, "\t" if name.endswith(".tsv") else ",", columns)
                elif name.endswith(".json"):
                    rows = _json(path, file, unpacked_limit(raw, JSON_LIMIT) if packed else JSON_LIMIT)
                else:
                    rows = _lines(path, file)
                for count, each in enumerate(_rows(path, rows, columns)):
                    if count % 1000 == 0:
                        advance(raw.tell())
                    yield each
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise FileError(
            str(path), "the file", f"cannot be read: {error}", next_step="write or download it again"
        ) from error


# -- rows of each format, with their places


def _lines(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    number = 0
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        place = f"line {number}"
        if len(line) > LINE_LIMIT:
            raise FileError(
                str(path), place, f"has more than {LINE_LIMIT >> 20} MB", next_step="leave the file out"
            )
        if line.isspace():
            continue
        check_items(line, f"{path}, {place}")
        try:
            yield place, msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            yield place, FileError(str(path), place, f"is not JSON: {error}", next_step="correct the line")


def _json(path: Path, file: IO[bytes], limit: int) -> Iterator[tuple[str, Any]]:
    data = file.read(limit + 1).removeprefix(b"\xef\xbb\xbf")
    if len(data) > limit:
        raise FileError(
            str(path),
            "the file",
            f"unpacks to more than {limit >> 20} MB",
            next_step="write JSON lines (.jsonl), which are read one by one",
        )
    check_items(data, str(path))
    try:
        whole = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        if b"trailing characters" in str(error).encode() and data.lstrip()[:1] == b"{":
            yield from _lines(path, io.BytesIO(data))  # JSON lines under another name
            return
        raise FileError(
            str(path), "the file", f"is not JSON: {error}", next_step="write or download it again"
        ) from error
    if not isinstance(whole, list):
        yield "the file", whole
        return
    for number, each in enumerate(whole):
        yield f"[{number}]", each


def _table(path: Path, file: IO[bytes], separator: str, columns: TableColumns) -> Iterator[tuple[str, Any]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    # A quote that is never closed would take all rows after it into one text.
    reader = csv.DictReader(text, delimiter=separator, strict=True, restkey=_TOO_MANY)
    try:
        _check_header(path, reader.fieldnames or [], columns)
        for row in reader:
            place = f"line {reader.line_num}"
            if _TOO_MANY in row:
                reason = "has more columns than the header"
                next_step = "write texts with a comma in quotes; the other rows are read"
                yield place, FileError(str(path), place, reason, next_step=next_step)
            else:
                yield place, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileError(
            str(path),
            f"after line {reader.line_num}",
            f"cannot be read: {error}",
            next_step="write the file again as UTF-8, with texts in quotes",
        ) from error
    finally:
        if not file.closed:
            text.detach()  # whoever opened the file closes it


def _parquet(path: Path, columns: TableColumns) -> Iterator[tuple[str, Any]]:
    with open_plain(path) as raw, pq.ParquetFile(raw) as file:
        names = file.schema_arrow.names
        _check_header(path, names, columns)
        wanted = {each for role in COLUMNS for each in _names(role, columns)} | {"modelId"}
        number = 0
        for batch in file.iter_batches(batch_size=10_000, columns=[n for n in names if n in wanted]):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row


def _names(role: str, columns: TableColumns) -> tuple[str, ...]:
    return (columns.names[role],) if role in columns.names else COLUMNS[role]


def _check_header(path: Path, header: Iterable[str], columns: TableColumns) -> None:
    there = set(header)
    for role in ("layer", "index", "text", *columns.names):
        if there.isdisjoint(_names(role, columns)):
            raise FileError(
                str(path),
                "the header",
                f"has no column {' or '.join(_names(role, columns))} for the {role}; "
                f"its columns are {', '.join(sorted(there)) or 'none'}",
                next_step=f"name the column: --column {role}=NAME",
            )


# -- what a row holds


class _BadRow(Exception):
    """A row cannot be read: key, reason."""


def _rows(path: Path, rows: Iterable[tuple[str, Any]], columns: TableColumns) -> Iterator[Found]:
    for place, row in rows:
        if isinstance(row, FileError):
            yield row
            continue
        try:
            if not isinstance(row, dict):
                raise _BadRow("", "is no object")
            yield from _held(row, columns)
        except _BadRow as error:
            key, reason = error.args
            yield FileError(
                str(path),
                f"{place}: {key}" if key else place,
                reason,
                next_step="correct it, or leave it out; the other rows are read",
            )


def _held(row: dict[str, Any], columns: TableColumns) -> Iterator[Found]:
    transcoders, layer, index = _feature(row, columns)
    held = False
    for key in ("explanations", "activations"):
        for each in _items(row, key):
            if not isinstance(each, dict):
                raise _BadRow(key, "holds something that is no object")
            held = True
            # The entries of a feature of Neuronpedia's API need not name the feature again.
            yield from _held({**{k: row.get(k) for k in ("modelId", "layer", "index")}, **each}, columns)
    if isinstance(row.get("tokens"), list) and isinstance(row.get("values"), list):
        held = True
        tokens, values = row["tokens"], row["values"]
        if not all(isinstance(each, str) for each in tokens):
            raise _BadRow("tokens", "are not all texts")
        if not all(isinstance(each, float | int) and not isinstance(each, bool) for each in values):
            raise _BadRow("values", "are not all numbers")
        if len(tokens) != len(values):
            raise _BadRow("values", "has not one activation for each token")
        example = FeatureExample(tuple(tokens), tuple(map(float, values)))
        yield FeatureNotes(layer, index, None, (example,), (), (), transcoders)
    if isinstance(row.get("pos_str"), list) or isinstance(row.get("neg_str"), list):
        held = True
        promotes, suppresses = (tuple(map(str, _items(row, key))) for key in ("pos_str", "neg_str"))
        share = row.get("frac_nonzero")
        density = float(share) if isinstance(share, float | int) and 0 < share <= 1 else None
        yield FeatureNotes(layer, index, None, (), promotes, suppresses, transcoders, density)
    if isinstance(row.get("examples_quantiles"), list):
        held = True
        yield _quantiles(row, layer, index, transcoders)
    text = _value(row, "text", columns)
    if text is None and held:
        return
    if text is None:
        raise _BadRow("", f"has no {' or '.join(_names('text', columns))}")
    if not isinstance(text, str):
        raise _BadRow("text", "is no text")
    if not (text := text.strip()[:TEXT_LIMIT]):
        yield None
        return
    score, scorer = _score(row, columns)
    yield LabelInFile(
        transcoders,
        layer,
        index,
        text,
        str(_value(row, "method", columns) or columns.method or EXPLANATION),
        _author(row, columns),
        score,
        scorer,
    )


def _items(row: dict[str, Any], key: str) -> list[Any]:
    """The items of a list of the row; none when the row has no such list."""
    value = row.get(key)
    if not isinstance(value, list | None):
        raise _BadRow(key, "is no list")
    return value or []


def _value(row: dict[str, Any], role: str, columns: TableColumns) -> Any:
    for name in _names(role, columns):
        if (value := row.get(name)) is not None:
            return value
    return None


def _feature(row: dict[str, Any], columns: TableColumns) -> tuple[str | None, int, int]:
    """The set, the layer and the index of the feature that a row is about."""
    place, number = _value(row, "layer", columns), _value(row, "index", columns)
    found = None if place is None or isinstance(place, bool) else _LAYER.fullmatch(_whole(place))
    if found is None:
        raise _BadRow("layer", "is missing" if place is None else f"{str(place)[:60]!r} names no layer")
    text = "" if number is None or isinstance(number, bool) else _whole(number)
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise _BadRow("index", "is missing" if number is None else f"{str(number)[:60]!r} is no index")
    transcoders = _value(row, "transcoders", columns)
    if transcoders is None and found[2] and row.get("modelId"):
        transcoders = f"{row['modelId']}/{found[2]}"
    return None if transcoders is None else str(transcoders), int(found[1]), int(text)


def _whole(value: object) -> str:
    """A number as its digits. Tables write whole numbers as 3.0 when a column has gaps."""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    pointed = _POINTED.fullmatch(text)
    return pointed[1] if pointed else text


def _author(row: dict[str, Any], columns: TableColumns) -> str:
    found = _value(row, "author", columns)
    if isinstance(found, dict):  # a user of Neuronpedia
        found = found.get("name")
    if found is None and row.get("modelId"):
        found = columns.author or "neuronpedia"
    return str(found or columns.author or UNKNOWN_AUTHOR)


def _score(row: dict[str, Any], columns: TableColumns) -> tuple[float | None, str | None]:
    """The score that is kept, and the test that gave it."""
    tests: dict[str, float] = {}
    for each in _items(row, "scores"):
        if isinstance(each, dict) and (value := _share(each.get("value"))) is not None:
            tests.setdefault(str(each.get("explanationScoreTypeName") or EXPLANATION), value)
    if tests:
        best = min(tests, key=_preference)
        return tests[best], best
    value = _value(row, "score", columns)
    if value in (None, ""):
        return None, None
    if (share := _share(value)) is None:
        raise _BadRow("score", f"{str(value)[:60]!r} is no number from 0 to 1")
    return share, None


def _preference(scorer: str) -> tuple[int, str]:
    return SCORERS.index(scorer) if scorer in SCORERS else len(SCORERS), scorer


def _share(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if 0 <= number <= 1 and not isinstance(value, bool) else None


def _quantiles(row: dict[str, Any], layer: int, index: int, transcoders: str | None) -> FeatureNotes:
    examples = []
    try:
        for quantile in row["examples_quantiles"]:
            for each in quantile["examples"]:
                tokens, values = map(str, each["tokens"]), map(float, each["tokens_acts_list"])
                example = FeatureExample(tuple(tokens), tuple(values))
                if len(example.tokens) != len(example.activations):
                    raise _BadRow("examples_quantiles", "has not one activation for each token")
                if not bounded(example.activations):
                    raise _BadRow("examples_quantiles", "has a number that is not a finite 32-bit one")
                examples.append(example)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _BadRow("examples_quantiles", f"are not examples: {error}") from error
    promotes, suppresses = (tuple(map(str, _items(row, key))) for key in ("top_logits", "bottom_logits"))
    return FeatureNotes(
        layer,
        index,
        None,
        strongest(examples),
        promotes,
        suppresses,
        transcoders,
        share_of(row.get("activation_frequency")),
    )


def strongest(examples: Iterable[FeatureExample]) -> tuple[FeatureExample, ...]:
    """The examples that are kept, those with the largest activation first."""
    ordered = sorted(dict.fromkeys(examples), key=lambda each: -max(each.activations, default=0.0))
    return tuple(ordered[:EXAMPLES])


# -- delphi


def _latent(path: Path, module: str, index: int, columns: TableColumns) -> Found:
    """The label of one latent, with the score that delphi's scorers give it."""
    above = next((each for each in path.parents if each.name == "explanations"), path.parent)
    base = above.parent
    # The name of a module can have slashes, which are folders here.
    module = (path.parent.relative_to(above) / module).as_posix()
    found = _MODULE.search(module)
    if found is None:
        return FileError(
            str(path), "the file's name", f"{module!r} names no layer", next_step="leave the file out"
        )
    data = _small(path)
    try:
        text = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = data.decode(errors="replace")
    if isinstance(text, dict):
        text = text.get("explanation")
    if not isinstance(text, str):
        return FileError(str(path), "the file", "is no text", next_step="leave the file out")
    if not (text := text.strip()[:TEXT_LIMIT]):
        return None
    config = _config(base)
    score, scorer = _delphi_score(base / "scores", f"{module}_latent{index}".replace("/", "--"))
    return LabelInFile(
        config.get("sparse_model"),
        int(found[1]),
        index,
        text,
        columns.method or "delphi",
        columns.author or config.get("explainer_model") or UNKNOWN_AUTHOR,
        score,
        scorer,
    )


def _small(path: Path) -> bytes:
    """The content of a small file. Raises OSError for a pipe or a large file."""
    with open_plain(path) as file:
        data = file.read(SMALL_LIMIT + 1)
    if len(data) > SMALL_LIMIT:
        raise OSError(errno.EFBIG, f"it has more than {SMALL_LIMIT >> 20} MB", str(path))
    return data


def _config(base: Path) -> dict[str, str]:
    try:
        found = msgspec.json.decode(_small(base / "run_config.json"))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}


def _delphi_score(folder: Path, name: str) -> tuple[float | None, str | None]:
    """Balanced accuracy of a scorer's answers, and the scorer; None without answers to both kinds of text."""
    scorers = sorted((each.name for each in folder.iterdir()), key=_preference) if folder.is_dir() else []
    for scorer in scorers:
        try:
            answers = msgspec.json.decode(_small(folder / scorer / f"{name}.txt"))
            pairs = [(each["activating"], each["prediction"]) for each in answers]
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            continue
        right: dict[bool, list[bool]] = {True: [], False: []}
        for active, said in pairs:
            if said is not None:
                right[bool(active)].append(bool(active) == bool(said))
        if right[True] and right[False]:
            shares = [sum(each) / len(each) for each in right.values()]
            return sum(shares) / 2, scorer
    return None, None
