"""Feature files: texts on which features are active, and labels.

There are two layouts. In the first, each feature has a JSON file whose name is the number of the feature in
graph files. In the second, each layer has a `.bin` file of records (four bytes of length, then zlib data),
and `index.json.gz` gives for each layer the name of the file and the offsets of the records. Single features
are read without the rest of the file.
"""

import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from schema.circuit.records import FLOAT32_MAX, FeatureExample, FeatureNotes
from schema.errors import FileError
from schema.formats.numbers import uncantor
from schema.formats.raw import check_items, parse
from schema.plain_file import UNPACKED_RATIO, TooLargeError, open_plain, read_unpacked

INDEX = "index.json.gz"
RECORD_LIMIT = 64 << 20
"""Largest size in bytes of one feature, unpacked."""
RECORD_LEAST = 1 << 20
"""Size in bytes to which the record of every feature may unpack."""
INDEX_LIMIT = 1 << 30
"""Largest size in bytes of an index, unpacked."""
AGAIN = "write or download it again"
LEAVE_OUT = "leave the folder out"
EXAMPLES = 20
"""Largest number of examples that are kept for a feature, those with the largest activation first."""
_NAME = re.compile(r"(\d{1,18})\.json(?:\.gz)?", re.ASCII)


class RawExample(msgspec.Struct, gc=False):
    """One text and the activation at each token."""

    tokens: list[str]
    tokens_acts_list: list[float]


class RawQuantile(msgspec.Struct, gc=False):
    """Texts whose activations are in one range."""

    quantile_name: str
    examples: list[RawExample]


class RawFeature(msgspec.Struct, gc=False):
    """A feature file. Its `index` is not read, because files disagree on what it counts."""

    examples_quantiles: list[RawQuantile]
    top_logits: list[str] = []
    bottom_logits: list[str] = []
    clerp: str | None = None
    label: str | None = None
    description: str | None = None
    transcoder_id: str | None = None
    activation_frequency: float | None = None


class LayerIndex(msgspec.Struct, gc=False):
    """Where the features of a layer are."""

    filename: str
    offsets: list[int]
    """Offset in bytes of each feature's record, and the offset after the last record."""


_FEATURE = msgspec.json.Decoder(RawFeature)
_INDEX = msgspec.json.Decoder(list[LayerIndex] | dict[str, LayerIndex])


WantedFeature = tuple[int, int]
"""Layer and index of a feature that a circuit of the database has."""


def from_index(folder: Path, wanted: Iterable[WantedFeature]) -> Iterator[FeatureNotes | FileError]:
    """Yield the wanted features that the folder has. A damaged feature gives a FileError in its place.

    Raises FileError when the index cannot be read.
    """
    path = folder / INDEX
    try:
        data = read_unpacked(path, INDEX_LIMIT)
    except TooLargeError as error:
        raise FileError(str(path), "the file", str(error), next_step=LEAVE_OUT) from error
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(str(path), "the file", f"cannot be unpacked: {error}", next_step=AGAIN) from error
    check_items(data, str(path))
    found = parse(_INDEX, data, str(path))
    layers = found if isinstance(found, dict) else {str(i): each for i, each in enumerate(found)}
    for layer, index in wanted:
        entry = layers.get(str(layer))
        if entry is None or not 0 <= index < len(entry.offsets) - 1:
            continue
        if Path(entry.filename).name != entry.filename:
            raise FileError(str(path), f"[{layer}].filename", "is not a plain file name", next_step=LEAVE_OUT)
        start, stop = entry.offsets[index : index + 2]
        if stop <= start:
            continue  # a feature without a record
        name = f"{folder / entry.filename}, bytes {start} … {stop}"
        try:
            with open_plain(folder / entry.filename) as file:
                file.seek(start)
                record = file.read(min(stop - start, RECORD_LIMIT))
            size = int.from_bytes(record[:4], "little")
            yield _notes(_inflate(record[4 : 4 + size], name), layer, index, name)
        except (OSError, ValueError, OverflowError) as error:
            yield FileError(name, "the record", f"cannot be read: {error}", next_step=AGAIN)
        except FileError as error:
            yield error


def from_file(path: Path, data: bytes) -> FeatureNotes:
    """The feature of a JSON file. The name of the file gives layer and index. Raises FileError."""
    found = _NAME.fullmatch(path.name)
    if found is None:
        raise FileError(
            str(path),
            "the file's name",
            "is not the number of a feature, so it is unknown which feature the file describes",
            next_step="rename it to the value of `feature` in the graph file",
        )
    return _notes(data, *uncantor(int(found[1])), str(path))


def _inflate(data: bytes, name: str) -> bytes:
    limit = min(RECORD_LIMIT, max(RECORD_LEAST, UNPACKED_RATIO * len(data)))
    unpacker = zlib.decompressobj()
    try:
        whole = unpacker.decompress(data, limit)
    except zlib.error as error:
        raise FileError(name, "the record", f"is not zlib data: {error}", next_step=AGAIN) from error
    if not unpacker.eof:
        raise FileError(name, "the record", "ends too early, or is too large", next_step=AGAIN)
    check_items(whole, name)
    return whole


def _notes(data: bytes, layer: int, index: int, name: str) -> FeatureNotes:
    raw: RawFeature = parse(_FEATURE, data, name)
    examples = []
    for place, quantile in enumerate(raw.examples_quantiles):
        for number, each in enumerate(quantile.examples):
            if len(each.tokens) != len(each.tokens_acts_list):
                key = f"examples_quantiles[{place}].examples[{number}]"
                raise FileError(
                    name, key, "does not have one activation for each token", next_step="write the file again"
                )
            if not bounded(each.tokens_acts_list):
                key = f"examples_quantiles[{place}].examples[{number}].tokens_acts_list"
                raise FileError(
                    name, key, "holds a number that is not a finite 32-bit one", next_step="correct it"
                )
            examples.append(FeatureExample(tuple(each.tokens), tuple(each.tokens_acts_list)))
    examples = list(dict.fromkeys(examples))
    examples.sort(key=lambda example: -max(example.activations, default=0.0))
    texts: list[Any] = [raw.clerp, raw.label, raw.description]
    text = next((text.strip() for text in texts if text and text.strip()), None)
    return FeatureNotes(
        layer,
        index,
        text,
        tuple(examples[:EXAMPLES]),
        tuple(raw.top_logits),
        tuple(raw.bottom_logits),
        raw.transcoder_id,
        share_of(raw.activation_frequency),
    )


def bounded(numbers: Iterable[float]) -> bool:
    """Whether all numbers are finite 32-bit ones."""
    # NaN is not within the bound either.
    return all(-FLOAT32_MAX <= each <= FLOAT32_MAX for each in numbers)


def share_of(value: object) -> float | None:
    """A share of tokens, 0 to 1; None for everything else."""
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None
