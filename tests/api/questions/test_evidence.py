"""Claims, components and diagnostics of some transcoder sets: what was measured of their circuits."""

import pytest

from schema.evidence.claims import ClaimOutcome, ClaimStatement, keep_claim
from schema.evidence.components import ComponentEffects, MeasuredHead, keep_components
from schema.evidence.interventions import InterventionRecord, keep_diagnosis
from tests.support.circuits import uses

CLAIMS = """query ($t: [String!], $f: [String!]) {
  claims(transcoders: $t, families: $f, first: 100) { nodes { id } } }"""
COMPONENTS = """query ($t: [String!], $f: [String!]) {
  components(transcoders: $t, families: $f) { family nConsidered nMeasured } }"""
DIAGNOSTICS = """query ($t: [String!], $f: [String!]) {
  diagnostics(transcoders: $t, families: $f) { all { nCircuits nTested } families { family nCircuits } } }"""


@pytest.fixture(scope="module")
def claims(connection, circuits):
    """One claim, one diagnosed feature and one ablation of every circuit. Id of the claim → its circuit."""
    found = {}
    feature_of = dict(uses(circuits).keys())
    for circuit in circuits:
        about = ("ablate 0/3@all",), circuit.transcoders.id, "m", "t", (circuit.id,), circuit.prompt.family
        claim = ClaimStatement(*about, "nothing", None, None, 9, 0)
        keep_claim(connection, claim, ClaimOutcome(None, 1.0, 0.0, 1.0, 0.5), [])
        found[claim.id] = circuit
        test = InterventionRecord(f"{circuit.id}/x", "a", "b", ["ablate 0/3@all"], 1.0, 0.0, 0.5, 9, 1, 0)
        test = test._replace(p=0.01, share=0.2, weight_share=0.2, stands_for=1.0)
        keep_diagnosis(connection, circuit.id, [(test, feature_of[circuit.id])])
        effects = ComponentEffects(f"{circuit.id}/components", "b", [0.1], [0.2], [0.3], [0.4])
        heads = [MeasuredHead(each.layer, each.head, 0.5) for each in circuit.head_totals]
        keep_components(connection, circuit.id, effects, heads)
    return found


@pytest.mark.parametrize("families", [None, ["capitals"], ["capitals", "arithmetic"]])
@pytest.mark.parametrize("sets", [None, ["made-up-plt"], ["made-up-clt"], ["made-up-plt", "made-up-clt"]])
async def test_evidence_of_some_sets(api, claims, sets, families):
    chosen = {
        claim: circuit
        for claim, circuit in claims.items()
        if (sets is None or circuit.transcoders.name in sets)
        and (families is None or circuit.prompt.family in families)
    }
    asked = {"t": sets, "f": families}
    listed = (await api(CLAIMS, **asked))["claims"]["nodes"]
    assert {each["id"] for each in listed} == set(chosen)
    names = [circuit.prompt.family for circuit in chosen.values()]
    found = (await api(DIAGNOSTICS, **asked))["diagnostics"]
    assert found["all"] == {"nCircuits": len(chosen), "nTested": len(chosen)}
    assert {each["family"]: each["nCircuits"] for each in found["families"]} == {
        name: names.count(name) for name in names
    }
    with_heads = [circuit.prompt.family for circuit in chosen.values() if circuit.head_totals]
    assert {each["family"]: each for each in (await api(COMPONENTS, **asked))["components"]} == {
        name: {"family": name, "nConsidered": with_heads.count(name), "nMeasured": with_heads.count(name)}
        for name in with_heads
        if name is not None
    }
