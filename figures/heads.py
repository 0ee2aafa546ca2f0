"""Families × attention heads: the heads through which the circuits of each family run."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, heatmap, nothing


def draw(answer: Answer) -> Figure:
    """Draw a heatmap of families and attention heads."""
    found = answer["headsByFamily"]
    if not found:
        raise nothing("no circuit was loaded with heads", "atlas ingest --heads")
    models = {each["model"] for each in found}
    rows: dict[tuple[str, str], int] = {}
    for each in found:
        rows.setdefault((each["family"], each["model"]), each["nConsidered"])
    columns = sorted({(each["layer"], each["head"]) for each in found})
    gross = {(each["family"], each["model"], each["layer"], each["head"]): each["gross"] for each in found}
    return heatmap(
        [
            f"{family} (n={n})" if len(models) == 1 else f"{family}, {model} (n={n})"
            for (family, model), n in rows.items()
        ],
        [f"{layer}/{head}" for layer, head in columns],
        [[gross.get((*row, *column), 0.0) for column in columns] for row in rows],
        unit="mean influence through the head, gross",
        title="Attention heads (layer/head) by family",
    )


HEADS = Chart(
    "heads",
    "Through which attention heads the circuits of each family run",
    """
query ($families: [String!]) {
  headsByFamily(families: $families) { family model layer head nConsidered gross net }
}
""",
    draw,
    {"families": "families to draw; all when left out"},
)
