"""`atlas study`: run the studies of the bundled model again, and write their pages."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from atlas.client import DEFAULT_URL, AtlasClient
from atlas.tables import Rows, print_rows, show, tables
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.errors import InputError

if TYPE_CHECKING:
    from ingest.studies.study import Grid

study = typer.Typer(
    help="The studies of “On the Biology of a Large Language Model” on the bundled model: prompts, one "
    "GraphQL question, causal tests with success rates beside random features. `atlas study list` names all.",
    no_args_is_help=True,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
"""What lies between is written by `atlas study run --pages`; the rest of a page is a person's."""

COLUMNS = 4
"""Operand plots in a row."""

Measured = dict[str, list[dict[str, Any]]]
"""Rows of rates, findings and curves."""

Names = Annotated[
    list[str] | None, typer.Argument(help="Which studies; all when none is named.", show_default=False)
]


@study.command("list")
def list_() -> None:
    """Name the studies and what each asks."""
    from ingest.studies.all import STUDIES

    print_rows(out, Rows("", ["study", "asks"], [[each.name, each.asks] for each in STUDIES.values()]))


@study.command("run")
def run(
    names: Names = None,
    as_json: Annotated[
        bool, typer.Option("--json/--table", help="JSON for scripts, or tables to read.")
    ] = False,
    pages: Annotated[
        Path | None,
        typer.Option(
            help="Write what was measured into NAME.md of this folder, with a figure (needs matplotlib) and "
            "the answer of the API to the study's question."
        ),
    ] = None,
    api: Annotated[str, typer.Option(help="The API that pages ask: an atlas of the bundled prompts.")] = (
        DEFAULT_URL
    ),
) -> None:
    """Run studies: half a minute to five minutes each.

    Rules and strengths are chosen on prompts the model was trained on, then tried once on held-out ones;
    every rate stands beside that of random features which write as much at the same places.
    """
    import torch

    from ingest.engine.model import ReplacementModel
    from ingest.studies.all import STUDIES

    for name in names or []:
        if name not in STUDIES:
            raise InputError(f"There is no study {name!r}", next_step=f"name one of: {', '.join(STUDIES)}")
    torch.set_num_threads(1)
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    found = {}
    for name in names or list(STUDIES):
        chosen = STUDIES[name]
        with err.status(f"{chosen.title} …"):
            result = chosen.run(model)
        measured = {
            "rates": [each.row() for each in result.rates],
            "findings": [each.row() for each in result.findings],
            "curves": [each.row() for each in result.curves],
        }
        found[name] = measured
        if not as_json:
            out.print(f"\n[bold]{chosen.title}[/]: {chosen.asks}")
            for rows in _tables(measured):
                print_rows(out, rows)
        if pages is not None:
            _write_page(pages, name, measured, result.grids, api)
    if as_json:
        json.dump(found, sys.stdout, indent=2)
        print()


def _tables(measured: Measured) -> list[Rows]:
    found = (_rates(measured["rates"]), _findings(measured["findings"]), _curves(measured["curves"]))
    return [rows for rows in found if rows.rows]


def _rates(rates: list[dict[str, Any]]) -> Rows:
    columns = ["intervention", "success", "random features", "n", "edited of active", "chosen setting"]
    rows = [
        [
            rate["claim"],
            f"{rate['rate']:.2f}",
            f"{rate['null_rate']:.2f}",
            rate["n"],
            f"{rate['edited']:.0f} of {rate['active']:.0f}",
            ", ".join(f"{key} {value:g}" for key, value in rate["setting"].items())
            + " (development: {} of {})".format(*rate["development"]),
        ]
        for rate in rates
    ]
    return Rows("", columns, rows)


def _findings(findings: list[dict[str, Any]]) -> Rows:
    rows = [[each["what"], _number(each["value"]), _number(each["null"]), each["n"]] for each in findings]
    return Rows("", ["measured", "value", "null", "n"], rows)


def _curves(curves: list[dict[str, Any]]) -> Rows:
    steps = [f"{step}" for step, _ in curves[0]["points"]] if curves else []
    rows = [
        [each["group"], each["what"], *(f"{value:.2f}" for _, value in each["points"])] for each in curves
    ]
    return Rows("", ["", "at training step", *steps], rows)


def _number(value: float | None) -> str:
    return "" if value is None else str(value) if isinstance(value, int) else f"{value:.2f}"


def _write_page(folder: Path, name: str, measured: Measured, grids: Sequence["Grid"], api: str) -> None:
    page = folder / f"{name}.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{BEGIN}\n{END}\n"
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InputError(
            f"{page} has no place for figures", next_step=f"put {BEGIN} and {END} on two lines of it"
        )
    question = (
        resources.files("atlas")
        .joinpath("questions", f"study_{name.replace('-', '_')}.graphql")
        .read_text(encoding="utf-8")
    )
    with AtlasClient(api) as client:
        answer = tables(client.query(question))
    figure = folder / f"{name}.svg"
    parts = [f"Made by `atlas study run {name} --pages docs/studies` beside the demo.", ""]
    if measured["rates"]:
        _draw(figure, 0.9 + 0.55 * len(measured["rates"]), partial(_bars, measured["rates"]))
        parts += [f"![success rates beside those of random features]({figure.name})", ""]
    elif measured["curves"]:
        _draw(figure, 10, partial(_lines, measured["curves"]))
        parts += [f"![what changes over training]({figure.name})", ""]
    if grids:
        plots = folder / f"{name}-plots.png"
        _draw(plots, 2.4 * -(-len(grids) // COLUMNS), partial(_panels, grids))
        parts += [f"![activation over both operands, 0 to 99]({plots.name})", ""]
    for rows in _tables(measured):
        parts += [*_markdown(rows), ""]
    parts += ["The same asked of the atlas:", "", "```graphql", question.strip(), "```", ""]
    for rows in answer:
        parts += [*_markdown(rows), ""]
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


def _markdown(rows: Rows) -> list[str]:
    def line(cells: list[Any]) -> str:
        return "| " + " | ".join(show(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [line(rows.columns), "|" + "---|" * len(rows.columns), *map(line, rows.rows)]


def _draw(file: Path, height: float, draw: Callable[[Any], None]) -> None:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "Pages need matplotlib, which is not installed",
            next_step="install it: .venv/bin/uv pip install matplotlib",
        ) from error
    matplotlib.rcParams["svg.hashsalt"] = "atlas"  # the same figures give the same file
    figure = Figure(figsize=(8, height), layout="constrained")
    draw(figure)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _bars(rates: list[dict[str, Any]], figure: Any) -> None:
    """Success rates beside those of random features. figure: matplotlib's."""
    axes = figure.subplots()
    for shift, key, label, color in (
        (0.18, "rate", "the concept", "#1b6ca8"),
        (-0.18, "null_rate", "random features", "#c9c9c9"),
    ):
        places = [place + shift for place in range(len(rates))]
        axes.barh(places, [rate[key] for rate in rates], 0.34, label=label, color=color)
    names = [f"{rate['claim'].split(':')[0]}\nn = {rate['n']}" for rate in rates]
    axes.set_yticks(range(len(rates)), names, fontsize=8)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_xlabel("share of held-out prompts where the wanted word follows")
    axes.legend(fontsize=8, loc="lower right")


def _lines(curves: list[dict[str, Any]], figure: Any) -> None:
    """What changes over training, a panel for each group. figure: matplotlib's."""
    groups = list(dict.fromkeys(curve["group"] for curve in curves))
    columns = min(3, len(groups))
    panels = figure.subplots(-(-len(groups) // columns), columns, squeeze=False, sharey=True).flatten()
    explained: set[str] = set()
    for panel, group in zip(panels, groups, strict=False):
        lines = {curve["what"]: curve["points"] for curve in curves if curve["group"] == group}
        for what, points in lines.items():
            steps, values = zip(*points, strict=True)
            panel.plot(steps, values, marker="o", markersize=2.5, linewidth=1.2, label=what)
        panel.set_title(group, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.set_ylim(-0.05, 1.05)
        if not lines.keys() <= explained:
            panel.legend(fontsize=6)
        explained |= lines.keys()
    for panel in panels[len(groups) :]:
        panel.axis("off")
    figure.supxlabel("training step", fontsize=9)


def _panels(grids: Sequence["Grid"], figure: Any) -> None:
    """One picture for each grid. figure: matplotlib's."""
    panels = figure.subplots(-(-len(grids) // COLUMNS), COLUMNS, squeeze=False).flatten()
    for panel, grid in zip(panels, grids, strict=False):
        panel.imshow(grid.values.numpy(), origin="lower", cmap="magma", interpolation="nearest")
        panel.set_title(grid.what.replace(": ", "\n"), fontsize=7)
        panel.tick_params(labelsize=6)
    for panel in panels[len(grids) :]:
        panel.axis("off")
    figure.supxlabel("second operand", fontsize=8)
    figure.supylabel("first operand", fontsize=8)
