"""How do the circuits of each family develop during training? Their scores and sizes at each checkpoint.

    python examples/emergence.py --out emergence.png

First ingest the same prompts with several checkpoints (`atlas checkpoints load`). Each line is a prompt
family. The panels show the accuracy, the replacement score and the number of nodes, as means over circuits.
An atlas with a single checkpoint gives single points.
"""

from collections import defaultdict
from statistics import fmean
from typing import Any

from drawing import draw
from matplotlib import pyplot

from atlas.client import AtlasClient
from schema.errors import InputError

QUERY = """query ($after: String) { circuits(first: 100, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes { correct replacementScore nNodes prompt { family } transcoders { model { trainingStep } } } } }"""
PANELS = {
    "correct": "share of right answers",
    "replacementScore": "replacement score",
    "nNodes": "nodes of a circuit",
}


def by_step(client: AtlasClient) -> dict[tuple[str, str], dict[int, float]]:
    """(measure, family) → training step → mean over the circuits whose value is known.

    Raises InputError when no model in the atlas has a training step.
    """
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for circuit in client.nodes(QUERY):
        step, family = circuit["transcoders"]["model"]["trainingStep"], circuit["prompt"]["family"]
        if step is not None and family is not None:
            for measure in PANELS:
                if circuit[measure] is not None:
                    found[measure, family][step].append(float(circuit[measure]))
    if not found:
        raise InputError(
            "No model in the atlas has a training step",
            next_step="ingest checkpoints with `atlas checkpoints load`, or read docs/studies/emergence.md",
        )
    return {
        key: {step: fmean(values) for step, values in sorted(steps.items())} for key, steps in found.items()
    }


def picture(client: AtlasClient) -> Any:
    found = by_step(client)
    figure, plots = pyplot.subplots(1, len(PANELS), figsize=(13, 4), sharex=True, layout="constrained")
    for plot, (measure, text) in zip(plots, PANELS.items(), strict=True):
        for (each, family), means in sorted(found.items()):
            if each == measure:
                plot.plot(list(means), list(means.values()), marker="o", label=family)
        plot.set_xlabel("training step")
        plot.set_ylabel(text)
    plots[-1].legend(fontsize=7, bbox_to_anchor=(1, 1))
    return figure


if __name__ == "__main__":
    draw(__doc__, picture, out="emergence.png")
