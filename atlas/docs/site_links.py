"""A hook of MkDocs: Markdown files outside docs/ become pages of the website, and links to them still work.

On GitHub a page links to `../README.md`. MkDocs knows only what is in docs/, so the file is added to the site
as `repository/README.md`, and links that leave docs/ are rewritten when a page is built.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

OUTSIDE = ("README.md", "CHANGELOG.md", "ingest/organism/README.md")
"""Paths from the root of the repository."""

ROOM = "repository"
"""Folder of the site that holds them."""

_LINK = re.compile(r"(?P<before>\]\()(?P<path>[^()\s#:]+)(?P<anchor>#[^()\s]*)?(?=\))")


def on_files(files: Any, *, config: Any, **_: Any) -> Any:
    """Add the files outside docs/ to those of the site."""
    from mkdocs.structure.files import File

    for path in OUTSIDE:
        source = _root(config) / path
        files.append(File.generated(config, f"{ROOM}/{path}", abs_src_path=os.fspath(source)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with its links as they are on the site."""
    docs = posixpath.relpath(config.docs_dir, _root(config))
    return site_links(markdown, page.file.src_uri, docs)


def site_links(markdown: str, page: str, docs: str = "docs") -> str:
    """Rewrite the links of a page that lead into or out of docs/.

    page: path in the site. docs: the folder of the pages, from the root of the repository.
    """
    here = page.removeprefix(f"{ROOM}/") if page.startswith(f"{ROOM}/") else f"{docs}/{page}"

    def rewritten(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), link["path"]))
        if target in OUTSIDE:
            place = f"{ROOM}/{target}"
        elif target.startswith(f"{docs}/"):
            place = target.removeprefix(f"{docs}/")
        else:
            return link[0]
        return (
            link["before"] + posixpath.relpath(place, posixpath.dirname(page) or ".") + (link["anchor"] or "")
        )

    return _LINK.sub(rewritten, markdown)


def _root(config: Any) -> Path:
    return Path(config.config_file_path).parent
