"""`atlas report`: all results in one page that can be kept and sent."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atlas.commands.options import ApiAddress
from atlas.commands.options import out as console
from atlas.settings import Settings
from schema.atomic_file import atomic_write
from schema.counted import counted
from schema.errors import InputError, UnreachableError


def report(
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    results: Annotated[
        Path | None,
        typer.Option(help="Folder with the results of `atlas study run`.", show_default="ATLAS_HOME/studies"),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Also write every figure into this folder, as SVG and PNG.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B",
            help="Compare two sides. A side is a folder of results, step:N (a checkpoint), model:NAME, or "
            "the address of another atlas's API.",
        ),
    ] = None,
    api: ApiAddress = None,
) -> None:
    """Write one HTML page with the results of the studies and what the atlas holds.

    For example: `atlas report --out report.html`. Open the page in a browser; it needs no other file and no
    network.

    The studies come from the files that `atlas study run` writes, everything else from the API (`atlas
    serve`). A section whose data is missing names the command that makes the data.
    """
    from atlas.client import AtlasClient
    from atlas.report.compare import comparison
    from atlas.report.page import html, write_figures
    from atlas.report.parts import Missing, Report, Section
    from atlas.report.sections import atlas_sections, components_sections, study_sections
    from atlas.studies.results import read_results

    settings = Settings.load()
    folder = results or settings.home / "studies"
    if results is not None and not results.is_dir():
        raise InputError(f"There is no folder {results}", next_step="run `atlas study run --results` first")
    address = api or settings.api
    measured = read_results(folder)
    sections = study_sections(measured)
    if compare is not None:
        sections.insert(0, comparison(*compare, folder, address))
    sections += components_sections(measured)
    sources = [f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", f"Studies: {len(measured)} in {folder}"]
    try:
        with AtlasClient(address) as client:
            sections += atlas_sections(client)
        sources.append(f"Atlas: {address}")
    except UnreachableError as error:
        missing = Missing(error.what, "atlas serve")
        sections.append(
            Section("atlas", "What the atlas holds", "This section comes from the API.", [missing])
        )
    made = Report("Circuit atlas: report", datetime.now(UTC).isoformat(timespec="seconds"), sources, sections)
    try:
        page = html(made)
        with atomic_write(out) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}", next_step="give a path in a folder that exists"
        ) from error
    console.print(
        f"{out}: {counted(len(sections), 'section')}, {out.stat().st_size / 1e6:.1f} MB", markup=False
    )
    if figures is not None:
        n_written = write_figures(made, figures)
        console.print(f"{figures}: {counted(n_written, 'figure')}, each as SVG and PNG", markup=False)
