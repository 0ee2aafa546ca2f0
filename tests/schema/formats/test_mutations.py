"""1 000 mutated graph files: each gives a circuit that can be loaded, or is refused, with file and key."""

import json
from collections import Counter

from schema.circuit.canonical import canonical
from schema.circuit.records import Run
from schema.exports.graph_json import to_json
from schema.formats.graph import read_graph
from schema.loading.effects import effects_of_record
from schema.loading.rows import body, frame
from tests.support.graph_files import encode
from tests.support.mutations import N, files, read_or_refuse


def test_a_thousand_mutated_files_import_or_are_refused() -> None:
    outcomes: Counter[tuple[str, bool]] = Counter()
    for number, (mutation, data) in enumerate(files(N, seed=7)):
        circuit = read_or_refuse(data, f"{number}.json")
        outcomes[mutation, circuit is not None] += 1
        if circuit is not None:
            assert circuit == canonical(circuit)
            rows = frame(circuit, Run({}, {})), body(circuit), effects_of_record(circuit)
            json.dumps(rows, allow_nan=False)
            assert read_graph(encode(to_json(circuit)), "again").circuit == circuit
    assert sum(outcomes.values()) == N
    refused = {mutation for mutation, kept in outcomes if not kept}
    kept = {mutation for mutation, kept in outcomes if kept}
    assert refused >= {"truncated", "wrong_type", "missing", "not_finite", "duplicate", "lost_end", "nested"}
    assert kept >= {"hostile", "missing", "wrong_type"}
    assert ("truncated", True) not in outcomes
    assert ("nested", True) not in outcomes
