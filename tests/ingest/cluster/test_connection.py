"""What is wrong with a cluster is named, with what to do, before any work begins."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import ray
from ray._private.utils import check_version_info

from atlas.local.server import Address
from ingest.cluster import connection
from ingest.cluster.connection import ClusterSettings, connected, refusal
from schema.errors import InputError
from tests.support.cli import Cli
from tests.support.servers import free_port

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def refused(**settings: Any) -> InputError:
    with pytest.raises(InputError) as error, connected(ClusterSettings(**settings)):
        pass
    assert error.value.next_step
    assert not ray.is_initialized()
    return error.value


def test_no_cluster_at_the_address() -> None:
    for address in (f"127.0.0.1:{free_port()}", f"ray://127.0.0.1:{free_port()}", "absent.invalid:6379"):
        error = refused(address=address)
        assert f"There is no Ray cluster at {address}" in error.what
        assert "ray start --head" in str(error.next_step)
    assert "is no address" in refused(address="nonsense").what


@contextmanager
def web_server() -> Iterator[int]:
    """The port of a server of HTTP/1, as Ray's dashboard is one."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent() -> Iterator[int]:
    """The port of a listener that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def talkative() -> Iterator[int]:
    """The port of a listener that says a byte now and then, for ever."""

    def talk() -> None:
        with listener.accept()[0] as client:
            try:
                while True:
                    client.sendall(b"?")
                    time.sleep(0.1)
            except OSError:  # the client is gone
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=talk)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def refused_at_once(address: str, **settings: Any) -> None:
    begun = time.monotonic()
    error = refused(address=address, **settings)
    assert time.monotonic() - begun < 5
    assert f"There is no Ray cluster at {address}: something else than Ray listens there" in error.what
    assert "6379" in str(error.next_step)
    assert "8265 is the dashboard" in str(error.next_step)


@pytest.mark.parametrize("listens", [web_server, silent, talkative], ids=lambda each: each.__name__)
def test_something_else_than_ray_listens(listens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "WAIT_S", 1.0)
    with listens() as port:
        refused_at_once(f"127.0.0.1:{port}")


def test_neo4j_is_no_cluster(server: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers in HTTP/2, as Ray does."""
    monkeypatch.setattr(connection, "WAIT_S", 1.0)
    for address in (server.browser_url, server.bolt_uri):
        refused_at_once(urlsplit(address).netloc)


def test_the_address_in_the_environment_is_asked_too(
    cli_without_database: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(connection, "WAIT_S", 1.0)
    with web_server() as port:
        address = f"127.0.0.1:{port}"
        done = cli_without_database("ingest", "--ray", "auto", "--to", tmp_path / "s", RAY_ADDRESS=address)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"There is no Ray cluster at {address}: something else" in done.stderr


def test_a_cluster_with_tls_is_not_asked_without() -> None:
    with silent() as port:
        connection._answer(f"127.0.0.1:{port}", tls=True)


def test_what_the_cluster_does_not_have(cluster_address: str) -> None:
    for asked, said in (
        ({"gpus_per_worker": 0.5}, "1 worker with 0.5 GPU each are asked for, and the cluster has 0 GPU"),
        ({"workers": 3}, "3 workers with 1 CPU each are asked for, and the cluster has 2 CPU"),
        ({"cpus_per_worker": 4}, "1 worker with 4 CPU each are asked for, and the cluster has 2 CPU"),
        ({"gpus_per_worker": 1.5}, "neither below 1 nor a whole number"),
    ):
        assert said in refused(address=cluster_address, **asked).what


def test_other_versions_of_ray_and_python() -> None:
    other = {"ray_version": "2.9.0", "python_version": "3.9.1"}
    with pytest.raises(RuntimeError) as mismatch:
        check_version_info(other, "This process")
    error = refusal("10.0.0.5:6379", mismatch.value)
    assert "10.0.0.5:6379 has other versions of Ray or Python" in error.what
    assert "2.9.0" in error.what
    assert "3.9.1" in error.what
    assert "the same versions" in str(error.next_step)


def test_the_command_names_them(cli_without_database: Cli, tmp_path: Any) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = cli_without_database("ingest", "--ray", address, "--to", tmp_path / "shards")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"There is no Ray cluster at {address}" in done.stderr
    assert cli_without_database("ingest", "--ray", "auto", "--watch").exit_code == 2
