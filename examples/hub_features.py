"""Which features occur for almost all prompts, and which rare ones have much influence?

    python examples/hub_features.py --min-circuits 2 --out hubs.png

Each point is a feature. Its colour is the layer, and its size is the number of features that it drives or
that drive it. Features to the right of the line occur for more than half of the prompts and say little about
a single prompt.
"""

from typing import Any

from drawing import axes, draw, names

from atlas.client import AtlasClient


def picture(client: AtlasClient, min_circuits: int, named: int) -> Any:
    hubs = [
        row
        for row in client.download("hubs", by="INFLUENCE", minCircuits=min_circuits).iter_rows(named=True)
        if row["influence"] is not None
    ]
    figure, plot = axes(8, 5.5)
    points = plot.scatter(
        [row["frequency"] for row in hubs],
        [row["influence"] for row in hubs],
        s=[5 + row["drives"] + row["driven_by"] for row in hubs],
        c=[int(row["feature"].split("/")[-2]) for row in hubs],
        cmap="viridis",
        alpha=0.6,
    )
    figure.colorbar(points, label="layer")
    for row, text in zip(hubs, names(client, [row["feature"] for row in hubs[:named]]), strict=False):
        plot.annotate(text, (row["frequency"], row["influence"]), fontsize=6)
    plot.axvline(0.5, color="grey", linestyle=":")
    plot.set_yscale("log")
    plot.set_xlabel("share of prompts that have the feature")
    plot.set_ylabel("influence, summed over prompts")
    plot.set_title(f"{len(hubs)} features of at least {min_circuits} prompts")
    return figure


if __name__ == "__main__":
    draw(__doc__, picture, out="hubs.png", min_circuits=2, named=8)
