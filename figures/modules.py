"""Modules × families: the communities of features that each family's circuits use."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, heatmap, nothing
from schema.counted import counted


def draw(answer: Answer) -> Figure:
    """Draw a heatmap of modules and families."""
    modules = answer["modules"]["nodes"]
    if not modules:
        raise nothing("no modules were computed", "atlas modules compute")
    families = sorted({each["family"] for module in modules for each in module["families"]})
    rows = []
    for module in modules:
        shares = {each["family"]: each["share"] for each in module["families"]}
        rows.append(
            [float("nan") if shares.get(name, 0.0) is None else shares.get(name, 0.0) for name in families]
        )
    return heatmap(
        [f"{module['number']} ({counted(module['nFeatures'], 'feature')})" for module in modules],
        families,
        rows,
        unit="share of the family's feature influence",
        title="Modules by family",
    )


MODULES = Chart(
    "modules",
    "Which communities of features the circuits of each family use",
    """
query ($partition: ID) {
  modules(partition: $partition, strongest: 1, first: 20) {
    nodes { number nFeatures families { family share } }
  }
}
""",
    draw,
    {"partition": "id of a computation of modules; the newest when left out"},
)
