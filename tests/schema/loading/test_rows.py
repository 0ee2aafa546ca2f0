"""Records that do not fit together are refused before anything is written."""

from typing import Any

import pytest

from schema.circuit.records import Edge, Label, Node, NodeKind, Supernode
from schema.database import Database
from schema.errors import InputError
from schema.loading.load import load_circuit
from tests.support.circuits import RUN
from tests.support.stored import nothing_left
from tests.support.tiny_circuit import tiny


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": (Edge(0, 6, 1.0, 1.0),)}, "an edge goes from node 0 to 6, but the last node is 5"),
        ({"edges": (Edge(-1, 2, 1.0, 1.0),)}, "an edge goes from node -1 to 2"),
        (
            {"edges": (Edge(0, 2, 1.0, 1.0), Edge(0, 2, 2.0, 1.0))},
            "two edges have the same source and target",
        ),
        ({"edges": (Edge(0, 2, float("nan"), 1.0),)}, "not a finite 32-bit number"),
        ({"replacement_score": float("inf")}, "not a finite 32-bit number"),
        ({"nodes": (*tiny().nodes, tiny().nodes[2])}, "two nodes are feature:0:1:5"),
        ({"nodes": (*tiny().nodes, Node(NodeKind.FEATURE, 0, 0, None))}, "a feature node without an index"),
        ({"nodes": (*tiny().nodes, Node(NodeKind.FEATURE, 0, 0, 2**63))}, "outside 0 … 2^63-1"),
        ({"supernodes": (Supernode("x", None, (99,), "m", "a"),)}, "groups node 99, but the last node is"),
        ({"supernodes": (Supernode("x" * 5000, None, (2,), "m", "a"),)}, "is longer than 4000 bytes"),
        ({"labels": (Label(3, 3, "x", "m", "a"),)}, "is about feature 3/3, which no node has"),
        ({"labels": (Label(0, 5, "\ud800", "m", "a"),)}, "half of a surrogate pair"),
        ({"target_position": 2**63}, "A value cannot be stored in Neo4j"),
    ],
)
def test_a_record_that_does_not_fit_together_is_refused_whole(
    database: Database, changes: dict[str, Any], message: str
):
    with pytest.raises(InputError) as caught:
        load_circuit(database, tiny(**changes), RUN)
    assert message in caught.value.what
    assert caught.value.next_step
    assert nothing_left(database)
