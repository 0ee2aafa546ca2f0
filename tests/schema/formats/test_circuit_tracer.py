"""Graph JSON of circuit-tracer is read as one whole circuit."""

import pytest

from tests.support.graph_files import circuit_tracer
from tests.support.little_graph import circuit_of, read_part, same


@pytest.mark.parametrize("error_id", ["{layer}_-1_{position}", "0_{layer}_{position}"])
def test_circuit_tracer(error_id: str) -> None:
    same(circuit_of(circuit_tracer(error_id)))


def test_the_ids_of_errors_do_not_matter() -> None:
    old, new = circuit_of(circuit_tracer("0_{layer}_{position}")), circuit_of(circuit_tracer())
    assert read_part(old) == read_part(new)
    assert old.id == new.id


def test_a_list_of_transcoders_has_a_name_that_stays() -> None:
    graph = circuit_tracer()
    graph["metadata"] |= {"transcoder_list": ["a", "b"], "scan": "custom-42"}
    other = circuit_tracer()
    other["metadata"] |= {"transcoder_list": ["a", "b"], "scan": "custom--77"}
    assert circuit_of(graph).transcoders == circuit_of(other).transcoders
    assert circuit_of(graph).id == circuit_of(other).id
