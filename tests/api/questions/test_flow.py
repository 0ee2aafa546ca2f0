"""Stages of attribution flow, compared with plain loops over the records."""

import math
from collections import defaultdict

from schema.circuit.records import NodeKind

ASKED = """query ($families: [String!], $sets: [String!]) {
  flowStages(families: $families, transcoders: $sets) {
  nCircuits nConsidered stages { stage influence inputs { source influence share } } } }"""
SOURCES = ("tokens", "early", "middle", "late", "errors", "other", "pruned")


def name(node, n_layers):
    if node.kind is NodeKind.FEATURE:
        return ("early", "middle", "late")[3 * node.layer // n_layers]
    return {NodeKind.TOKEN: "tokens", NodeKind.ERROR: "errors", NodeKind.LOGIT: "logits"}.get(
        node.kind, "other"
    )


def slow(circuits):
    flows = defaultdict(list)
    for circuit in circuits:
        for place, node in enumerate(circuit.nodes):
            stage = name(node, circuit.model.n_layers)
            if stage in ("tokens", "errors", "other"):
                continue
            inputs = [edge for edge in circuit.edges if edge.target == place]
            for edge in inputs:
                source = name(circuit.nodes[edge.source], circuit.model.n_layers)
                flows[stage, source].append(node.influence * edge.share)
            flows[stage, "pruned"].append(node.influence * (1 - math.fsum(edge.share for edge in inputs)))
    return {key: math.fsum(values) / len(circuits) for key, values in flows.items()}


async def test_flow_through_stages(api, circuits, near):
    for families, sets in ((None, None), (["capitals", "antonyms"], None), (["arithmetic"], ["made-up-plt"])):
        mine = [circuit for circuit in circuits if families is None or circuit.prompt.family in families]
        mine = [circuit for circuit in mine if sets is None or circuit.transcoders.name in sets]
        flows = slow(mine)
        stages = []
        for stage in ("early", "middle", "late", "logits"):
            total = math.fsum(flows.get((stage, source), 0.0) for source in SOURCES)
            inputs = [
                {"source": source, "influence": value, "share": value / total}
                for source in SOURCES
                for value in [flows.get((stage, source), 0.0)]
            ]
            stages.append({"stage": stage, "influence": total, "inputs": inputs})
        expected = {"nCircuits": len(mine), "nConsidered": len(mine), "stages": stages}
        assert (await api(ASKED, families=families, sets=sets))["flowStages"] == near(expected)


async def test_the_parts_of_a_stage_are_what_its_nodes_carry(api, circuits, near):
    carried = defaultdict(list)
    for circuit in circuits:
        for node in circuit.nodes:
            carried[name(node, circuit.model.n_layers)].append(node.influence)
    for stage in (await api(ASKED))["flowStages"]["stages"]:
        assert stage["influence"] == near(math.fsum(carried[stage["stage"]]) / len(circuits))
