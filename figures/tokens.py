"""Input tokens × output logits of one circuit: signed effects, and the effects of other origins."""

from matplotlib.figure import Figure

from figures.chart import Answer, Chart, heatmap, nothing
from schema.circuit.token_display import displayed


def draw(answer: Answer) -> Figure:
    """Draw a heatmap of output logits and input tokens for the first matching circuit."""
    circuits = answer["circuits"]["nodes"]
    outputs = circuits[0]["tokenAttribution"]["outputs"] if circuits else []
    if not outputs:
        raise nothing("no matching circuit has an output", "atlas ingest")
    places: dict[int, str] = {
        part["position"]: displayed(part["token"] or "?") for output in outputs for part in output["tokens"]
    }
    order = sorted(places)
    rows = []
    for output in outputs:
        given = {part["position"]: part["weight"] for part in output["tokens"]}
        rest = [output["errors"], output["other"], output["biasesAndPruned"]]
        rows.append([*(given.get(place, 0.0) for place in order), *rest])
    return heatmap(
        [
            displayed(output["logit"] or "?")
            if output["probability"] is None
            else f"{displayed(output['logit'] or '?')} (p={output['probability']:.2f})"
            for output in outputs
        ],
        [*(f"{place} {places[place]}" for place in order), "errors", "other", "biases, pruned"],
        rows,
        unit="effect on the logit",
        signed=True,
        title=circuits[0]["prompt"]["text"],
    )


TOKENS = Chart(
    "tokens",
    "The effect of each input token on each output logit",
    """
query ($filter: CircuitFilter) {
  circuits(filter: $filter, first: 1) {
    nodes {
      id
      prompt { text family }
      tokenAttribution {
        outputs { logit probability total errors other biasesAndPruned tokens { position token weight } }
      }
    }
  }
}
""",
    draw,
    {"filter": 'filter of circuits, such as {"text": "dallas"}; the first match is drawn'},
)
