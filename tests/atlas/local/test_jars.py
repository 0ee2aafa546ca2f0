"""The jars' list, and fetching them from a repository that is really there."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from atlas.local.jars import ROOTS, Jar, ensure_jars, read_list
from schema.errors import DownloadError


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a word, and remembers what it was asked for."""

    asked: list[str]

    def __init__(self, *args, asked: list[str], **kwargs):
        self.asked = asked
        super().__init__(*args, **kwargs)

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def repository(tmp_path: Path, asked: list[str]) -> Iterator[tuple[str, Path]]:
    """(address, folder) of a Maven repository on the loopback interface."""
    folder = tmp_path / "repository"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder), asked=asked))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", folder
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def put(folder: Path, coordinate: str, data: bytes) -> Jar:
    jar = Jar(coordinate, len(data), hashlib.sha256(data).hexdigest())
    (folder / jar.path).parent.mkdir(parents=True)
    (folder / jar.path).write_bytes(data)
    return jar


def test_the_list_holds_the_roots_once_each_and_every_hash():
    jars = read_list()
    coordinates = [jar.coordinate for jar in jars]
    assert set(ROOTS) <= set(coordinates)
    assert len({jar.file for jar in jars}) == len(jars)
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)


def test_paths_follow_the_layout_of_a_maven_repository():
    assert Jar("io.netty:netty-x:4.2:linux", 1, "").path == "io/netty/netty-x/4.2/netty-x-4.2-linux.jar"


def test_only_missing_jars_are_fetched(tmp_path, repository, asked):
    address, folder = repository
    jars = [put(folder, "a.b:one:1", b"first"), put(folder, "a.b:two:2:linux", b"second")]
    lib = tmp_path / "lib"
    lib.mkdir()
    (lib / "one-1.jar").write_bytes(b"first")
    assert ensure_jars(lib, jars=jars, repositories=[address]) == lib
    assert asked == ["/a/b/two/2/two-2-linux.jar"]
    assert {path.name: path.read_bytes() for path in lib.iterdir()} == {
        "one-1.jar": b"first",
        "two-2-linux.jar": b"second",
    }


def test_a_jar_with_another_hash_never_gets_its_name(tmp_path, repository):
    address, folder = repository
    jar = put(folder, "a.b:one:1", b"first")
    (folder / jar.path).write_bytes(b"f1rst")
    with pytest.raises(DownloadError, match=r"Could not fetch a\.b:one:1.*its SHA-256 is .*, expected"):
        ensure_jars(tmp_path / "lib", jars=[jar], repositories=[address], attempts=1)
    assert list((tmp_path / "lib").iterdir()) == []


def test_a_repository_without_the_jar_is_named_with_what_to_do(tmp_path, repository):
    address, _ = repository
    jar = Jar("a.b:one:1", 5, "")
    with pytest.raises(DownloadError, match="404") as caught:
        ensure_jars(tmp_path / "lib", jars=[jar], repositories=[address], attempts=1)
    assert caught.value.next_step is not None
    assert "run the same command again" in caught.value.next_step
