"""References to files on the Hugging Face hub, and the local copies of these files.

    hf://org/name                    a whole repository
    hf://org/name/folder@revision    a folder or a file in it; without a revision, of the main branch
    hf://org/name/file?revision=r    the notation for a revision in circuit-tracer's config.yaml

Files are downloaded, with a progress bar, into huggingface_hub's own cache. When the hub cannot be reached,
files that are in the cache are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ingest.engine.errors import FormatError

SCHEME = "hf://"

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a git-lfs pointer begins, which stands for a file that was not fetched."""
FETCH = "fetch the files with `git lfs pull`, or download them again"
"""What to do about a pointer."""


def is_pointer(path: Path) -> bool:
    """Whether a file is a git-lfs pointer and not the file itself. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


def is_reference(text: Path | str) -> bool:
    """Whether a text or path is a reference to the hub. A Path has one slash only: `hf:/`."""
    return str(text).startswith("hf:/")


@dataclass(frozen=True)
class Hub:
    """Access to the files of the hub."""

    offline: bool = False
    """Whether only the cache is used, without downloads."""
    cache: Path | None = None
    """Folder of the cache; None for huggingface_hub's own."""

    def fetch(self, reference: "HubReference", patterns: Sequence[str]) -> Path:
        """The local path of a reference, once its files that match the patterns are in the cache.

        Without patterns, the reference is one file. Raises FormatError when the hub does not have the
        reference, or when the hub cannot be reached and the cache lacks it.
        """
        inside = f"{reference.path}/" if reference.path and patterns else reference.path
        try:
            snapshot = snapshot_download(
                reference.repository,
                revision=reference.revision,
                allow_patterns=[inside + pattern for pattern in patterns] or [inside],
                cache_dir=self.cache,
                local_files_only=self.offline,
            )
        except LocalEntryNotFoundError as error:
            raise FormatError(
                f"{reference} is not in the cache"
                + (", and nothing may be downloaded" if self.offline else ", and the hub cannot be reached"),
                next_step="download it once with a network connection, or give a local folder",
            ) from error
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise FormatError(
                f"{reference} cannot be downloaded: {str(error).splitlines()[0]}",
                next_step="check the name and the revision; a gated repository needs `hf auth login`",
            ) from error
        return Path(snapshot) / reference.path


@dataclass(frozen=True)
class HubReference:
    """A place on the hub."""

    repository: str
    """`org/name`"""
    path: str
    """Folder or file in the repository; empty for the whole repository"""
    revision: str | None
    """Branch, tag or commit; None for the main branch"""

    @classmethod
    def parse(cls, text: str) -> "HubReference":
        """Read a reference from text. Raises FormatError when the text is not a reference to the hub."""
        split = urlsplit(SCHEME + text.removeprefix("hf:").lstrip("/") if is_reference(text) else text)
        path, _, revision = f"{split.netloc}{split.path}".partition("@")
        parts = [part for part in path.split("/") if part]
        if split.scheme != "hf" or len(parts) < 2 or ".." in parts:
            raise FormatError(
                f"{text!r} is not a reference to the hub",
                next_step="write hf://org/name, hf://org/name/folder or hf://org/name@revision",
            )
        asked = parse_qs(split.query).get("revision", [""])[0]
        return cls("/".join(parts[:2]), "/".join(parts[2:]), revision or asked or None)

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        return f"{SCHEME}{self.repository}{path}" + (f"@{self.revision}" if self.revision else "")
