"""Influence derived from a pruned file, against the true influence of the engine's unpruned graph."""

from pathlib import Path

from ingest.circuits.convert import circuit, model_record, transcoders_record
from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.records import NodeKind, Prompt
from schema.exports.graph_json import to_json
from tests.support.engine import PROMPT, Tiny, save
from tests.support.little_graph import circuit_of


def test_derived_shares_are_the_true_ones_or_marked_bounds(tmp_path: Path) -> None:
    model = ReplacementModel.load(*save(Tiny(seed=1, n_layers=4, n_features=20), tmp_path))
    graph = attribute(model, PROMPT)
    pruned = prune(graph, node_threshold=0.8, edge_threshold=0.98)
    tokens = tuple(f"t{position}" for position in range(graph.n_positions))
    record, transcoders = model_record(model), transcoders_record(model)
    true = circuit(graph, pruned, Prompt(" ".join(tokens), tokens, None), record, transcoders)
    file = to_json(true)
    del file["metadata"]["atlas"]  # what remains is what circuit-tracer writes
    for node in file["nodes"]:
        del node["raw_influence"]
    for link in file["links"]:
        link.pop("share", None)
    found = {node.key: node for node in circuit_of(file).nodes if node.kind is not NodeKind.LOGIT}
    whole = float(pruned.influence.sum())
    shares = {n.key: (n.influence or 0.0) / whole for n in true.nodes if n.kind is not NodeKind.LOGIT}
    assert len(found) == len(shares)
    gaps = 0
    for key, share in shares.items():
        derived = found[key].influence
        assert derived is not None
        assert derived >= share - 1e-6
        gaps += found[key].influence_is_bound
    assert gaps < len(shares) / 4
    low, high = (getattr(circuit_of(file), f"error_share_{end}") for end in ("low", "high"))
    assert low - 1e-6 <= (true.error_share or 0.0) <= high + 1e-6
