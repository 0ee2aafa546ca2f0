"""Effects of edits, measured and predicted one at a time: what the fast ways are compared with."""

from collections import defaultdict
from random import Random
from typing import Any

from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.intervene import intervene
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.records import Circuit, NodeKind


def slow_effect(model: ReplacementModel, circuit: Circuit, edits: list[Edit], token: int) -> float:
    assert circuit.prompt.token_ids is not None
    outcome = intervene(model, circuit.prompt.token_ids, edits)
    change = (outcome.logits - outcome.plain_logits)[circuit.target_position].double()
    return float(change[token] - change.mean())


def slow_null(
    draws: int,
    model: ReplacementModel,
    circuit: Circuit,
    edits: list[Edit],
    dense: Any,
    token: int,
    random: Random,
) -> list[float]:
    """The effects of random features whose vectors are as long, one after the other."""
    return [
        slow_effect(model, circuit, slow_random_edits(model, edits, dense, random), token)
        for _ in range(draws)
    ]


def slow_random_edits(model: ReplacementModel, edits: list[Edit], dense: Any, random: Random) -> list[Edit]:
    """For each edit, one of a random feature at the same place whose change writes a vector as long.

    dense: activations by layer, position and feature.
    """
    taken = {(each.layer, each.position, each.feature) for each in edits}
    drawn = []
    for each in edits:
        part = model.transcoders.layers[each.layer]
        lengths = [float(row.norm()) for row in part.decoder]
        while True:
            other = random.randrange(len(lengths))
            if (each.layer, each.position, other) not in taken and lengths[other] > 0:
                break
        taken.add((each.layer, each.position, other))
        mine = dense[each.layer][each.position]
        change = (each.value - float(mine[each.feature])) * lengths[each.feature] / lengths[other]
        drawn.append(Edit(each.layer, each.position, other, float(mine[other]) + change))
    return drawn


def slow_prediction(circuit: Circuit, values: dict[tuple[int, int, int], float], target: int) -> float:
    """The change of a node's value when features get new activations, passed up the graph node by node.

    values: by layer, position and index; target: place among the nodes.
    """
    nodes = circuit.nodes
    change: dict[int, float] = defaultdict(float)
    for place in sorted(range(len(nodes)), key=lambda place: nodes[place].layer):
        node = nodes[place]
        key = node.layer, node.position, node.index
        if node.kind is NodeKind.FEATURE and key in values:
            change[place] = values[key] - float(node.activation or 0)
            continue
        for edge in circuit.edges:
            if edge.target == place and (value := nodes[edge.source].activation):
                change[place] += edge.weight * change[edge.source] / value
    return change[target]
