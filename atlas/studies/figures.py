"""Figures of the studies' results, drawn with matplotlib from the rows of `atlas.studies.results`.

Each function takes rows and a figure of matplotlib. Text that comes from outside (families, claims) is never
read as TeX.
"""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ingest.studies.tools.study import Grid

Draw = Callable[[Any], None]
"""Fills a figure of matplotlib."""

COLUMNS = 4
"""Operand plots per row."""
BLUE, GREY, RED = "#1b6ca8", "#c9c9c9", "#b3392f"


def drawn(height: float, draw: Draw, ending: str, *, width: float = 8) -> bytes:
    """One figure as `svg` or `png`. The same numbers give the same bytes.

    height, width: in inches.
    """
    # Importing matplotlib takes half a second, and only figures need it.
    from matplotlib.figure import Figure

    from figures.chart import styled

    stream = BytesIO()
    with styled():
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        metadata = {"Date": None} if ending == "svg" else {"Software": None}
        figure.savefig(stream, format=ending, dpi=110, metadata=metadata)
    return stream.getvalue()


def bars(rates: list[dict[str, Any]], figure: Any) -> None:
    """Draw success rates beside those of random features."""
    axes = figure.subplots()
    for shift, key, label, color in (
        (0.18, "rate", "the concept", BLUE),
        (-0.18, "null_rate", "random features", GREY),
    ):
        places = [place + shift for place in range(len(rates))]
        axes.barh(places, [rate[key] for rate in rates], 0.34, label=label, color=color)
    names = [f"{fill(rate['claim'], 44)}\nn = {rate['n']}" for rate in rates]
    axes.set_yticks(range(len(rates)), names, fontsize=7)
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.set_xlabel("share of held-out prompts where the wanted word follows")
    figure.legend(fontsize=8, loc="outside upper right", ncols=2)


def lines(curves: list[dict[str, Any]], figure: Any) -> None:
    """Draw what changes over training, with a panel for each group of curves."""
    groups = list(dict.fromkeys(curve["group"] for curve in curves))
    columns = min(3, len(groups))
    panels = figure.subplots(-(-len(groups) // columns), columns, squeeze=False, sharey=True).flatten()
    explained: set[str] = set()
    for panel, group in zip(panels, groups, strict=False):
        drawn = {curve["what"]: curve["points"] for curve in curves if curve["group"] == group}
        for what, points in drawn.items():
            steps, values = zip(*points, strict=True)
            panel.plot(steps, values, marker="o", markersize=2.5, linewidth=1.2, label=what)
        panel.set_title(group, fontsize=9)
        panel.tick_params(labelsize=7)
        panel.set_ylim(-0.05, 1.05)
        if not drawn.keys() <= explained:
            panel.legend(fontsize=6)
        explained |= drawn.keys()
    for panel in panels[len(groups) :]:
        panel.axis("off")
    figure.supxlabel("training step", fontsize=9)


def panels(grids: Sequence["Grid"], figure: Any) -> None:
    """Draw one picture for each grid of activations over two operands."""
    places = figure.subplots(-(-len(grids) // COLUMNS), COLUMNS, squeeze=False).flatten()
    for panel, grid in zip(places, grids, strict=False):
        panel.imshow(grid.values.numpy(), origin="lower", cmap="magma", interpolation="nearest")
        panel.set_title(grid.what.replace(": ", "\n"), fontsize=7)
        panel.tick_params(labelsize=6)
    for panel in places[len(grids) :]:
        panel.axis("off")
    figure.supxlabel("second operand", fontsize=8)
    figure.supylabel("first operand", fontsize=8)


def cortex(effects: list[dict[str, Any]], figure: Any) -> None:
    """Draw which families use each part in their circuits, and the accuracy that ablating each part costs."""
    parts = {each["part"]: each["size"] for each in effects}
    families = list(dict.fromkeys(each["family"] for each in effects))
    rows, columns = (list(names) for names in (parts, families))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    middle = [(at + 0.5) * len(rows) / len(columns) - 0.5 for at in range(len(columns))]
    for each in effects:
        if each["share"] >= 0.02:
            ends = rows.index(each["part"]), middle[columns.index(each["family"])]
            left.plot((0, 1), ends, color=BLUE, linewidth=14 * each["share"], alpha=0.45, zorder=1)
    biggest = max(parts.values())
    left.scatter(
        [0] * len(rows), range(len(rows)), [320 * size / biggest for size in parts.values()], BLUE, zorder=2
    )
    left.scatter([1] * len(columns), middle, 60, RED, marker="s", zorder=2)
    for row, (part, size) in enumerate(parts.items()):
        left.text(-0.14, row, f"{part} ({size})", fontsize=7, va="center", ha="right")
    for place, family in zip(middle, columns, strict=True):
        left.text(1.07, place, family, fontsize=8, va="center")
    left.set(xlim=(-0.75, 1.75), ylim=(len(rows) - 0.4, -0.6))
    left.axis("off")
    left.set_title("share of a family's influence in a part\n(its features in brackets)", fontsize=9)
    cost = [[float("nan")] * len(columns) for _ in rows]
    for each in effects:
        at = rows.index(each["part"]), columns.index(each["family"])
        cost[at[0]][at[1]] = each["null_accuracy"] - each["accuracy"]
    picture = right.imshow(cost, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    for at_row, values in enumerate(cost):
        for column, value in enumerate(values):
            if abs(value) >= 0.05:
                right.text(column, at_row, f"{value:.2f}", fontsize=6, ha="center", va="center")
    right.set_xticks(range(len(columns)), columns, rotation=40, ha="right", fontsize=8)
    right.set_yticks(range(len(rows)), rows, fontsize=7)
    right.set_title("accuracy that ablating it costs, more than\nablating random features does", fontsize=9)
    figure.colorbar(picture, ax=right, shrink=0.5).ax.tick_params(labelsize=7)


def study_figure(measured: dict[str, Any]) -> tuple[float, Draw, str] | None:
    """The figure of a study: height in inches, function that draws it, and description.

    None when the study has nothing to draw.
    """
    if measured["rates"]:
        height = 1.1 + 0.6 * len(measured["rates"])
        return height, partial(bars, measured["rates"]), "success rates beside those of random features"
    if measured["effects"]:
        n_parts = len({each["part"] for each in measured["effects"]})
        return (
            1.8 + 0.26 * n_parts,
            partial(cortex, measured["effects"]),
            "modules, the families that use them, and what ablating each costs",
        )
    if measured["curves"]:
        return 10, partial(lines, measured["curves"]), "what changes over training"
    return None
