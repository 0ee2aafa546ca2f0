"""Graph JSON of EleutherAI is read, and its weights are marked as gradients."""

from schema.circuit.derived import underived
from schema.circuit.records import Model, Node
from tests.support.graph_files import eleuther
from tests.support.little_graph import ERROR, FEATURE, LOGIT, TOKEN, circuit_of


def test_eleuther_weights_are_marked_as_gradients() -> None:
    found = circuit_of(eleuther())
    assert found.weights == "gradient"
    name = f"model of {found.transcoders.name}"
    assert found.model == Model(name, None, None, 2, None, None)
    assert underived(found).nodes == (
        Node(FEATURE, 0, 1, 3, None, None, 0.5),
        Node(ERROR, 1, 1, None),
        Node(TOKEN, -1, 0, None, None, None, None, "<bos>"),
        Node(TOKEN, -1, 1, None, None, None, None, "Hi"),
        Node(LOGIT, 2, 1, None, None, 0.6, None, " you", 0.6)
        if found.nodes[4].token == " you"
        else Node(LOGIT, 2, 1, None, None, 0.3, None, ".", 0.3),
        found.nodes[5],
    )
    assert {node.token for node in found.nodes if node.kind is LOGIT} == {" you", "."}
    assert [(e.source, e.weight) for e in found.edges] == [(3, 0.25), (0, 1.5)]
