"""The jars of the local Neo4j: a committed list of coordinates, fetched once and checked against its hashes.

`neo4j-jars.txt` is what jgo resolved from ROOTS; reading it spares the minute that reading POMs takes. Where
published artifacts live is jgo's knowledge (its default repository), not ours. The jars stay in jgo's cache
folder, so a second start needs no network.
"""

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx2
from jgo.constants import default_jgo_cache
from jgo.maven import MavenContext
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

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
ATTEMPTS = 4
CHUNK = 1 << 16


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
    """The jars that the server needs, in the list's order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [Jar(coordinate, int(size), sha256) for coordinate, size, sha256 in rows]


def jar_folder() -> Path:
    """Where the jars of this list are kept; a changed list gets a folder of its own."""
    digest = hashlib.sha256(LIST.read_bytes()).hexdigest()[:8]
    return Path(default_jgo_cache()) / "circuit-atlas" / f"neo4j-{VERSION}-{digest}"


def ensure_jars(
    folder: Path | None = None,
    *,
    jars: Sequence[Jar] | None = None,
    repositories: Sequence[str] | None = None,
    attempts: int = ATTEMPTS,
) -> Path:
    """Download the jars that `folder` lacks, and return it.

    A file appears under its name only whole and with the right hash, so an interrupted download goes on where
    it was. `jars`: which ones (default: all of the list). `repositories`: base addresses of Maven
    repositories (default: jgo's). `attempts`: tries for each jar. Raises DownloadError.
    """
    folder = jar_folder() if folder is None else folder
    missing = [jar for jar in (read_list() if jars is None else jars) if not _has(folder, jar)]
    if not missing:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    bases = list(MavenContext().remote_repos.values()) if repositories is None else repositories
    with (
        Progress(
            TextColumn("Neo4j {task.fields[version]}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        ) as progress,
        httpx2.Client(timeout=30, follow_redirects=True) as client,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        task = progress.add_task("", total=sum(jar.size for jar in missing), version=VERSION)
        stop = threading.Event()

        def fetch(jar: Jar) -> None:
            if not stop.is_set():
                _fetch(client, bases, jar, folder, attempts, lambda n: progress.advance(task, n), stop)

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


def _fetch(
    client: httpx2.Client,
    bases: Sequence[str],
    jar: Jar,
    folder: Path,
    attempts: int,
    advance: Callable[[int], None],
    stop: threading.Event,
) -> None:
    """Fetch one jar from the first repository that has it; several tries, then DownloadError."""
    part = folder / f"{jar.file}.{os.getpid()}.part"
    trouble: object = None
    for attempt in range(attempts):
        if attempt:
            time.sleep(2**attempt / 2)
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
                trouble = f"its SHA-256 is {digest.hexdigest()}, expected {jar.sha256}"
            except httpx2.HTTPError as error:
                trouble = re.sub(r"\nFor more information.*", "", str(error) or type(error).__name__)
            except OSError as error:
                raise DownloadError(
                    f"Could not write {part}: {error.strerror}",
                    next_step="make room (Neo4j needs 0.2 GB), or set JGO_CACHE_DIR to another folder",
                ) from error
            finally:
                part.unlink(missing_ok=True)
            advance(-done)
    raise DownloadError(
        f"Could not fetch {jar.coordinate}, a part of Neo4j, in {attempts} tries: {trouble}",
        next_step="check the network and run the same command again (it goes on where it was), "
        "or set NEO4J_URI to use a Neo4j that runs already",
    )


def write_list() -> None:
    """Resolve ROOTS with jgo, which reads every POM (about a minute), and write the list again."""
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
