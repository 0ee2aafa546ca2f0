"""Links: every relative link and anchor in every Markdown file of the repository leads somewhere."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from atlas.docs.site_links import OUTSIDE, site_links
from tests.support.paths import HOME

FENCE = re.compile(r"^(```|~~~).*?^\1[ ]*$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\((?P<target>[^()\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*?) *#*$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
"""The beginning of an address that is no path of the repository, such as `https:`."""
NOT_OURS = {"node_modules", "build", "dist", "site"}


def pages() -> list[Path]:
    """Every Markdown file of the repository."""
    inside = (path for path in HOME.rglob("*.md") if not _skipped(path.relative_to(HOME)))
    return sorted(inside)


def _skipped(path: Path) -> bool:
    return any(part in NOT_OURS or part.startswith(".") for part in path.parts)


@cache
def prose(page: Path) -> str:
    """The text of a page without blocks of code and comments."""
    return COMMENT.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub names them: a repeated one gets a number."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
        if found[name]:
            found[f"{name}-{found[name]}"] = 0
    return frozenset(found)


def links(page: Path) -> Iterator[str]:
    """Targets of the links of a page, inline code left out."""
    for link in LINK.finditer(re.sub(r"`[^`\n]*`", "code", prose(page))):
        if not ELSEWHERE.match(link["target"]):
            yield unquote(link["target"])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(HOME)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(HOME):
            broken.append(f"{link}: no such file")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_every_page_of_the_docs_can_be_reached() -> None:
    start = HOME / "README.md"
    seen, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in seen:
                seen.add(target)
                waiting.append(target)
    assert [page for page in pages() if page.is_relative_to(HOME / "docs") and page not in seen] == []


def test_the_checker_sees_what_is_broken(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`: three?\n\n# One\n\n# One\n\n[a](b.md#x) ![b](c.png) `[d](e)` [f](https://g)\n"
    )
    assert anchors(page) == {"one-two-three", "one", "one-1"}
    assert list(links(page)) == ["b.md#x", "c.png"]


def test_links_out_of_the_docs_lead_to_pages_of_the_site() -> None:
    assert site_links("[a](../README.md#b) [c](models.md)", "tutorial.md") == (
        "[a](repository/README.md#b) [c](models.md)"
    )
    assert site_links("[a](../../ingest/organism/README.md)", "studies/poetry.md") == (
        "[a](../repository/ingest/organism/README.md)"
    )
    assert (
        site_links("[a](docs/models.md) [b](LICENSE)", "repository/README.md")
        == "[a](../models.md) [b](LICENSE)"
    )
    outside = {
        page.relative_to(HOME).as_posix() for page in pages() if not page.is_relative_to(HOME / "docs")
    }
    assert outside == set(OUTSIDE)
