"""Influence derived from a pruned file, against the true influence of the engine's unpruned graph."""

from pathlib import Path

from ingest.circuits.convert import circuit, model_record, transcoders_record
from ingest.engine.attribution.attribute import attribute
from ingest.engine.attribution.prune import prune
from ingest.engine.replacement.model import ReplacementModel
from schema.circuit.derived import OwnShare, own_shares
from schema.circuit.records import NodeKind, Prompt
from schema.exports.graph_json import to_json
from tests.support.engine import PROMPT, Tiny, save
from tests.support.little_graph import circuit_of


def test_derived_shares_are_the_true_ones_or_marked_bounds(tmp_path: Path) -> None:
    """Node thresholds drop the end of the order; edge thresholds drop nodes in the middle of it."""
    model = ReplacementModel.load(*save(Tiny(seed=1, n_layers=4, n_features=20), tmp_path))
    graph = attribute(model, PROMPT)
    tokens = tuple(f"t{position}" for position in range(graph.n_positions))
    record, transcoders = model_record(model), transcoders_record(model)
    marked = {}
    for thresholds in ((0.8, 0.98), (1.0, 0.98), (1.0, 0.8)):
        pruned = prune(graph, node_threshold=thresholds[0], edge_threshold=thresholds[1])
        true = circuit(graph, pruned, Prompt(" ".join(tokens), tokens, None), record, transcoders)
        file = to_json(true)
        del file["metadata"]["atlas"]  # what remains is what circuit-tracer writes
        for node in file["nodes"]:
            del node["raw_influence"]
        for link in file["links"]:
            link.pop("share", None)
        read = circuit_of(file)
        found = {node.key: node for node in read.nodes if node.kind is not NodeKind.LOGIT}
        whole = float(pruned.influence.sum())
        shares = {n.key: (n.influence or 0.0) / whole for n in true.nodes if n.kind is not NodeKind.LOGIT}
        assert found.keys() == shares.keys()
        for key, share in shares.items():
            derived = found[key].influence
            assert derived is not None
            if found[key].influence_is_bound:
                assert derived >= share - 1e-6
            else:
                assert abs(derived - share) <= 1e-6
        low, high = read.error_share_low, read.error_share_high
        assert low is not None
        assert high is not None
        assert low - 1e-6 <= (true.error_share or 0.0) <= high + 1e-6
        marked[thresholds] = sum(each.influence_is_bound for each in found.values())
        assert marked[thresholds] < len(found) / 4
    assert marked[1.0, 0.98] > 0  # a node threshold of 1 alone leaves no gap


def test_a_gap_stays_unseen_where_two_shares_are_at_most_the_one_before() -> None:
    # The own shares are 0.5, 0.1875, 0.0625 and 0.0625. The second node is dropped.
    assert own_shares({0: 0.5, 2: 0.75, 3: 0.8125}) == {
        0: OwnShare(0.5, bound=False),
        2: OwnShare(0.25, bound=False),
        3: OwnShare(0.0625, bound=False),
    }
