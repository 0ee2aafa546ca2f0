"""`presence`, compared with a plain loop over the records."""

from dataclasses import replace

import pytest

from schema.circuit.records import Circuit, NodeKind
from schema.database import Database
from schema.loading.load import load_circuit
from tests.support.circuits import RUN, TRANSCODERS, feature_id, synthetic_circuits

OTHER_SET = replace(TRANSCODERS, name="made-up-plt", kind="plt")
STATES = ("KEPT", "PRUNED", "UNSELECTED", "INACTIVE", "UNKNOWN", "OTHER_SET")
FIELDS = "\n".join(
    f"n{state}: nCircuits(state: {state}) {state}: circuits(state: {state}, first: 100) {{ nodes {{ id }} }}"
    for state in STATES
)
QUERY = f"""
query ($features: [ID!]!, $among: CircuitSet) {{ presence(features: $features, among: $among) {{
  considered {{ nCircuits }} mixedSettings features {{ feature {FIELDS} }} }} }}"""


def state(circuit: Circuit, feature: str) -> str:
    set_, layer, index = feature.rsplit("/", 2)
    kept = {feature_id(circuit, node) for node in circuit.nodes if node.kind is NodeKind.FEATURE}
    key = int(layer), int(index)
    if circuit.transcoders.id != set_:
        return "OTHER_SET"
    if feature in kept:
        return "KEPT"
    if circuit.pruned_features is None or circuit.unselected_features is None:
        return "UNKNOWN"
    if key in circuit.pruned_features:
        return "PRUNED"
    return "UNSELECTED" if key in circuit.unselected_features else "INACTIVE"


@pytest.fixture(scope="module")
def told(connection: Database, circuits: list[Circuit]) -> list[Circuit]:
    """Circuits that say what they left out, beside those that do not."""
    some = [
        replace(circuit, node_threshold=0.5, pruned_features=((0, 3), (1, 7)), unselected_features=((2, 5),))
        for circuit in synthetic_circuits(6, seed=5)
    ]
    for circuit in some:
        load_circuit(connection, circuit, RUN)
    return some


async def test_presence(api, circuits, told):
    common = feature_id(circuits[0], next(n for n in circuits[0].nodes if n.kind is NodeKind.FEATURE))
    features = [common, *(f"{TRANSCODERS.id}/{key}" for key in ("0/3", "1/7", "2/5", "3/199", "9/9"))]
    features.append(f"{OTHER_SET.id}/0/3")
    for families in (None, ["capitals"]):
        chosen = [c for c in (*circuits, *told) if families is None or c.prompt.family in families]
        found = (await api(QUERY, features=features, among={"families": families}))["presence"]
        assert found["considered"]["nCircuits"] == len(chosen)
        assert found["mixedSettings"]
        assert [each["feature"] for each in found["features"]] == features
        seen = set()
        for each in found["features"]:
            for name in STATES:
                ids = sorted(c.id for c in chosen if state(c, each["feature"]) == name)
                assert each[f"n{name}"] == len(ids)
                assert [node["id"] for node in each[name]["nodes"]] == ids
                seen |= {name} if ids else set()
        assert seen == set(STATES)


@pytest.mark.parametrize(
    ("feature", "code"),
    [("nonsense", "BAD_INPUT"), ("made-up-clt@1/2", "BAD_INPUT"), ("unheard-of@123/0/1", "NOT_FOUND")],
)
async def test_presence_of_what_is_no_feature(api, feature, code):
    body = await api.answer(QUERY, features=[feature])
    assert body["errors"][0]["extensions"]["code"] == code
