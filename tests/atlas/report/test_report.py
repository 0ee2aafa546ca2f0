"""The report: one page that needs nothing else, with every rate of the results, and no text of theirs as
markup.
"""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from atlas.client import AtlasClient
from atlas.report.compare import comparison
from atlas.report.page import html, write_figures
from atlas.report.parts import Missing, Picture, Report, Section
from atlas.report.sections import atlas_sections, components_sections, study_sections
from atlas.studies.figures import cortex, drawn
from atlas.studies.results import read_results, write_result
from atlas.tables import Rows
from schema.circuit.neuronpedia_pages import SITE
from schema.errors import InputError
from tests.support.cli import Cli
from tests.support.paths import HOME

HOSTILE = '"><img src=x onerror=alert(1)> $\\alpha$ <script>'
KEPT = HOME / "docs" / "studies" / "results"
NOBODY = "http://127.0.0.1:9/graphql"


class Page(HTMLParser):
    """Tags with their attributes, and the text of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")
        self.in_cell = (tag in ("td", "code") and self.in_cell) or tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.cells[-1] += data


def result(name: str = "it", claim: str = "swap it: it follows", rate: float = 0.875) -> dict[str, Any]:
    """What `atlas study run` keeps, with one rate, one finding and one effect."""
    return {
        "format": 1,
        "study": name,
        "title": f"About {name}",
        "asks": "Does it?",
        "model": "m",
        "transcoders": "t",
        "prompts": "p.jsonl",
        "made_at": "2026-01-01T00:00:00+00:00",
        "rates": [
            {
                "claim": claim,
                "n": 8,
                "successes": 7,
                "null_successes": 1,
                "edited": 3.0,
                "active": 40.0,
                "setting": {"ratio": 2.0},
                "development": [4, 4],
                "rate": rate,
                "null_rate": 0.125,
            }
        ],
        "findings": [{"what": f"share of {claim}", "value": 0.5, "null": None, "n": 3}],
        "curves": [
            {"what": "right answers", "group": "sums", "points": [[0, 0.1], [100, 0.9]]},
        ],
        "effects": [
            {
                "part": "module 0",
                "size": 4,
                "family": claim,
                "share": 0.5,
                "accuracy": 0.25,
                "null_accuracy": 1.0,
                "drop": 2.0,
                "null_drop": 0.1,
                "n": 8,
                "edited": 3.0,
                "active": 40.0,
            }
        ],
    }


def page(sections: list[Section]) -> str:
    return html(Report(f"A report {HOSTILE}", "2026", [HOSTILE], sections))


def needs_nothing(text: str) -> bool:
    """Whether a page loads and runs nothing but itself, and links only to pages of features."""
    for tag, attributes in Page(text).tags:
        if tag in ("script", "link", "iframe", "object", "embed", "base", "form"):
            return False
        for name, value in attributes.items():
            ours = (value or "").startswith(("#", "data:image/svg+xml;base64,"))
            ours |= tag == "a" and (value or "").startswith(f"{SITE}/")
            if name in ("src", "href", "srcset", "data", "action", "style") and not ours:
                return False
            if name.startswith("on"):
                return False
    style = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    return "url(" not in style and "@import" not in style


def test_every_kept_rate_is_in_the_page_and_nothing_comes_from_outside() -> None:
    results = read_results(KEPT)
    assert {"multi-step", "modular-cortex"} <= results.keys()
    sections = [*study_sections(results), *components_sections(results)]
    # Figures take seconds, and have tests of their own.
    text = page(
        [replace(s, parts=[part for part in s.parts if not isinstance(part, Picture)]) for s in sections]
    )
    assert needs_nothing(text)
    assert "default-src 'none'" in text
    cells = Page(text).cells
    every = {
        (study["title"], rate["claim"], f"{rate['rate']:.2f}", f"{rate['null_rate']:.2f}", str(rate["n"]))
        for study in results.values()
        for rate in study["rates"]
    }
    assert every == {found for at in range(len(cells)) if (found := tuple(cells[at : at + 5])) in every}
    for study in results.values():
        for each in study["findings"]:
            assert each["what"] in cells
    assert not re.search(r"/(work|home|tmp|root)/", text)


def test_hostile_text_is_text() -> None:
    measured = result(claim=f"{HOSTILE}: it") | {"title": HOSTILE, "asks": HOSTILE, "model": HOSTILE}
    sections = study_sections({"it": measured})
    sections.append(
        Section("x", HOSTILE, HOSTILE, [Rows(HOSTILE, [HOSTILE], [[HOSTILE]]), Missing(HOSTILE, HOSTILE)])
    )
    text = page(sections)
    assert needs_nothing(text)
    assert {tag for tag, _ in Page(text).tags} & {"script", "svg"} == set()
    assert [str(found.get("src"))[:5] for tag, found in Page(text).tags if tag == "img"] == ["data:"]
    assert HOSTILE in Page(text).cells
    assert unescape(text).count(HOSTILE) > 10
    svg = drawn(3, lambda figure: cortex(measured["effects"], figure), "svg").decode()
    assert "<img" not in svg
    assert "onerror" in svg


def test_results_come_back_as_they_were_kept(tmp_path: Path) -> None:
    write_result(tmp_path / "new", result())
    assert read_results(tmp_path / "new") == {"it": result()}
    assert read_results(tmp_path / "nowhere") == {}
    (tmp_path / "new" / "other.json").write_text('{"format": 1}')
    with pytest.raises(InputError, match="is not a result of a study"):
        read_results(tmp_path / "new")


def test_figures_are_written_as_svg_and_png(tmp_path: Path) -> None:
    report = Report("r", "", [], study_sections({"it": result(), "at": result("at")}))
    assert write_figures(report, tmp_path / "figures") == 2
    names = {f"study-{name}.{ending}" for name in ("it", "at") for ending in ("svg", "png")}
    assert {file.name for file in (tmp_path / "figures").iterdir()} == names
    assert (tmp_path / "figures" / "study-it.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "figures" / "study-it.svg").read_text()


def test_two_runs_and_two_checkpoints_stand_side_by_side(tmp_path: Path) -> None:
    write_result(tmp_path / "one", result(rate=0.5))
    write_result(tmp_path / "two", result(rate=0.875))
    write_result(tmp_path / "two", result("more"))
    (rows,) = comparison(str(tmp_path / "one"), str(tmp_path / "two"), tmp_path, NOBODY).parts
    assert isinstance(rows, Rows)
    assert rows.rows[0] == [
        "About it", "swap it: it follows", "0.50", "0.12", 8, "0.88", "0.12", 8, "+0.38",
    ]  # fmt: skip
    assert [rows.rows[-1][0], *rows.rows[-1][2:4]] == ["About more", "", ""]
    write_result(tmp_path / "steps", result("emergence"))
    (rows,) = comparison("step:0", "step:100", tmp_path / "steps", NOBODY).parts
    assert isinstance(rows, Rows)
    assert rows.rows == [["sums", "right answers", "0.10", "", "", "0.90", "", "", "+0.80"]]
    for a, b, wrong in (
        ("step:0", "step:7", "There is no checkpoint step:7"),
        ("step:0", str(tmp_path / "one"), "no measure in common"),
        ("nothing", "step:0", "cannot be compared"),
    ):
        with pytest.raises(InputError, match=wrong):
            comparison(a, b, tmp_path / "steps", NOBODY)


def test_a_report_without_results_or_api_says_what_to_run(cli_without_database: Cli, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    run = cli_without_database("report", "--out", out, "--api", NOBODY)
    assert run.exit_code == 0, run.text
    text = out.read_text()
    assert needs_nothing(text)
    commands = {unescape(found) for found in re.findall(r"<code>(.*?)</code>", text)}
    assert commands == {"atlas study run", "atlas study run components", "atlas serve"}
    refused = cli_without_database("report", "--results", tmp_path / "nowhere")
    assert isinstance(refused.error, InputError)


def test_what_the_atlas_holds_is_in_its_sections(address, circuits) -> None:
    with AtlasClient(address) as client:
        sections = {section.name: section for section in atlas_sections(client)}
        families = client.query("{ families { name nCircuits } }")["families"]
    (held,) = (part for part in sections["families"].parts if isinstance(part, Rows))
    assert [row[0] for row in held.rows] == [family["name"] for family in families]
    assert [part.next_step for part in sections["cortex"].parts if isinstance(part, Missing)]
    assert any(isinstance(part, Picture) for part in sections["tokens"].parts)
    assert any(isinstance(part, Rows) for part in sections["labels"].parts)
    text = page(list(sections.values()))
    assert needs_nothing(text)
    model = next(iter(circuits)).model.name
    (rows,) = comparison(f"model:{model}", f"model:{model}", Path(), address).parts
    assert isinstance(rows, Rows)
    assert {row[-1] for row in rows.rows} == {"+0.00"}
    (rows,) = comparison(address, address, Path(), address).parts
    assert isinstance(rows, Rows)
    assert {row[-1] for row in rows.rows} == {"+0.00"}
