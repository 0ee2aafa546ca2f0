"""Which features distinguish jailbroken prompts from refused ones? Their shares in both groups.

    python examples/contrast.py --positive jailbreak --negative refuse --out contrast.png

Any two tags can be compared. A line connects the share of positive circuits that have a feature with the
share of negative circuits that have it. The number after the name is the AUROC: the probability that the
feature has more influence in a random positive circuit than in a random negative one.
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
