"""What `atlas transcoders measure` found, in GraphQL."""

from schema.annotations.measured import MeasuredLayer, MeasuredReplacement, MeasuredSet, keep_measured
from schema.loading.properties import MEASURED

FOUND = MeasuredSet(
    tokens=90,
    contexts=9,
    layers=[
        MeasuredLayer(0, 0.25, 0.2, 3, 7.5, 100, 4, 0.01, 2),
        MeasuredLayer(1, None, None, 0, 0.0, 100, 100, None, 0),
    ],
    agreement_tokens=80,
    replacements=[
        MeasuredReplacement("all", [0, 1], 0.75, 0.5, 3.0, 2.5, 0.9),
        MeasuredReplacement("0", [0], 0.875, 0.25, 2.75, 2.5, None),
    ],
)
QUERY = """query ($id: ID!) { circuit(id: $id) { transcoders { measured {
  tokens contexts fvu agreement agreementTokens
  layers { layer fvu fvuOrdinary outliers l0 features dead density dense }
  replacements { name layers agreement kl loss modelLoss lossRecovered } } } } }"""


async def test_figures_are_those_that_were_stored(api, circuits, connection):
    circuit = circuits[0]
    assert (await api(QUERY, id=circuit.id))["circuit"]["transcoders"]["measured"] is None
    try:
        keep_measured(connection, circuit.transcoders, circuit.model, FOUND)
        data = await api(QUERY, id=circuit.id)
    finally:
        connection.write(
            "MATCH (t:TranscoderSet {id: $id}) SET t += $none",
            {"id": circuit.transcoders.id, "none": dict.fromkeys(MEASURED)},
        )
    assert data["circuit"]["transcoders"]["measured"] == {
        "tokens": 90,
        "contexts": 9,
        "fvu": 0.25,
        "agreement": 0.75,
        "agreementTokens": 80,
        "layers": [
            {
                "layer": 0, "fvu": 0.25, "fvuOrdinary": 0.2, "outliers": 3, "l0": 7.5, "features": 100,
                "dead": 4, "density": 0.01, "dense": 2,
            },
            {
                "layer": 1, "fvu": None, "fvuOrdinary": None, "outliers": 0, "l0": 0.0, "features": 100,
                "dead": 100, "density": None, "dense": 0,
            },
        ],
        "replacements": [
            {
                "name": "all", "layers": [0, 1], "agreement": 0.75, "kl": 0.5, "loss": 3.0,
                "modelLoss": 2.5, "lossRecovered": 0.9,
            },
            {
                "name": "0", "layers": [0], "agreement": 0.875, "kl": 0.25, "loss": 2.75,
                "modelLoss": 2.5, "lossRecovered": None,
            },
        ],
    }  # fmt: skip
