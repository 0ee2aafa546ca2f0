"""Questions about imported circuits: their influence is unknown, their sets have no revision."""

import pytest

from schema.circuit.records import Circuit, NodeKind
from schema.database import Database
from schema.loading.load import load_circuit
from tests.support.circuits import RUN, feature_id
from tests.support.graph_files import neuronpedia
from tests.support.little_graph import circuit_of


@pytest.fixture(scope="module")
def imported(connection: Database, circuits: list[Circuit]) -> Circuit:
    """A graph of Neuronpedia beside the circuits of the atlas itself."""
    assert circuits
    circuit = circuit_of(neuronpedia())
    load_circuit(connection, circuit, RUN)
    return circuit


async def test_every_feature_of_an_import_has_a_presence(api, circuits, imported):
    features = [feature_id(imported, node) for node in imported.nodes if node.kind is NodeKind.FEATURE]
    assert features
    assert not any("@" in feature for feature in features)
    query = """query ($features: [ID!]!) { presence(features: $features) { features {
      feature kept: nCircuits(state: KEPT) other: nCircuits(state: OTHER_SET) } } }"""
    assert (await api(query, features=features))["presence"]["features"] == [
        {"feature": feature, "kept": 1, "other": len(circuits)} for feature in features
    ]
    absent = f"{imported.transcoders.id}/0/4"
    query = query.replace("KEPT", "UNKNOWN")
    (found,) = (await api(query, features=[absent]))["presence"]["features"]
    assert found == {"feature": absent, "kept": 1, "other": len(circuits)}


async def test_influence_that_is_unknown_is_null_in_sharing(api, imported):
    features = [feature_id(imported, node) for node in imported.nodes if node.kind is NodeKind.FEATURE]
    query = """query ($features: [ID!]!) { circuitsSharing(features: $features, mode: ANY) {
      nodes { nFeatures influence circuit { id } uses { influence } } } }"""
    assert (await api(query, features=features))["circuitsSharing"]["nodes"] == [
        {
            "nFeatures": len(features),
            "influence": None,
            "circuit": {"id": imported.id},
            "uses": [{"influence": None}] * len(features),
        }
    ]
