"""Claims of graphs about features compared with ablation, by family, by influence and by edge weight."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown

CELLS = (
    ("truePositives", "important, effect", "#1b7837"),
    ("falsePositives", "important, no effect", "#e08214"),
    ("falseNegatives", "not important, effect", "#762a83"),
    ("trueNegatives", "not important, no effect", "#bdbdbd"),
)


def draw(answer: Answer) -> Figure:
    """Draw the tested features by family, by band of influence and by band of edge weight."""
    found = answer["diagnostics"]
    families = found["families"]
    if not families:
        raise nothing("no circuit was diagnosed", "atlas diagnose")
    figure = Figure(figsize=(12.0, 2.1 + 0.32 * max(len(families), 5)), layout="constrained")
    left, *others = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    names = [f"{shown(each['family'] or '(no family)')} (n={each['nTested']})" for each in families]
    start = [0.0] * len(families)
    for field, label, colour in CELLS:
        widths = [each[field] / each["nTested"] for each in families]
        left.barh(names, widths, left=start, color=colour, label=label)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    left.invert_yaxis()
    left.set_xlabel("share of the features ablated")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    for axes, field, what in zip(
        others, ("bands", "weightBands"), ("influence", "edge weights"), strict=True
    ):
        _bands(axes, found["all"][field])
        axes.set_xlabel(f"share of the circuit's feature {what}")
        axes.set_ylim(0, 1.1)
    others[0].set_ylabel("share with an effect (dashed: by chance)")
    return figure


def _bands(axes: Axes, bands: list[dict[str, Any]]) -> None:
    """Draw the share of features with an effect in each band, split by what the graphs claim."""
    labels = [
        "pruned"
        if each["leastShare"] is None
        else "less"
        if not each["leastShare"]
        else f"≥ {100 * each['leastShare']:g}%"
        for each in bands
    ]
    start = [0.0] * len(bands)
    for field, _, colour in (CELLS[0], CELLS[2]):
        heights = [each[field] / each["nTested"] for each in bands]
        bars = axes.bar(labels, heights, bottom=start, color=colour)
        start = [a + b for a, b in zip(start, heights, strict=True)]
    axes.bar_label(bars, [f"{each['nEffective']}/{each['nTested']}" for each in bands], fontsize=7)
    axes.axhline(0.05, color="black", linewidth=0.8, linestyle="--")
    axes.tick_params(axis="x", labelsize=8)


DIAGNOSTICS = Chart(
    "diagnostics",
    "What graphs claim about features, compared with what ablation measures",
    """
query ($families: [String!]) {
  diagnostics(families: $families, minShare: 0.01, level: 0.05) {
    all { bands { ...band } weightBands { ...band } }
    families { family nTested truePositives falsePositives falseNegatives trueNegatives }
  }
}
fragment band on DiagnosticsBand { leastShare nTested nEffective truePositives falseNegatives }
""",
    draw,
    {"families": "families to draw; all when left out"},
)
