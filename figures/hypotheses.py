"""Tested hypotheses: the effect of each with its null and its q-value, whether it survived or not."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, nothing, shown
from schema.counted import counted

COLOURS = {True: "#1b7837", False: "#e08214"}


def draw(answer: Answer) -> Figure:
    """Draw one row per tested hypothesis: mean effect, effect on each prompt, and null."""
    tested = [each for each in answer["hypotheses"] if each["testedAt"] is not None]
    if not tested:
        raise nothing("no hypothesis was tested", "atlas hypothesis test")
    figure = Figure(figsize=(9.5, 1.6 + 0.4 * max(len(tested), 4)), layout="constrained")
    axes = figure.add_subplot()
    # Without a margin, prompts without any effect would lie on the frame.
    axes.use_sticky_edges = False
    places = range(len(tested))
    for survived, label in ((True, "measured, survived"), (False, "measured, did not survive")):
        mine = [(place, each) for place, each in enumerate(tested) if each["survived"] is survived]
        if not mine:
            continue
        axes.barh(
            [place for place, _ in mine],
            [each["meanEffect"] for _, each in mine],
            color=COLOURS[survived],
            label=label,
            alpha=0.8,
        )
    prompts = [(one["effect"], place) for place, each in enumerate(tested) for one in each["interventions"]]
    axes.scatter(
        [effect for effect, _ in prompts],
        [place for _, place in prompts],
        s=8,
        color="#4d4d4d",
        alpha=0.6,
        label="each prompt",
    )
    axes.scatter(
        [each["nullMean"] for each in tested],
        places,
        marker="|",
        s=120,
        color="black",
        label="random features",
    )
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(list(places), [_name(each) for each in tested])
    axes.invert_yaxis()
    axes.set_xlabel("change of the expected token's logit")
    axes.set_title(
        f"tested: {len(tested)} of {counted(len(answer['hypotheses']), 'hypothesis', 'hypotheses')}",
        loc="left",
    )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _name(row: Answer) -> str:
    """Label of a hypothesis: its question, its prediction, the number of prompts, and its q-value."""
    return f"{shown(row['question'], 44)}\n{row['prediction']} (n={row['nPrompts']}, q={row['q']:.3f})"


HYPOTHESES = Chart(
    "hypotheses",
    "What hypotheses predicted, and the results of their tests",
    """
{
  hypotheses {
    question prediction nPrompts testedAt meanEffect nullMean q survived interventions { effect }
  }
}
""",
    draw,
)
