"""What tells jailbroken prompts from refused ones? The features that separate them best, in both.

    python examples/contrast.py --positive jailbreak --negative refuse --out contrast.png

Any two tags do. A line joins a feature's share of the positive circuits to its share of the negative ones;
its AUROC (the chance that a random positive circuit gives it more influence than a random negative one)
stands behind its name.
"""

from typing import Any

from drawing import axes, draw, names

from atlas.client import AtlasClient

SIDES = (("positive", "tab:red"), ("negative", "tab:blue"))


def picture(client: AtlasClient, positive: str, negative: str, min_circuits: int, first: int) -> Any:
    rows = client.download(
        "contrast.features",
        positive={"tags": [positive]},
        negative={"tags": [negative]},
        minCircuits=min_circuits,
        orderBy="SEPARATION",
    ).head(first)
    places = range(len(rows))[::-1]
    figure, plot = axes(8, 1.5 + 0.25 * len(rows))
    shares = {
        side: (rows[f"n_circuits_{side}"] / rows[f"n_considered_{side}"]).to_list() for side, _ in SIDES
    }
    plot.hlines(places, shares["positive"], shares["negative"], color="lightgrey", zorder=0)
    for (side, colour), tag in zip(SIDES, (positive, negative), strict=True):
        n = max(rows[f"n_considered_{side}"].to_list(), default=0)
        plot.scatter(shares[side], places, color=colour, label=f"{tag} ({n} circuits)")
    labels = [
        f"{text}  {auroc:.2f}"
        for text, auroc in zip(names(client, rows["feature"].to_list()), rows["auroc"], strict=True)
    ]
    plot.set_yticks(places, labels, fontsize=7)
    plot.set_xlim(-0.05, 1.05)
    plot.set_xlabel("share of circuits that have the feature")
    plot.set_title(f"“{positive}” against “{negative}”: features by separation (AUROC)")
    plot.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    draw(
        __doc__,
        picture,
        out="contrast.png",
        positive="jailbreak",
        negative="refuse",
        min_circuits=3,
        first=25,
    )
