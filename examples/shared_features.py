"""Which features do the circuits of one family share, and which other families have them?

    python examples/shared_features.py --family refusals --out shared.png --table shared.csv

The picture is a heatmap. Rows are the features that are most typical of the family, and columns are families.
The colour is the share of a family's circuits that have the feature; a cell is blank when no circuit has it.
The script needs a running API and the `examples` extra.
"""

from typing import Any

import polars as pl
from drawing import axes, draw, name

from atlas.client import AtlasClient

QUERY = """
query Shared($family: String!, $minCircuits: Int!, $first: Int!) {
  sharedFeatures(families: [$family], minCircuits: $minCircuits, orderBy: LIFT, first: $first) {
    nodes {
      nCircuits nConsidered share shareOutside lift qValue meanInfluence
      feature { id layer labels { text } families { family share } }
    }
  }
}
"""

SCHEMA = {
    "feature": pl.String,
    "name": pl.String,
    "circuits": pl.Int64,
    "considered": pl.Int64,
    "share": pl.Float64,
    "share_outside": pl.Float64,
    "lift": pl.Float64,
    "q_value": pl.Float64,
    "mean_influence": pl.Float64,
}
COLUMNS = ("nCircuits", "nConsidered", "share", "shareOutside", "lift", "qValue", "meanInfluence")


def ask(client: AtlasClient, family: str, min_circuits: int, first: int) -> list[dict[str, Any]]:
    asked = {"family": family, "minCircuits": min_circuits, "first": first}
    nodes: list[dict[str, Any]] = client.query(QUERY, asked)["sharedFeatures"]["nodes"]
    return nodes


def frame(nodes: list[dict[str, Any]]) -> pl.DataFrame:
    """One row per feature. The features that are most typical of the family come first."""
    rows = [
        (node["feature"]["id"], name(node["feature"]), *(node[column] for column in COLUMNS))
        for node in nodes
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def picture(client: AtlasClient, family: str, min_circuits: int, first: int, table: str | None) -> Any:
    nodes = ask(client, family, min_circuits, first)
    if table is not None:
        frame(nodes).write_csv(table)
    families = sorted({use["family"] for node in nodes for use in node["feature"]["families"]})
    shares = [
        [
            {use["family"]: use["share"] for use in node["feature"]["families"]}.get(each, float("nan"))
            for each in families
        ]
        for node in nodes
    ]
    figure, plot = axes(3 + 0.5 * len(families), 1.5 + 0.22 * len(nodes))
    plot.set_title(f"Features that ≥ {min_circuits} circuits of “{family}” share, the most typical first")
    if nodes:
        image = plot.imshow(shares, cmap="viridis", vmin=0, vmax=1, aspect="auto")
        figure.colorbar(image, label="share of the family's circuits")
    plot.set_xticks(range(len(families)), families, rotation=60, ha="right")
    plot.set_yticks(range(len(nodes)), [name(node["feature"]) for node in nodes], fontsize=7)
    return figure


if __name__ == "__main__":
    draw(__doc__, picture, out="shared.png", family="refusals", min_circuits=5, first=30, table=None)
