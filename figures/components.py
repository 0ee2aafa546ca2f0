"""Components by family: heads as claimed by circuits and as measured by ablation, and attention and MLPs."""

import numpy as np
from matplotlib.figure import Figure

from figures.chart import LETTER, Answer, Chart, nothing, shown

EFFECT = "mean |change of the answer's logit|"


def draw(answer: Answer) -> Figure:
    """Draw heads by family as claimed and as measured, and the effects of ablating attention and MLPs."""
    found = [each for each in answer["components"] if each["nMeasured"]]
    if not found:
        raise nothing("no circuit with heads was ablated", "atlas ablate")
    models = {each["model"] for each in found}
    rows = {(each["family"], each["model"]): place for place, each in enumerate(found)}
    heads = [each for each in answer["headsByFamily"] if (each["family"], each["model"]) in rows]
    columns = sorted({(each["layer"], each["head"]) for each in heads})
    names = [_name(each, len(models) > 1) for each in found]
    left = LETTER * max(map(len, names))
    height = 1.6 + 0.3 * len(names)
    figure = Figure(figsize=(5.2 + left + 0.36 * len(columns), height), layout="constrained")
    claimed, measured, compared = figure.subplots(
        1, 3, sharey=True, width_ratios=[0.18 * len(columns), 0.18 * len(columns), 2.4]
    )
    for axes, field, unit, title in (
        (claimed, "gross", "mean influence, gross", "claimed by the graphs"),
        (measured, "effectSize", EFFECT, "measured by ablation"),
    ):
        grid = np.full((len(names), len(columns)), np.nan)
        for each in heads:
            place = rows[each["family"], each["model"]], columns.index((each["layer"], each["head"]))
            grid[place] = each[field]
        image = axes.imshow(grid, aspect="auto", cmap="Blues", vmin=0.0)
        axes.set_xticks(range(len(columns)), [f"{layer}/{head}" for layer, head in columns], rotation=90)
        axes.set_title(title)
        figure.colorbar(image, ax=axes, label=unit, location="bottom")
    places = np.arange(len(found))
    for shift, field, label, colour in (
        (-0.2, "attentionEffect", "attention", "#2166ac"),
        (0.2, "mlpEffect", "MLP", "#e08214"),
    ):
        widths = [each[field] for each in found]
        compared.barh(places + shift, widths, height=0.38, label=label, color=colour)
    claimed.set_yticks(range(len(names)), names)
    claimed.set_ylim(len(names) - 0.5, -0.5)
    compared.set_xlabel(EFFECT)
    compared.set_title("ablated in a layer")
    compared.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, frameon=False)
    return figure


def _name(row: Answer, with_model: bool) -> str:
    """Label of a row: family, number of circuits, and rank correlation.

    The correlation is compared with the value below which 95 of 100 shuffles stay.
    """
    name = shown(f"{row['family']}, {row['model']}" if with_model else row["family"])
    agreed = "" if row["correlation"] is None else f", ρ={row['correlation']:.2f} > {row['null95']:.2f}"
    if row["correlation"] is not None and row["correlation"] <= row["null95"]:
        agreed = agreed.replace(">", "≤")
    return f"{name} (n={row['nMeasured']}{agreed})"


COMPONENTS = Chart(
    "components",
    "Heads by family, claimed and measured, and attention compared with MLPs",
    """
query ($families: [String!]) {
  components(families: $families) {
    family model nMeasured nHeads correlation null95 attentionEffect mlpEffect
  }
  headsByFamily(families: $families) { family model layer head gross effectSize }
}
""",
    draw,
    {"families": "families to draw; all when left out"},
)
