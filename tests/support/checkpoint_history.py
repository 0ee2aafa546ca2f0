"""Three checkpoints of a made-up training run, with circuits of each in the database."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest

from schema.annotations.checkpoints import Checkpoint, SameFeature, StartedFrom, keep_checkpoints
from schema.circuit.records import NodeKind
from schema.loading.load import load_circuit
from tests.support.circuits import MODEL, RUN, TRANSCODERS, feature_id, synthetic_circuits

STEPS = (100, 200, 400)


def at(step, circuit):
    """A circuit as it could have been at a step: with another model and set, and some of its nodes."""
    rng = random.Random(f"{step} {circuit.prompt.text}")
    kept = [
        n for n, node in enumerate(circuit.nodes) if node.kind is not NodeKind.FEATURE or rng.random() < 0.7
    ]
    place = {old: new for new, old in enumerate(kept)}
    model = replace(MODEL, name=f"step-{step}", training_step=step)
    return replace(
        circuit,
        model=model,
        transcoders=replace(TRANSCODERS, name=f"clt-{step}", model_id=model.id),
        nodes=tuple(circuit.nodes[n] for n in kept),
        edges=tuple(
            edge._replace(source=place[edge.source], target=place[edge.target])
            for edge in circuit.edges
            if edge.source in place and edge.target in place and rng.random() < 0.9
        ),
        labels=(),
        supernodes=(),
    )


@pytest.fixture(scope="module")
def history(connection):
    """The circuits of each of three checkpoints, which are all that the database holds."""
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")
    made = {step: [at(step, circuit) for circuit in synthetic_circuits(9, seed=8)] for step in STEPS}
    del made[100][0]
    for circuits in made.values():
        for circuit in circuits:
            load_circuit(connection, circuit, RUN)
    checkpoints = [Checkpoint(step, circuits[0].transcoders.id) for step, circuits in made.items()]
    starts = [StartedFrom(a.id, b.id, 0.9, 0.8, 0.1, 0.0, 5) for a, b in pairwise(checkpoints)]
    keep_checkpoints(connection, "made-up", checkpoints, starts, links(made))
    keep_checkpoints(connection, "made-up", checkpoints, starts, links(made))
    yield made
    connection.write("MATCH (n) WHERE NOT n:Migration DETACH DELETE n")


def ids(made):
    return {step: Checkpoint(step, circuits[0].transcoders.id).id for step, circuits in made.items()}


def numbers(circuits):
    """(layer, index) → its id, of the features of circuits."""
    return {
        (node.layer, node.index): feature_id(circuit, node)
        for circuit in circuits
        for node in circuit.nodes
        if node.kind is NodeKind.FEATURE
    }


def links(made):
    has = {step: numbers(circuits) for step, circuits in made.items()}
    found: list[SameFeature] = []
    for number in sorted({number for each in has.values() for number in each}):
        there = [each[number] for each in has.values() if number in each]
        found += [
            SameFeature(a, b, len(found) / 1000, None if number[0] == 0 else 0.5) for a, b in pairwise(there)
        ]
    return found
