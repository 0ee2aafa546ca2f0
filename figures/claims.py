"""Claims of the ledger: effects that graphs predict, measured effects, and effects of random features."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown

COLOURS = {True: "#1b7837", False: "#e08214"}


def draw(answer: Answer) -> Figure:
    """Draw one row per claim on the left, and its effects in single circuits on the right."""
    claims = answer["claims"]["nodes"]
    if not claims:
        raise nothing("the ledger has no claim", "atlas intervene --keep")
    figure = Figure(figsize=(10.0, 1.8 + 0.4 * max(len(claims), 6)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    left.use_sticky_edges = False
    names = [
        f"{shown(', '.join(each['edits']), 46)}\n"
        f"{shown(each['family'] or 'circuits')} (n={each['nCircuits']})"
        for each in claims
    ]
    places = range(len(claims))
    left.barh(
        places,
        [each["effect"] for each in claims],
        color=[COLOURS[each["survived"]] for each in claims],
        label="measured (green: survived)",
    )
    left.errorbar(
        [each["nullMean"] for each in claims],
        places,
        xerr=[2 * each["nullSd"] for each in claims],
        fmt="o",
        color="black",
        markersize=3,
        label="random features, ± 2 sd",
    )
    predicted = [
        (each["predicted"], place) for place, each in enumerate(claims) if each["predicted"] is not None
    ]
    left.scatter(
        [value for value, _ in predicted],
        [place for _, place in predicted],
        marker="d",
        color="#2166ac",
        zorder=3,
        label="predicted",
    )
    left.axvline(0, color="black", linewidth=0.8)
    left.set_yticks(list(places), names)
    left.invert_yaxis()
    left.set_xlabel("mean change of the answer's logit")
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize=7)
    for claim in claims:
        pairs = [
            (each["predicted"], each["effect"])
            for each in claim["interventions"]
            if each["predicted"] is not None
        ]
        right.scatter(
            [pair[0] for pair in pairs],
            [pair[1] for pair in pairs],
            s=10,
            alpha=0.7,
            color=COLOURS[claim["survived"]],
        )
    right.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle="--")
    right.set_xlabel("predicted in one circuit")
    right.set_ylabel("measured (dashed: as predicted)")
    return figure


CLAIMS = Chart(
    "claims",
    "What edits do to circuits: predicted, measured, and compared with random features",
    """
query ($families: [String!]) {
  claims(families: $families, first: 20) {
    nodes {
      edits family nCircuits predicted effect nullMean nullSd survived
      interventions { predicted effect }
    }
  }
}
""",
    draw,
    {"families": "families to draw; all when left out"},
)
