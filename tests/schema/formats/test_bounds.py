"""Files that are no files, and small files that would take much memory."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schema.circuit.records import FLOAT32_MAX
from schema.errors import AtlasError, FileError
from schema.formats import features, labels, pickled
from schema.formats.files import parts, read
from schema.formats.graph import read_graph
from schema.formats.raw import check_items
from schema.loading.rows import body, frame
from schema.loading.validate import check_record
from tests.support.circuits import RUN
from tests.support.graph_files import circuit_tracer, encode, neuronpedia
from tests.support.paths import HOME

NO_COLUMNS = labels.TableColumns({})

READERS: dict[str, Callable[[Path], Any]] = {
    "graph.json": read,
    "graph.json.gz": read,
    "graph.pt": lambda path: pickled.read_torch_file(str(path)),
    "index.json.gz": lambda path: list(features.from_index(path.parent, [(0, 0)])),
    "labels.json": lambda path: list(labels.read_labels(path, NO_COLUMNS)),
    "labels.jsonl": lambda path: list(labels.read_labels(path, NO_COLUMNS)),
    "labels.csv": lambda path: list(labels.read_labels(path, NO_COLUMNS)),
    "labels.parquet": lambda path: list(labels.read_labels(path, NO_COLUMNS)),
    "layers.3_latent7.txt": lambda path: list(labels.read_labels(path, NO_COLUMNS)),
}


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": _socket,
    "folder": Path.mkdir,
}


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise TimeoutError("it waits for ever")

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


@pytest.mark.parametrize("kind", NO_FILES)
@pytest.mark.parametrize("name", READERS)
def test_only_plain_files_are_read(
    tmp_path: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 108 bytes
    path = Path(name)
    NO_FILES[kind](path)
    with _within(60), pytest.raises(FileError, match=r"it is no plain file|No such device"):
        READERS[name](path)


def _graph(key: str, value: str) -> bytes:
    """A graph file in which one list of the file is replaced by other JSON."""
    graph = neuronpedia() | {"qParams": {}}
    place, _, inner = key.rpartition(".")
    (graph[place] if place else graph)[inner] = "HERE"
    return encode(graph).replace(b'"HERE"', value.encode())


LISTS = (
    "nodes",
    "links",
    "qParams.supernodes",
    "qParams.clerps",
    "qParams.pinnedIds",
    "metadata.prompt_tokens",
)
BOMBS = {"lists": "[]", "objects": "{}", "numbers": "0", "lists of lists": "[[[]]]", "texts": '""'}


@pytest.mark.parametrize("key", LISTS)
def test_many_items_in_few_bytes_are_refused_before_they_are_decoded(key: str) -> None:
    for item in BOMBS.values():
        data = _graph(key, "[" + ",".join([item] * 5_000_000) + "]")
        with pytest.raises(FileError, match=r"in \d+ bytes, more than any graph or feature"):
            parts(data, "bomb.json")


def test_ordinary_graphs_are_far_from_the_bounds() -> None:
    for graph in (circuit_tracer(), neuronpedia()):
        data = encode(graph)
        check_items(data * 2000, "many")  # as one file of many nodes and links


def test_a_gzip_file_unpacks_to_a_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b" " * (65 << 20), 1))
    with pytest.raises(FileError, match="unpacks to more than 64 MB"):
        read(path)
    path.write_bytes(gzip.compress(b" " * (63 << 20), 1))
    assert len(read(path)) == 63 << 20


MEMORY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from schema.errors import FileError
from schema.formats.files import parts, read
from schema.formats.graph import read_graph
for path in map(Path, sys.argv[2:]):
    try:
        for name, data in parts(read(path), str(path)):
            read_graph(data, name)
    except FileError:
        pass
# Not ru_maxrss, which begins with the memory of the process that started this one.
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
"""


def test_the_largest_accepted_bombs_take_less_than_a_gigabyte(tmp_path: Path) -> None:
    """Just below the bounds of bytes, lists and items, packed to some 100 KB."""
    files = []
    for number, (key, item, count) in enumerate(
        [
            ("qParams.supernodes", '["a","b"]', 299_000),
            ("qParams.clerps", '["a","b"]', 299_000),
            ("qParams.supernodes", "[" + ",".join(["7"] * 7) + "]", 299_000),
            ("metadata.prompt_tokens", '"abcdefghijkl"', 1_900_000),
        ]
    ):
        path = tmp_path / f"{number}.json.gz"
        path.write_bytes(gzip.compress(_graph(key, "[" + ",".join([item] * count) + "]"), 1))
        files.append(path)
    # What is read again to find the place of an error.
    for key, item, end in (
        ("zz", "1  ", "NaN"),
        ("zz", "1.5", "NaN"),
        ("zz", '{"a":1}        ', "NaN"),
        ("nodes", "1  ", "1"),
        ("links", "1  ", "1"),
        ("links", '{"source":1}    ', "1"),
    ):
        files.append(tmp_path / f"{len(files)}.json.gz")
        items = ",".join([item] * (60_000_000 // (len(item) + 1)))
        files[-1].write_bytes(gzip.compress(_graph(key, f"[{items},{end}]"), 1))
    # What is accepted, and left out where it has no use.
    keys = "{" + ",".join(f'"{number:08d}":1' for number in range(4_000_000)) + "}"
    for number, key in enumerate(FREE):
        files.append(tmp_path / f"keys{number}.json")
        files[-1].write_bytes(_with_keys(key, keys))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(HOME), *map(str, files)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 1024


FREE = (
    *(f"metadata.{key}" for key in ("info", "pruning_settings", "schema_version", "atlas", "unknown")),
    *("qParams.clerps", "qParams.unknown", "unknown", "qk_only_nodes"),
    *(f"nodes.0.{key}" for key in ("unknown", "qk_tracing_results")),
    *(f"links.0.{key}" for key in ("unknown", "heads")),
)
"""Where a file can hold an object with any keys."""


def _with_keys(place: str, keys: str) -> bytes:
    graph = neuronpedia() | {"qParams": {}}
    inner: Any = graph
    *path, last = place.split(".")
    for key in path:
        inner = inner[int(key) if key.isdigit() else key]
    inner[last] = "HERE"
    return encode(graph).replace(b'"HERE"', keys.encode())


REFUSED = {
    "metadata.info": "metadata.info",
    "metadata.pruning_settings": "metadata.pruning_settings",
    "qParams.clerps": "qParams",
    "qParams.unknown": "qParams",
}
UNREAD = "metadata.atlas"
"""Without the version of our exports, it has no use."""


@pytest.mark.parametrize("place", FREE)
def test_a_part_with_any_keys_is_kept_or_named(place: str) -> None:
    """A million keys: the file is refused by the name of the part, or imported with a remark."""
    plain = read_graph(encode(neuronpedia()), "plain.json")
    large = _with_keys(place, "{" + ",".join(f'"{key:08d}":1' for key in range(1_500_000)) + "}")
    if place in REFUSED:
        with pytest.raises(FileError, match=rf"large.json: {REFUSED[place]}: takes \d\d\.\d MB, more than 8"):
            read_graph(large, "large.json")
        return
    found = read_graph(large, "large.json")
    assert found.circuit.edges == plain.circuit.edges
    remarks = [note for note in found.notes if "is not kept" in note or "are left out" in note]
    assert bool(remarks) == (place != UNREAD)


@pytest.mark.parametrize("where", ["nodes", "links"])
def test_many_different_keys_take_no_more_memory_than_the_file(tmp_path: Path, where: str) -> None:
    """Each node or link has keys of its own. A table of all keys and items would take 3 GB."""
    graph = neuronpedia()
    feature = next(node for node in graph["nodes"] if node["node_id"] == "0_3_1")
    for index in range(100, 2100):
        node = feature | {"node_id": f"0_{index}_1", "feature": index * (index + 3) // 2}
        graph["nodes"].append(node)
        graph["links"].append(
            {"source": node["node_id"], "target": graph["links"][0]["target"], "weight": 0.5}
        )
    for number, item in enumerate(graph[where]):
        item |= {f"{number}-{key}": 1 for key in range(100)}
    path = tmp_path / "keys.json"
    path.write_bytes(encode(graph))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(HOME), str(path)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 200
    assert "layout" in " ".join(read_graph(path.read_bytes(), "keys.json").notes)


NUMBERS = (1e308, -1e308, 1e39, -1e39, 1e999, 2**63, 10**400)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        if isinstance(each, int | float) and not isinstance(each, bool):
            yield (*path, key)
        else:
            yield from _leaves(each, (*path, key))


def _with(graph: Any, path: tuple[Any, ...], number: float) -> bytes:
    found = json.loads(encode(graph))
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = "HERE"
    return json.dumps(found).replace('"HERE"', "1e999" if number == 1e999 else repr(number)).encode()


def _stored_numbers(value: Any) -> Iterator[float]:
    if isinstance(value, bool | str | bytes) or value is None:
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _stored_numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _stored_numbers(each)


@pytest.mark.parametrize("make", [circuit_tracer, neuronpedia])
def test_no_number_of_a_file_is_stored_beyond_its_bound(make: Callable[[], Any]) -> None:
    """Every number of a file in turn is huge: the file is refused, or what would be stored is bounded."""
    graph = make()
    n_refused = 0
    for path in _leaves(json.loads(encode(graph))):
        for number in NUMBERS:
            try:
                circuit = read_graph(_with(graph, path, number), "huge.json").circuit
                check_record(circuit)
            except AtlasError:
                n_refused += 1
                continue
            rows = [frame(circuit, RUN), body(circuit)]
            for stored in _stored_numbers(rows):
                bound = FLOAT32_MAX if isinstance(stored, float) else 2**63 - 1
                assert abs(stored) <= bound, (path, number)
    assert n_refused > 0


@pytest.mark.parametrize("number", ["1e308", "-1e308", "1e39", "1e999"])
def test_activations_of_examples_are_bounded_too(tmp_path: Path, number: str) -> None:
    examples = '[{"quantile_name": "1", "examples": [{"tokens": ["a"], "tokens_acts_list": [NUMBER]}]}]'
    text = '{"modelId": "m", "layer": "3-clt", "index": "7", "examples_quantiles": EXAMPLES}'
    text = text.replace("EXAMPLES", examples).replace("NUMBER", number)
    path = tmp_path / "7.json"
    with pytest.raises(FileError, match=r"not a finite 32-bit one|out of range"):
        features.from_file(path, text.encode())
    path.write_text(text)
    try:
        found = list(labels.read_labels(path, NO_COLUMNS))
    except FileError:
        assert number == "1e999"  # the file as a whole is not JSON
        return
    assert found
    assert all(isinstance(each, FileError) for each in found)
