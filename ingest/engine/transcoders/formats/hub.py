"""References to files on the Hugging Face hub, and where they lie on this machine.

    hf://org/name                    the whole repository
    hf://org/name/folder@revision    a folder or a file of it; without a revision its main branch
    hf://org/name/file?revision=r    the same, as circuit-tracer's config.yaml writes it

Files are downloaded with a progress bar into huggingface_hub's own cache, and come from there when they are
in it already and the hub cannot be reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ingest.engine.errors import FormatError

SCHEME = "hf://"


def is_reference(text: Path | str) -> bool:
    """Whether this names a place on the hub; a Path has lost one of the slashes."""
    return str(text).startswith("hf:/")


@dataclass(frozen=True)
class Hub:
    """How files of the hub are found."""

    offline: bool = False
    """Whether only the cache is looked at."""
    cache: Path | None = None
    """The cache's folder; None for huggingface_hub's own."""

    def fetch(self, reference: "Reference", patterns: Sequence[str]) -> Path:
        """Where the files of a reference lie that match the patterns: its folder, or the file itself.

        Raises FormatError when the hub does not have it or cannot be reached and the cache lacks it.
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
                next_step="download it once with a connection, or give a local folder",
            ) from error
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise FormatError(
                f"{reference} cannot be downloaded: {str(error).splitlines()[0]}",
                next_step="check the name and the revision; a gated repository needs `hf auth login`",
            ) from error
        return Path(snapshot) / reference.path


@dataclass(frozen=True)
class Reference:
    """A place on the hub."""

    repository: str
    """`org/name`"""
    path: str
    """Folder or file inside it; empty for all of it"""
    revision: str | None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Raises FormatError when the text is no such reference."""
        split = urlsplit(SCHEME + text.removeprefix("hf:").lstrip("/") if is_reference(text) else text)
        path, _, revision = f"{split.netloc}{split.path}".partition("@")
        parts = [part for part in path.split("/") if part]
        if split.scheme != "hf" or len(parts) < 2 or ".." in parts:
            raise FormatError(
                f"{text!r} is no reference to the hub",
                next_step="write hf://org/name, hf://org/name/folder or hf://org/name@revision",
            )
        asked = parse_qs(split.query).get("revision", [""])[0]
        return cls("/".join(parts[:2]), "/".join(parts[2:]), revision or asked or None)

    def __str__(self) -> str:
        path = f"/{self.path}" if self.path else ""
        return f"{SCHEME}{self.repository}{path}" + (f"@{self.revision}" if self.revision else "")
