"""The jars of the local Neo4j: fetched once from a committed list and checked against its hashes.

`neo4j-jars.txt` lists the coordinates that jgo resolved from ROOTS. Reading the list saves the minute that
resolving takes. jgo also knows where published artifacts are (its default repositories) and where to keep
them: the jars stay in its cache folder, so that a second start needs no network.
"""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
from jgo.constants import default_jgo_cache
from jgo.maven import MavenContext
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_when_event_set,
    wait_exponential,
)
from tenacity.nap import sleep_using_event

from atlas.terminal import PlainConsole
from ingest.progress import progress
from schema.errors import DownloadError

VERSION = "2026.08.1"
ROOTS = (
    f"org.neo4j:neo4j:{VERSION}",
    f"org.neo4j.app:neo4j-server:{VERSION}",
    f"org.neo4j:neo4j-import-tool:{VERSION}",
    "org.neo4j.client:neo4j-browser:5.24.0",
)
LIST = Path(__file__).with_name("neo4j-jars.txt")
CONNECTIONS = 12
"""Jars fetched at a time."""
ATTEMPTS = 4
"""Tries for each jar."""
CHUNK = 1 << 16
"""Bytes read at a time."""


@dataclass(frozen=True)
class Jar:
    """One line of the list."""

    coordinate: str
    """`group:artifact:version` or `group:artifact:version:classifier`."""
    size: int
    """Bytes."""
    sha256: str

    @property
    def file(self) -> str:
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"

    @property
    def path(self) -> str:
        """Relative to a Maven repository."""
        group, artifact, version, *_ = self.coordinate.split(":")
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.file}"


def read_list(path: Path = LIST) -> list[Jar]:
    """The jars that the server needs, in the order of the list."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in rows]


def jar_folder() -> Path:
    """The folder of the jars. A changed list gets a new folder."""
    digest = hashlib.sha256(LIST.read_bytes()).hexdigest()[:8]
    return Path(default_jgo_cache()) / "circuit-atlas" / f"neo4j-{VERSION}-{digest}"


def ensure_jars(
    folder: Path | None = None,
    *,
    jars: Sequence[Jar] | None = None,
    repositories: Sequence[str] | None = None,
    attempts: int = ATTEMPTS,
) -> Path:
    """Download the jars that `folder` lacks, and return the folder.

    A file gets its name only when it is complete and its hash is right, so that an interrupted download
    continues with the missing files. jars: the jars to fetch (default: all jars of the list). repositories:
    base addresses of Maven repositories (default: those of jgo). attempts: tries for each jar. Raises
    DownloadError.
    """
    folder = jar_folder() if folder is None else folder
    missing = [jar for jar in (read_list() if jars is None else jars) if not _has(folder, jar)]
    if not missing:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    bases = list(MavenContext().remote_repos.values()) if repositories is None else repositories
    with (
        progress(PlainConsole(stderr=True)) as work,
        httpx2.Client(timeout=30, follow_redirects=True) as client,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        fetched = work.add(f"Neo4j {VERSION}", sum(jar.size for jar in missing), in_bytes=True)
        stop = threading.Event()

        def fetch(jar: Jar) -> None:
            if not stop.is_set():
                _fetch(client, bases, jar, folder, attempts, fetched.advance, stop)

        futures = [pool.submit(fetch, jar) for jar in sorted(missing, key=lambda jar: -jar.size)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            raise
    return folder


def _has(folder: Path, jar: Jar) -> bool:
    try:
        return (folder / jar.file).stat().st_size == jar.size
    except FileNotFoundError:
        return False


class _UnavailableError(Exception):
    """No repository delivered the jar; the text says why."""


def _fetch(
    client: httpx2.Client,
    bases: Sequence[str],
    jar: Jar,
    folder: Path,
    attempts: int,
    advance: Callable[[int], None],
    stop: threading.Event,
) -> None:
    """Fetch one jar in at most `attempts` tries with growing pauses. Raises DownloadError."""
    retrying = Retrying(
        retry=retry_if_exception_type(_UnavailableError),
        stop=stop_after_attempt(attempts) | stop_when_event_set(stop),
        wait=wait_exponential(),
        sleep=sleep_using_event(stop),
        reraise=True,
    )
    try:
        retrying(_fetch_once, client, bases, jar, folder, advance, stop)
    except _UnavailableError as error:
        raise DownloadError(
            f"Could not fetch {jar.coordinate}, a part of Neo4j, in {attempts} tries: {error}",
            next_step="check the network and run the same command again (it continues where it stopped), "
            "or set NEO4J_URI to use a Neo4j that runs already",
        ) from error


def _fetch_once(
    client: httpx2.Client,
    bases: Sequence[str],
    jar: Jar,
    folder: Path,
    advance: Callable[[int], None],
    stop: threading.Event,
) -> None:
    """Fetch one jar from the first repository that has it, or return early when `stop` is set."""
    part = folder / f"{jar.file}.{os.getpid()}.part"
    reason = ""
    for base in bases:
        done = 0
        try:
            digest = hashlib.sha256()
            with client.stream("GET", f"{base}/{jar.path}") as response, part.open("wb") as file:
                response.raise_for_status()
                for chunk in response.iter_bytes(CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    done += len(chunk)
                    advance(len(chunk))
                    if stop.is_set():
                        return
            if digest.hexdigest() == jar.sha256:
                part.replace(folder / jar.file)
                return
            reason = f"its SHA-256 is {digest.hexdigest()}, expected {jar.sha256}"
        except httpx2.HTTPError as error:
            reason = re.sub(r"\nFor more information.*", "", str(error) or type(error).__name__)
        except OSError as error:
            raise DownloadError(
                f"Could not write {part}: {error.strerror}",
                next_step="free disk space (Neo4j needs 0.2 GB), or set JGO_CACHE_DIR to another folder",
            ) from error
        finally:
            part.unlink(missing_ok=True)
        advance(-done)
    raise _UnavailableError(reason)


def write_list() -> None:
    """Resolve ROOTS with jgo, which reads every POM (about a minute), and replace the list."""
    context = MavenContext()
    inputs, others = context.resolver.resolve([context.create_dependency(root) for root in ROOTS])
    lines = []
    for dependency in {d.artifact.key: d for d in (*inputs, *others)}.values():
        artifact = dependency.artifact
        data = Path(artifact.resolve()).read_bytes()
        parts = [artifact.groupId, artifact.artifactId, artifact.version]
        parts += [artifact.classifier] if artifact.classifier else []
        lines.append(f"{':'.join(parts)} {len(data)} {hashlib.sha256(data).hexdigest()}")
    heading = LIST.read_text(encoding="utf-8").splitlines()[:2]
    LIST.write_text("\n".join([*heading, *sorted(lines)]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_list()
