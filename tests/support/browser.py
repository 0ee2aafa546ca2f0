"""Debian's Chromium, driven by Playwright, on a served atlas."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.support.paths import HOME

AXE = HOME / "tests" / "data" / "axe.min.js"
PATIENCE_S = 60.0
"""Seconds that a view may take on a busy machine."""


def chromium() -> str:
    """The path of Chromium. Skips the tests without it, or fails where it must be: in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        why = "Chromium is not installed, so the explorer is not tested; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests of a file."""
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


class Visitor:
    """A page of the explorer, with what the browser complained about."""

    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.complaints: list[str] = []
        self.failed_loads = 0
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        # Chromium reports answers with an error status by itself; tests of such answers count them.
        if message.type == "error" and "Failed to load resource" in message.text:
            self.failed_loads += 1
        elif message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:", self.base.replace("http", "ws"))):
            self.complaints.append(f"asked {request.url}")

    def open(self, path: str, *, ready: bool = True) -> Page:
        """Open an address. ready: wait until every panel has its answer."""
        self.page.goto(self.base + path)
        if ready:
            self.ready()
        return self.page

    def ready(self) -> None:
        """Wait until every panel has its answer."""
        self.page.locator("h1").first.wait_for()
        quiet, end = 0, time.monotonic() + PATIENCE_S
        while quiet < 2:
            quiet = 0 if self.page.locator("[aria-busy=true]").count() else quiet + 1
            assert time.monotonic() < end, "a panel still waits for its answer"
            self.page.wait_for_timeout(40)

    def until(self, expression: str) -> None:
        """Wait until an expression of the page is true. Playwright's own way needs eval, which is refused."""
        end = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(40)

    def accessibility(self) -> list[str]:
        """The serious and critical violations that axe-core finds, one line each."""
        # Evaluated through the protocol of the debugger, which the page's policy does not bind.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations'], selectors: false})")
        return [
            f"{each['id']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    def table(self, panel: str, number: int = 0) -> list[list[str]]:
        """The cells of a table of a panel, by row, as they are read."""
        rows = self.panel(panel).locator("table").nth(number).locator("tbody tr")
        return [
            [" ".join(cell.split()) for cell in row.locator("td, th").all_inner_texts()] for row in rows.all()
        ]

    def panel(self, title: str) -> Any:
        return self.page.locator(f'section.panel[aria-label="{title}"]')


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visitor]:
    """A visitor of `circuits`, which must have complained about nothing at the end."""
    base = address.removesuffix("/graphql")
    context = browser.new_context(viewport={"width": 1366, "height": 800}, accept_downloads=True)
    visitor = Visitor(context.new_page(), base)
    yield visitor
    context.close()
    assert visitor.complaints == []


def ask(address: str, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The data of a GraphQL answer."""
    body = {"query": query, "variables": dict(variables or {})}
    answer = httpx2.post(address, json=body, timeout=PATIENCE_S).json()
    assert "errors" not in answer, answer["errors"]
    data: dict[str, Any] = answer["data"]
    return data
