"""Stages of attribution flow: the influence that each stage carries, and its origin."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing
from schema.counted import counted

COLOURS = {
    "tokens": "#4d4d4d",
    "early": "#9ecae1",
    "middle": "#4292c6",
    "late": "#08519c",
    "errors": "#d6604d",
    "other": "#b2abd2",
    "pruned": "#e0e0e0",
}


def draw(answer: Answer) -> Figure:
    """Draw one bar per stage, divided by the origin of its influence."""
    found = answer["flowStages"]
    stages = found["stages"]
    if not stages:
        raise nothing("no circuit has known influences and shares", "atlas ingest")
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    names = [each["stage"] for each in stages]
    start = [0.0] * len(stages)
    for place, (source, colour) in enumerate(COLOURS.items()):
        widths = [max(0.0, each["inputs"][place]["influence"] or 0.0) for each in stages]
        axes.barh(names, widths, left=start, color=colour, label=source)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("influence on the target, mean over circuits")
    axes.set_title(f"n = {found['nConsidered']} of {counted(found['nCircuits'], 'circuit')}")
    axes.legend(title="comes from", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


FLOW = Chart(
    "flow",
    "How much influence each stage carries, and where it comes from",
    """
query ($families: [String!]) {
  flowStages(families: $families) {
    nCircuits nConsidered stages { stage influence inputs { source influence } }
  }
}
""",
    draw,
    {"families": "families to draw; all when left out"},
)
