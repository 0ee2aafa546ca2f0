"""The canonical order of a circuit's parts, and a hash of its graph.

Equal graphs become equal records, wherever they came from. Nodes are sorted by kind, layer, position, index
and component; edges are sorted by target and source. Our own graphs and circuit-tracer's files have this
order. The database keeps no order.
"""

import hashlib
from dataclasses import fields, replace
from operator import gt

import msgspec

from schema.circuit.derived import underived
from schema.circuit.records import Circuit, Edge, Label, Node, NodeKind

_HASHED = tuple(each.name for each in fields(Node) if each.name != "influence_is_bound")
_KINDS = {kind: place for place, kind in enumerate(NodeKind)}


def canonical(circuit: Circuit) -> Circuit:
    """The circuit with all its parts in the canonical order."""
    order = sorted(range(len(circuit.nodes)), key=lambda place: _node_order(circuit.nodes[place]))
    place = [0] * len(order)
    for new, old in enumerate(order):
        place[old] = new
    edges = circuit.edges
    if order != list(range(len(order))):
        edges = tuple(Edge(place[s], place[t], weight, share) for s, t, weight, share in edges)
    # One number stands for both ends, because sorting tuples is the slowest step. Most files are sorted.
    count = len(order)
    keys = [target * count + source for source, target, _, _ in edges]
    if any(map(gt, keys, keys[1:])):
        edges = tuple(edges[old] for old in sorted(range(len(keys)), key=keys.__getitem__))
    return replace(
        circuit,
        nodes=tuple(circuit.nodes[old] for old in order),
        edges=edges,
        labels=tuple(sorted(set(circuit.labels), key=_label_order)),
        supernodes=tuple(
            sorted(
                {
                    replace(s, members=tuple(sorted({place[i] for i in s.members})))
                    for s in circuit.supernodes
                },
                key=lambda s: (s.label, s.members, s.method, s.author),
            )
        ),
        head_parts=tuple(
            sorted(circuit.head_parts, key=lambda p: (p.source, p.target, -abs(p.weight), p.layer, p.head))
        ),
        prompt=replace(circuit.prompt, tags=tuple(sorted(set(circuit.prompt.tags)))),
    )


def digest(circuit: Circuit) -> str:
    """Hash of the prompt, the nodes and the edges of a canonical circuit, as 64 hexadecimal digits.

    Labels, supernodes and pins do not count, so a graph that somebody labels or groups stays the same graph.
    What was derived does not count either, so a better derivation leaves the hash as it is.
    """
    circuit = underived(circuit)
    nodes = [{name: getattr(node, name) for name in _HASHED} | {"pinned": False} for node in circuit.nodes]
    hashed = (circuit.prompt.text, circuit.prompt.tokens, circuit.weights, nodes, circuit.edges)
    return hashlib.sha256(msgspec.json.encode(hashed)).hexdigest()


def _node_order(node: Node) -> tuple[int, int, int, int, str, str]:
    index = -1 if node.index is None else node.index
    return (_KINDS[node.kind], node.layer, node.position, index, node.component or "", node.token or "")


def _label_order(label: Label) -> tuple[int, int, str, str, str, str]:
    return (label.layer, label.index, label.component or "", label.text, label.method, label.author)
