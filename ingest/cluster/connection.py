"""Connects to a Ray cluster, or starts one on this machine. What is wrong becomes an InputError.

Nothing of Ray is imported before `require_ray` is called.
"""

import logging
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

from schema.counted import counted
from schema.errors import InputError

LOCAL = "local"
"""In place of an address: start a cluster on this machine, and end it with the command."""
AUTO = "auto"
"""In place of an address: the cluster of which this machine is a node."""
STORE_BYTES = 512 << 20
"""Size of the object store of a cluster on this machine: a few shards for each worker."""
WAIT_S = 10.0
"""Seconds to wait for an answer at an address."""
_ANSWER_BYTES = 1 << 16
"""More than Ray says before it has answered."""


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return len(content).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + content


def _literal(*words: bytes) -> bytes:
    return b"".join(bytes([len(word)]) + word for word in words)


_REQUEST = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + _frame(4, 0, 0, b"")  # settings: none
    + _frame(  # headers of stream 1: numbers name those of HPACK's table
        1,
        0x4,
        1,
        b"\x83\x86"  # POST, http
        + b"\x04" + _literal(b"/ray.rpc.NodeInfoGcsService/GetClusterId")
        + b"\x01" + _literal(b"ray")  # the authority
        + b"\x0f\x10" + _literal(b"application/grpc")  # the type of the content
        + b"\x00" + _literal(b"te", b"trailers"),
    )
    + _frame(0, 0x1, 1, bytes(5))  # an empty message, and the end of the stream
)  # fmt: skip
"""The question for the cluster's id, in gRPC over HTTP/2. Ray's processes are servers of gRPC."""
_GRPC_STATUS = (b"grpc-status", bytes.fromhex("9acac8b21234da8f"))
"""The header of every answer in gRPC, good or bad: as it is, and in the Huffman code of HPACK."""


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and how to use it."""

    address: str
    """`HOST:PORT` or `ray://HOST:PORT` of the head node, AUTO or LOCAL."""
    workers: int | None = None
    """Processes that hold the model each; None means as many as the cluster has CPUs or GPUs for."""
    cpus_per_worker: int = 1
    """Cores of one worker, and threads of its model."""
    gpus_per_worker: float = 0.0
    """GPUs of one worker. Below 1, workers share a GPU."""
    writers: int = 1
    """Processes that write. Several load beside each other, and the last digits of sums may differ then."""
    store_bytes: int = STORE_BYTES
    """Size of the object store of a cluster on this machine."""
    auto_address: str = ""
    """Where Ray looks first with AUTO: its variable RAY_ADDRESS."""
    tls: bool = False
    """Whether Ray's variable RAY_USE_TLS is set."""


def require_ray() -> ModuleType:
    """The module `ray`. Raises InputError when it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Ray says of later versions of itself
            import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InputError(
            "--ray needs Ray, which is not installed", next_step='pip install "circuit-atlas[ray]"'
        ) from error
    return ray


@contextmanager
def connected(settings: ClusterSettings) -> Iterator[int]:
    """Be connected to the cluster in the block. Gives the number of workers that it has room for.

    Raises InputError when there is no cluster at the address, when its versions differ from those here, or
    when it lacks the CPUs or GPUs that the settings ask for.
    """
    ray = require_ray()
    if settings.gpus_per_worker > 1 and settings.gpus_per_worker % 1:
        raise InputError(
            f"--gpus-per-worker {settings.gpus_per_worker:g} is neither below 1 nor a whole number",
            next_step="workers share a GPU with 0.5, 0.25 …, and have whole GPUs with 1, 2 …",
        )
    _start(ray, settings)
    try:
        yield _room(ray, settings)
    finally:
        ray.shutdown()


def _start(ray: ModuleType, settings: ClusterSettings) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = settings.address
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if address == LOCAL:
                cores = max(os.cpu_count() or 1, (settings.workers or 1) * settings.cpus_per_worker)
                ray.init(
                    address="local",
                    num_cpus=cores,
                    object_store_memory=settings.store_bytes,
                    include_dashboard=False,
                    **quiet,
                )
                return
            if address != AUTO:
                _answer(address, tls=settings.tls)
            elif ":" in settings.auto_address:  # Ray goes there, and nowhere else
                address = settings.auto_address
                _answer(address, tls=settings.tls)
            ray.init(address=settings.address, **quiet)
    except (RuntimeError, OSError, ValueError) as error:  # a ConnectionError is an OSError
        raise refusal(address, error) from error


def _answer(address: str, *, tls: bool) -> None:
    """Ray itself waits for minutes where nothing answers, or something else than Ray does."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(
            f"--ray {address} is no address",
            next_step=f"give HOST:PORT of the head node, such as 10.0.0.5:6379, or {AUTO}, or {LOCAL}",
        )
    with socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT_S) as connection:
        # What answers with TLS is not asked, because Ray alone knows the certificates.
        if not tls and not _speaks_grpc(connection):
            raise InputError(
                f"There is no Ray cluster at {address}: something else than Ray listens there",
                next_step="give the port of `ray start --head`, which is 6379 unless you chose another, or "
                "10001 after ray://; 8265 is the dashboard",
            )


def _speaks_grpc(connection: socket.socket) -> bool:
    """Whether a server of gRPC answers within `WAIT_S`.

    HTTP/2 alone would not tell, because other servers speak it, too: Neo4j is one.
    """
    end, said = time.monotonic() + WAIT_S, b""
    try:
        connection.sendall(_REQUEST)
        while len(said) < _ANSWER_BYTES and (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            part = connection.recv(4096)
            said += part
            if any(status in said for status in _GRPC_STATUS):
                return True
            if not part:
                break
    except OSError:  # no answer in time, or the end of the connection
        pass
    return False


def refusal(address: str, error: Exception) -> InputError:
    """What a person should know of an error of `ray.init`."""
    said = " ".join(str(error).split())
    if "Version mismatch" in said:
        return InputError(
            f"The Ray cluster at {address} has other versions of Ray or Python than this command: {said}",
            next_step="install the same versions of Ray and Python on every machine, this one included",
        )
    if address == LOCAL:
        return InputError(
            f"Ray could not start on this machine: {said}",
            next_step="look at the newest folder in /tmp/ray for its logs, or leave out --ray",
        )
    return InputError(
        f"There is no Ray cluster at {address}: {said}",
        next_step="start one with `ray start --head` and give the address that it prints, or give "
        f"`--ray {LOCAL}` to start one on this machine",
    )


def _room(ray: ModuleType, settings: ClusterSettings) -> int:
    """How many workers to start."""
    has = ray.cluster_resources()
    needs = {"CPU": float(settings.cpus_per_worker), "GPU": settings.gpus_per_worker}
    fits = min(int(has.get(name, 0.0) / each + 1e-6) for name, each in needs.items() if each)
    wanted = settings.workers or max(1, fits)
    if wanted > fits:
        name = next(name for name, each in needs.items() if each * wanted > has.get(name, 0.0) + 1e-6)
        raise InputError(
            f"{counted(wanted, 'worker')} with {needs[name]:g} {name} each are asked for, and the cluster "
            f"has {has.get(name, 0.0):g} {name}",
            next_step="lower --workers, --gpus-per-worker or --cpus-per-worker, or add machines",
        )
    return wanted
