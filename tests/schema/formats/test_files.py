"""Graph files are found in folders and unpacked."""

import gzip
from pathlib import Path

import pytest

from schema.errors import FileError
from schema.formats.files import FileKind, find, read
from tests.support.graph_files import circuit_tracer, encode


def test_files_and_folders_are_found_once_and_unpacked(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    plain, packed = tmp_path / "a.json", tmp_path / "deep" / "b.json.gz"
    plain.write_bytes(encode(circuit_tracer()))
    packed.write_bytes(gzip.compress(encode(circuit_tracer())))
    (tmp_path / "graph-metadata.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("")
    found = find([tmp_path, plain])
    assert [(each.path, each.kind) for each in found] == [(plain, FileKind.JSON), (packed, FileKind.JSON)]
    assert read(plain) == read(packed)
    packed.write_bytes(gzip.compress(encode(circuit_tracer()))[:-9])
    with pytest.raises(FileError, match=r"b.json.gz: the file: cannot be read"):
        read(packed)
