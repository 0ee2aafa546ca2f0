"""Scores of labels compared with the scores of other features' labels (the null)."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing
from schema.counted import counted


def draw(answer: Answer) -> Figure:
    """Draw, for each feature, its label with the best score."""
    points = []
    for feature in answer["features"]["nodes"]:
        scored = [each for each in feature["labels"] if None not in (each["score"], each["nullScore"])]
        if scored:
            best = max(scored, key=lambda each: each["score"])
            points.append((best["nullScore"], best["score"], best["beatsNull"]))
    if not points:
        raise nothing("no label was scored", "atlas label")
    figure = Figure(figsize=(5.0, 5.0), layout="constrained")
    axes = figure.add_subplot()
    for beats, colour, label in ((True, "#2166ac", "beats the null"), (False, "#b2182b", "does not")):
        mine = [(null, score) for null, score, beat in points if bool(beat) is beats]
        axes.scatter(
            [null for null, _ in mine],
            [score for _, score in mine],
            s=14,
            color=colour,
            alpha=0.7,
            label=f"{label} (n={len(mine)})",
        )
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle="--")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("score of other features' labels (the null)")
    axes.set_ylabel("balanced accuracy on held-out contexts")
    axes.set_title(f"{len(points)} scored of {counted(len(answer['features']['nodes']), 'feature')}")
    axes.legend(frameon=False, loc="lower right")
    return figure


LABELS = Chart(
    "labels",
    "How well labels predict where features are active, compared with other features' labels",
    """
query ($family: String) {
  features(family: $family, orderBy: INFLUENCE, first: 100) {
    nodes { id labels { score nullScore beatsNull } }
  }
}
""",
    draw,
    {"family": "family whose features to draw, the 100 with most influence; all features when left out"},
)
