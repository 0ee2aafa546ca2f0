"""Graphs of complete replacement models keep the nodes of attention apart."""

from schema.circuit.derived import underived
from schema.circuit.records import Model, Node, Source
from schema.formats.graph import read_graph
from tests.support.graph_files import crm, encode
from tests.support.little_graph import ERROR, FEATURE, LOGIT, OTHER, TOKEN, circuit_of, read_part


def test_crm_keeps_attention_apart() -> None:
    assert read_graph(encode(crm()), "x").notes == ()
    found = circuit_of(crm())
    assert underived(found).nodes == (
        Node(FEATURE, 0, 1, 3, 1.5, None, 0.5),
        Node(FEATURE, 0, 1, 3, 0.5, None, None, component="attention"),
        Node(ERROR, 1, 1, None),
        Node(ERROR, 1, 1, None, component="attention"),
        Node(TOKEN, -1, 1, 7, None, None, None, "Hi"),
        Node(LOGIT, 2, 1, 11, None, 0.6, None, " you", 0.6),
        Node(OTHER, 1, 0, None, component="bias:attn_bO"),
    )
    assert found.model == Model("qwen3-1.7b", None, None, 2, None, None)
    assert found.transcoders.name == "qwen3-1.7b/transcoder-8x"
    assert read_part(found).source == Source(
        "neuronpedia-crm", "crm", "qwen3-1.7b", "transcoder-8x", "lorsa-8x"
    )
    assert found.labels == ()
    assert found.prompt.token_ids is None  # one of the two tokens has no node
    assert len({node.key for node in found.nodes}) == len(found.nodes)
