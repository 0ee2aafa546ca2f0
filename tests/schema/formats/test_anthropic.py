"""Graph JSON of Anthropic's papers is read as one whole circuit."""

from schema.circuit.records import Label, Model, Node, Source, Supernode, TranscoderSet
from tests.support.graph_files import anthropic
from tests.support.little_graph import FEATURE, circuit_of, expected, same


def test_anthropic() -> None:
    found = circuit_of(anthropic())
    scan = "jackl-circuits-runs-1-4-sofa-v3_0"
    nodes = [
        Node(n.kind, n.layer, n.position, n.index, None, n.influence, None, n.token, n.probability)
        for n in expected()["nodes"]
    ]
    nodes[1] = Node(FEATURE, 1, 1, 40000, pinned=True)
    same(
        found,
        model=Model(scan, None, None, None, None, None),
        transcoders=TranscoderSet(f"transcoders of {scan}", None, None, None, None, None, None, scan),
        nodes=tuple(nodes),
        node_threshold=None,
        labels=(Label(1, 40000, "say you", "viewer", "Anthropic"),),
        supernodes=(Supernode("hello", 1, (0, 1), "viewer", "Anthropic"),),
        source=Source("anthropic", "hi", scan, title="Greeting"),
    )
