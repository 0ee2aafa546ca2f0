"""Traces of attention scores are kept in any JSON form and come back as they were."""

import json
from typing import Any

import pytest

from schema.errors import FileError
from schema.exports.graph_json import to_json
from schema.formats.graph import read_graph
from tests.support.graph_files import crm, encode
from tests.support.little_graph import circuit_of


def test_what_was_traced_of_attention_scores_comes_back() -> None:
    """In the database under our ids where the graph has the node, in an export under those of the file."""
    graph = crm()
    found = circuit_of(graph)
    assert found.qk_tracing is not None
    exported = to_json(found)
    assert exported["qk_only_nodes"] == graph["qk_only_nodes"]
    assert exported["nodes"] == graph["nodes"]
    assert json.loads(found.qk_tracing)["qk_tracing_results"] == {
        "0_lor_3_1": {
            "pair_wise_contributors": [["0_3_1", "0_cro_9_0", 0.5]],
            "top_q_marginal_contributors": [["0_3_1", 0.5]],
            "top_k_marginal_contributors": [["0_cro_9_0", 0.5]],
        }
    }
    again = circuit_of(exported)
    assert (again.id, again.qk_tracing) == (found.id, found.qk_tracing)
    del graph["nodes"][2]["qk_tracing_results"], graph["qk_only_nodes"]
    plain = circuit_of(graph)
    assert (plain.id, plain.qk_tracing) == (found.id, None)
    assert "qk_only_nodes" not in to_json(plain)


@pytest.mark.parametrize("value", [[], "x", 7, {"a": [[{"b": "E_7_1"}]]}, [["1_cro", None, True, -1.5e300]]])
def test_traces_may_be_any_json(value: Any) -> None:
    graph = crm()
    graph["nodes"][2]["qk_tracing_results"] = value
    (kept,) = [each for each in to_json(circuit_of(graph))["nodes"] if "qk_tracing_results" in each]
    assert kept["qk_tracing_results"] == value


def test_traces_that_are_too_deep_or_too_large() -> None:
    graph = crm()
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    graph["nodes"][2]["qk_tracing_results"] = deep
    with pytest.raises(FileError, match=r"x: nodes\[2\].qk_tracing_results: has more than 20 lists"):
        read_graph(encode(graph), "x")
    text = encode(graph).replace(encode(deep), b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(FileError, match=r"qk_tracing_results|nested too deeply"):
        read_graph(text, "x")
    graph["nodes"][2]["qk_tracing_results"] = ["x" * 100] * 50_000
    found = read_graph(encode(graph), "x")
    assert found.circuit.qk_tracing is None
    assert found.notes == (
        "qk_tracing_results and qk_only_nodes are left out: they take 5.2 MB, more than 4",
    )
    graph["nodes"][2]["qk_tracing_results"] = "half"
    with pytest.raises(FileError, match="unexpected end of hex escape"):
        read_graph(encode(graph).replace(b'"half"', b'"\\ud800"'), "x")
