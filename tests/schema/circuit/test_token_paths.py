"""Token attribution is complete: its parts sum to what the model itself gives the answer."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ingest.circuits.run import attribute_one
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.flow import FlowNode, FlowRow
from schema.circuit.records import Circuit
from schema.circuit.token_paths import token_parts
from tests.support.engine import PROMPT, Tiny, save


def whole(circuit: Circuit) -> FlowRow:
    """As the database gives it."""
    nodes = [
        FlowNode(
            node.key,
            f"{node.kind.capitalize()}Node",
            node.position,
            node.token,
            node.activation,
            node.probability,
        )
        for node in circuit.nodes
    ]
    ids = [node.id for node in nodes]
    return FlowRow(
        circuit.id,
        nodes,
        [ids[edge.source] for edge in circuit.edges],
        [ids[edge.target] for edge in circuit.edges],
        [float(edge.weight) for edge in circuit.edges],
    )


def test_the_parts_of_an_unpruned_circuit_sum_to_the_logit(tmp_path: Path) -> None:
    """Without constants that no node stands for: decoder biases, and a first token that is left out."""
    folders = save(Tiny(special=False), tmp_path)
    for file in folders.transcoders.glob("W_enc_*.safetensors"):
        tensors = load_file(file)
        biases = {name: torch.zeros_like(each) for name, each in tensors.items() if name.startswith("b_dec")}
        save_file(tensors | biases, file)
    model = ReplacementModel.load(*folders)
    unpruned, pruned = (
        attribute_one(
            PROMPT,
            model=folders.model,
            transcoders=folders.transcoders,
            node_threshold=share,
            edge_threshold=share,
        )
        for share in (1.0, 0.6)
    )
    logits = model.freeze(model.encode(PROMPT).ids).logits[-1].double()
    ids = {token: place for place, token in enumerate(map(model.decode, range(model.vocab_size)))}
    for circuit in (unpruned, pruned):
        for parts in token_parts(whole(circuit)):
            given = (*parts.tokens, parts.errors, parts.other, parts.biases_and_pruned)
            assert math.fsum(given) == pytest.approx(parts.total, abs=1e-5)
            assert parts.logit.token is not None
            logit = float(logits[ids[parts.logit.token]] - logits.mean())
            if circuit is unpruned:
                assert parts.total == pytest.approx(logit, abs=1e-4)
                assert min(abs(parts.errors), abs(parts.biases_and_pruned)) > 1e-3
            else:
                assert parts.total != pytest.approx(logit, abs=1e-3)
