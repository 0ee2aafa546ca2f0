"""A Ray cluster of several machines: network namespaces of Linux that share no disk.

A machine has an address of its own on a bridge. Folders that the driver uses are hidden from it by empty file
systems: in them it has copies of its own. Needs root and iproute2.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.cluster import STORE_BYTES

BRIDGE = "atlas-test"
NETWORK = "10.77.31"
HEAD = f"{NETWORK}.1"
"""Address of the machine of the driver and of the head of the cluster."""
RAY = Path(sys.executable).parent / "ray"
LOSSES = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
}
"""A lost machine is noticed within seconds."""


def run(*words: str | Path) -> str:
    done = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    return done.stdout


class Machine:
    """A network namespace that runs a node of the cluster."""

    def __init__(self, number: int, head: str, hidden: Sequence[Path], copied: Sequence[Path]) -> None:
        """hidden: folders that it must not share. copied: files or folders in them that it has copies of."""
        self.name, self.address = f"atlas-test-{number}", f"{NETWORK}.{number + 1}"
        self._head, self._hidden, self._copied = head, hidden, copied
        inside, outside = f"atlas-in{number}", f"atlas-out{number}"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.name)
        run("ip", "link", "set", outside, "master", BRIDGE, "up")
        run("ip", "-n", self.name, "address", "add", f"{self.address}/24", "dev", inside)
        run("ip", "-n", self.name, "link", "set", inside, "up")
        run("ip", "-n", self.name, "link", "set", "lo", "up")

    def start(self, log: Path) -> None:
        """Start a node with one core. It joins the cluster some seconds later."""
        carried = log.with_name(f"{self.name}.tar")
        run("tar", "--create", "--absolute-names", "--file", carried, *self._copied)
        steps = [
            "mount --make-rprivate /",
            f"exec 9<{carried}",
            *(f"mount -t tmpfs none {each}" for each in self._hidden),
            "tar --extract --absolute-names --file /dev/fd/9",
            f"exec {RAY} start --address {self._head} --node-ip-address {self.address} --num-cpus 1 "
            f"--object-store-memory {STORE_BYTES} --block 9<&-",
        ]
        with log.open("ab") as said:
            subprocess.Popen(
                ["ip", "netns", "exec", self.name, "unshare", "--mount", "sh", "-ec", "\n".join(steps)],
                stdout=said,
                stderr=said,
                start_new_session=True,
                env=os.environ | LOSSES,
            ).returncode = 0  # it is ended by `switch_off`

    @property
    def processes(self) -> list[psutil.Process]:
        found = []
        for pid in run("ip", "netns", "pids", self.name).split():
            with suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(pid)))
        return found

    def kill_raylet(self) -> bool:
        """SIGKILL for the process of Ray that starts and ends the others. False when it does not run."""
        for each in self.processes:
            with suppress(psutil.Error):
                if each.name() == "raylet":
                    each.kill()
                    return True
        return False

    def switch_off(self) -> None:
        """SIGKILL for everything on the machine."""
        while there := self.processes:
            for each in there:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(signal.SIGKILL)
            psutil.wait_procs(there, timeout=5)

    def remove(self) -> None:
        self.switch_off()
        run("ip", "netns", "del", self.name)


@contextmanager
def machines(
    count: int, folder: Path, hidden: Sequence[Path], copied: Sequence[Path]
) -> Iterator[tuple[str, list[Machine]]]:
    """A head without cores for workers, and machines that have joined it: its HOST:PORT, and the machines."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.fail("several machines need root and iproute2")
    temporary = tempfile.mkdtemp(prefix="atlas-ray-", dir="/tmp")  # paths of sockets must be short
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    made: list[Machine] = []
    try:
        run("ip", "address", "add", f"{HEAD}/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        with socket.socket() as probe:
            probe.bind((HEAD, 0))
            port = probe.getsockname()[1]
        head = f"{HEAD}:{port}"
        options = {
            "--node-ip-address": HEAD,
            "--port": str(port),
            "--num-cpus": "0",
            "--object-store-memory": str(STORE_BYTES),
            "--include-dashboard": "false",
            "--temp-dir": temporary,
        }
        subprocess.run(
            [str(RAY), "start", "--head", *(each for pair in options.items() for each in pair)],
            check=True,
            capture_output=True,
            env=os.environ | LOSSES,
        )
        for number in range(1, count + 1):
            made.append(Machine(number, head, [*hidden, Path(temporary), Path("/dev/shm")], copied))
            made[-1].start(folder / f"machine-{number}.log")
        yield head, made
    finally:
        for machine in made:
            machine.remove()
        run("ip", "link", "del", BRIDGE)
        for each in psutil.process_iter(["cmdline"]):
            if temporary in " ".join(each.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def forwarded(port: int) -> Iterator[int]:
    """A port of HEAD whose connections go to a port of the loopback interface, where Neo4j listens."""
    listener = socket.create_server((HEAD, 0))

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
