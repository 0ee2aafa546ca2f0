"""What graphs claim of features against what ablating them shows: counts by family, effects by band."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown

CELLS = (
    ("truePositives", "important, effect", "#1b7837"),
    ("falsePositives", "important, no effect", "#e08214"),
    ("falseNegatives", "not important, effect", "#762a83"),
    ("trueNegatives", "not important, no effect", "#bdbdbd"),
)


def draw(answer: Answer) -> Figure:
    found = answer["diagnostics"]
    families = found["families"]
    if not families:
        raise nothing("no circuit was diagnosed", "atlas diagnose")
    figure = Figure(figsize=(9.0, 1.8 + 0.32 * max(len(families), 5)), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [f"{shown(each['family'] or '(no family)')} (n={each['nTested']})" for each in families]
    start = [0.0] * len(families)
    for field, label, colour in CELLS:
        widths = [each[field] / each["nTested"] for each in families]
        left.barh(names, widths, left=start, color=colour, label=label)
        start = [a + b for a, b in zip(start, widths, strict=True)]
    left.invert_yaxis()
    left.set_xlabel("share of the features ablated")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    bands = found["all"]["bands"]
    labels = [
        "pruned"
        if each["leastShare"] is None
        else "less"
        if not each["leastShare"]
        else f"≥ {each['leastShare']:.1%}"
        for each in bands
    ]
    rates = [each["nEffective"] / each["nTested"] for each in bands]
    bars = right.bar(labels, rates, color="#2166ac")
    right.bar_label(bars, [f"{each['nEffective']}/{each['nTested']}" for each in bands], fontsize=7)
    right.axhline(0.05, color="black", linewidth=0.8, linestyle="--")
    right.set_xlabel("share of the circuit's feature influence")
    right.set_ylabel("share with an effect (dashed: by chance)")
    right.set_ylim(0, 1.1)
    return figure


DIAGNOSTICS = Chart(
    "diagnostics",
    "What graphs claim of features, against what ablating them shows",
    """
query ($families: [String!]) {
  diagnostics(families: $families, minShare: 0.01, level: 0.05) {
    all { bands { leastShare nTested nEffective } }
    families { family nTested truePositives falsePositives falseNegatives trueNegatives }
  }
}
""",
    draw,
    {"families": "families to draw; all when left out"},
)
