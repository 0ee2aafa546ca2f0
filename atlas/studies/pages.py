"""The measured part of a study's page in docs/studies: figures, tables and the API's answer."""

from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas.client import AtlasClient
from atlas.studies.figures import COLUMNS, drawn, panels, study_figure
from atlas.studies.tables import measured_tables
from atlas.tables import Rows, show, tables
from schema.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.studies.tools.study import Grid

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
"""Marks around the part that `atlas study run --pages` replaces. People write the rest of the page."""


def write_page(folder: Path, measured: dict[str, Any], grids: "Sequence[Grid]", api: str) -> None:
    """Write the results of a study into its page.

    grids: activations over two operands, drawn as plots; api: address of the API that answers the study's
    question. Raises InputError for a page without the two marks.
    """
    name = measured["study"]
    page = folder / f"{name}.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InputError(
            f"{page} has no place for the results",
            next_step=f"write {BEGIN} and {END} on two lines of the page",
        )
    question = (
        resources.files("atlas.studies").joinpath("graphql", f"{name}.graphql").read_text(encoding="utf-8")
    )
    with AtlasClient(api) as client:
        answer = tables(client.query(question))
    parts = [f"Made by `atlas study run {name} --pages docs/studies` beside the demo.", ""]
    if (figure := study_figure(measured)) is not None:
        height, draw, shows = figure
        (folder / f"{name}.svg").write_bytes(drawn(height, draw, "svg"))
        parts += [f"![{shows}]({name}.svg)", ""]
    if grids:
        plots = folder / f"{name}-plots.png"
        plots.write_bytes(drawn(2.4 * -(-len(grids) // COLUMNS), partial(panels, grids), "png"))
        parts += [f"![activation over both operands, 0 to 99]({plots.name})", ""]
    for rows in measured_tables(measured):
        parts += [*markdown(rows), ""]
    parts += ["The same asked of the atlas:", "", "```graphql", question.strip(), "```", ""]
    for rows in answer:
        parts += [*markdown(rows), ""]
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def markdown(rows: Rows) -> list[str]:
    """The lines of a table in Markdown."""

    def line(cells: list[Any]) -> str:
        return "| " + " | ".join(show(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(rows.columns), "|" + "---|" * len(rows.columns), *map(line, rows.rows)]
