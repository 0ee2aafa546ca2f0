"""Loading circuits: the database holds the records and the aggregates that plain loops compute."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from schema.circuit.records import Label, Prompt, Run, Supernode
from schema.database import Database
from schema.loading.load import load_circuit, prepare, present
from schema.upkeep.canonical_dump import digest, dump
from schema.upkeep.check import check
from schema.upkeep.delete import delete_circuit
from tests.support.circuits import MODEL, RUN, TRANSCODERS, synthetic_circuits, uses
from tests.support.servers import empty
from tests.support.stored import assert_effects, load_all, nothing_left, stored_uses
from tests.support.tiny_circuit import tiny

HOSTILE = "'); MATCH (n) DETACH DELETE n //\0\"`\\ $id {x} \u202e é 漢 🙂 \n"


def test_everything_of_one_circuit_is_stored(database: Database):
    circuit = tiny()
    assert load_circuit(database, circuit, RUN) is True
    stored = dump(database)
    key = circuit.id
    first, second = TRANSCODERS.feature_id(0, 5), TRANSCODERS.feature_id(1, 2**40)
    at = [f"{key}/{node.key}" for node in circuit.nodes]
    label, supernode = stored["Label"][0][1]["id"], stored["Supernode"][0][1]["id"]
    assert stored["Circuit"] == [
        [
            ["Circuit"],
            {
                "id": key,
                "target": "salient-logits(10, 0.95)",
                "target_position": 1,
                "node_threshold": 0.8,
                "edge_threshold": 0.98,
                "dtype": "float32",
                "special_first_token": False,
                "replacement_score": 0.5,
                "completeness_score": 0.75,
                "error_share": 0.125,
                "n_active_features": 9,
                "n_selected_features": 8,
                "kept_influence": 0.875,
                "layer_features": [0.25, 0.25],
                "layer_errors": [0.0, 0.5],
                "n_nodes": 6,
                "n_edges": 5,
                "answer": " c",
                "answer_probability": 0.9,
                "correct": True,
            },
        ]
    ]
    place = {"layer": 0, "position": 1, "position_from_end": 0}
    nodes: list[list[Any]] = [
        [
            ["Node", "TokenNode"],
            {**place, "id": at[0], "layer": -1, "index": 2, "influence": 0.0, "token": "b"},
        ],
        [
            ["FeatureNode", "Node"],
            {"id": at[1], "layer": 0, "position": 0, "position_from_end": 1, "index": 5}
            | {"activation": 1.0, "cumulative": 0.5},
        ],
        [
            ["FeatureNode", "Node"],
            {**place, "id": at[2], "index": 5, "activation": 2.0, "influence": 0.25, "cumulative": 0.5},
        ],
        [
            ["FeatureNode", "Node"],
            {**place, "id": at[3], "layer": 1, "index": 2**40, "activation": 2.0, "influence": 0.25},
        ],
        [["ErrorNode", "Node"], {**place, "id": at[4], "layer": 1, "influence": 0.5}],
        [
            ["LogitNode", "Node"],
            {**place, "id": at[5], "layer": 4, "index": 3, "influence": 0.9}
            | {"token": " c", "probability": 0.9},
        ],
    ]
    assert stored["Node"] == sorted(nodes, key=lambda row: row[1]["id"])
    assert stored["ATTRIBUTES"] == sorted(
        [["Node", at[e.source]], ["Node", at[e.target]], {"weight": e.weight, "share": e.share}]
        for e in circuit.edges
    )
    assert stored["INSTANCE_OF"] == [
        [["Node", at[1]], ["Feature", first], {}],
        [["Node", at[2]], ["Feature", first], {}],
        [["Node", at[3]], ["Feature", second], {}],
    ]
    assert stored["USES"] == [
        [["Circuit", key], ["Feature", first], {"influence": 0.25, "activation": 2.0, "positions": [0, 1]}],
        [["Circuit", key], ["Feature", second], {"influence": 0.25, "activation": 2.0, "positions": [1]}],
    ]
    effect = {"n_circuits": 1, "n_positive": 1, "n_negative": 0, "mean": 0.5, "m2": 0.0, "sd": 0.0}
    effect |= {"sign_consistency": 1.0, "pair": 5 * 2**31 + (2**40 % 2**31 + 1_000_003)}
    assert stored["DRIVES"] == [[["Feature", first], ["Feature", second], effect]]
    assert stored["DRIVES_IN"] == [[["Feature", first], ["Feature", second], effect | {"family": "letters"}]]
    sums = {"n_circuits": 1, "n_measured": 1, "influence": 0.25}
    assert stored["Feature"] == [
        [["Feature"], {"id": first, "layer": 0, "index": 5, **sums, "degree": 1}],
        [["Feature"], {"id": second, "layer": 1, "index": 2**40, **sums, "degree": 1}],
    ]
    assert stored["FOUND_IN"] == [
        [
            ["Feature", feature],
            ["Family", "letters"],
            {"n_circuits": 1, "n_measured": 1, "influence": 0.25},
        ]
        for feature in (first, second)
    ]
    assert stored["COVERS"] == [[["TranscoderSet", TRANSCODERS.id], ["Family", "letters"], {"n_circuits": 1}]]
    assert stored["Prompt"] == [
        [
            ["Prompt"],
            {
                "id": circuit.prompt.id,
                "text": "a b",
                "tokens": ["a", "b"],
                "token_ids": [1, 2],
                "expected": "c",
            },
        ]
    ]
    assert stored["Run"] == [
        [
            ["Run"],
            {"id": RUN.id, "versions": '{"circuit-atlas":"0.1.0"}'}
            | {"settings": '{"node_threshold":0.8,"prompts":"made-up.jsonl"}'},
        ]
    ]
    assert stored["Label"] == [
        [["Label"], {"id": label, "text": "vowels", "method": "person", "author": "ann"}]
    ]
    assert stored["Supernode"] == [
        [
            ["Supernode"],
            {
                "id": supernode,
                "label": "letter",
                "position": 1,
                "method": "person",
                "author": "ann",
                "score": 0.5,
            },
        ]
    ]
    assert stored["LABELS"] == [[["Label", label], ["Feature", first], {}]]
    assert stored["GROUPS"] == [[["Supernode", supernode], ["Node", at[i]], {}] for i in (2, 3)]
    assert stored["MEANS"] == [[["Supernode", supernode], ["Concept", "letter"], {}]]
    assert stored["IN_FAMILY"] == [[["Prompt", circuit.prompt.id], ["Family", "letters"], {}]]
    assert stored["TAGGED"] == [[["Prompt", circuit.prompt.id], ["Tag", "short"], {}]]
    assert stored["IN"] == [
        [["Feature", feature], ["TranscoderSet", TRANSCODERS.id], {}] for feature in (first, second)
    ]
    assert stored["FOR"] == [[["TranscoderSet", TRANSCODERS.id], ["Model", MODEL.id], {}]]
    assert stored["FROM_RUN"] == [[["Circuit", key], ["Run", RUN.id], {}]]


def test_aggregates_are_those_of_the_records(database: Database):
    circuits = synthetic_circuits(20)
    load_all(database, circuits)
    assert stored_uses(database) == uses(circuits)
    assert_effects(database, circuits)


def test_loading_twice_changes_nothing(database: Database):
    circuits = synthetic_circuits(4)
    load_all(database, circuits)
    before = digest(database)
    other_run = Run(settings={"again": True}, versions={})
    assert [load_circuit(database, circuit, other_run) for circuit in circuits] == [False] * 4
    assert digest(database) == before
    assert present(database, [circuits[0].id, "no such id", circuits[3].id]) == {
        circuit.id: (circuit.n_active_features, len(circuit.edges)) for circuit in (circuits[0], circuits[3])
    }


@pytest.mark.parametrize("batch_bytes", [1, 2000])
def test_a_circuit_in_many_messages_is_the_same(database: Database, batch_bytes: int):
    circuits = synthetic_circuits(3)
    load_all(database, circuits)
    before = digest(database)
    empty(database)
    for circuit in circuits:
        assert load_circuit(database, circuit, RUN, batch_bytes=batch_bytes) is True
    assert digest(database) == before


def test_features_that_make_the_same_pair_keep_their_own_effects(database: Database):
    ours = synthetic_circuits(3)
    # The same layers and indices in another set: the same numbers, other features.
    others = [replace(each, transcoders=replace(each.transcoders, name="another set")) for each in ours]
    every = [each for both in zip(ours, others, strict=True) for each in both]
    load_all(database, every)
    assert_effects(database, every)
    assert list(check(database)) == []
    for each in ours:
        assert delete_circuit(database, each.id)
    assert_effects(database, others)
    assert list(check(database)) == []


def test_a_set_stays_with_the_model_that_it_was_first_said_to_be_of(database: Database):
    first, second = synthetic_circuits(2)
    other = replace(second.model, name="another")
    assert load_circuit(database, first, RUN)
    assert load_circuit(database, replace(second, model=other), RUN)
    rows = database.read("MATCH (m:Model) RETURN m.id AS id, COUNT { (m)<-[:FOR]-() } AS n")
    assert rows == [{"id": first.model.id, "n": 1}]
    assert list(check(database)) == []


def test_two_loaders_at_once_load_each_circuit_once(database: Database):
    circuits = synthetic_circuits(6)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda circuit: load_circuit(database, circuit, RUN), [*circuits, *circuits]))
    assert sorted(results) == [False] * 6 + [True] * 6
    assert stored_uses(database) == uses(circuits)
    assert_effects(database, circuits)
    assert list(check(database)) == []


def test_a_prompt_in_a_second_circuit_keeps_what_was_said_of_it_and_gains_tags(database: Database):
    first = tiny()
    prompt = replace(first.prompt, family="others", tags=("long",), expected="d")
    assert load_circuit(database, first, RUN)
    assert load_circuit(database, replace(first, prompt=prompt, node_threshold=0.9), RUN)
    assert list(check(database)) == []
    assert database.read(
        """
        MATCH (p:Prompt)
        RETURN p.expected AS expected, [(p)-[:IN_FAMILY]->(f) | f.name] AS families,
               COLLECT { MATCH (p)-[:TAGGED]->(g) RETURN g.name AS name ORDER BY name } AS tags
        """
    ) == [{"expected": "c", "families": ["letters"], "tags": ["long", "short"]}]


def test_a_feature_keeps_the_first_label_of_each_method_of_the_atlas(database: Database):
    made = Label(0, 5, "of the first ingest", "token-statistics-v1", "atlas")
    later = Label(0, 5, "of a second ingest", "token-statistics-v1", "atlas")
    others = (replace(later, author="ann"), replace(later, method="other"))
    assert load_circuit(database, tiny(labels=(made,)), RUN)
    assert load_circuit(database, tiny(labels=(later, *others), node_threshold=0.9), RUN)
    assert list(check(database)) == []
    found = database.read(
        "MATCH (l:Label)-[:LABELS]->(f) RETURN l.text AS t, l.method AS m, l.author AS a ORDER BY m, a"
    )
    assert [tuple(row.values()) for row in found] == [
        (later.text, "other", "atlas"),
        (later.text, "token-statistics-v1", "ann"),
        (made.text, "token-statistics-v1", "atlas"),
    ]


def test_a_circuit_without_features_edges_or_answer(database: Database):
    bare = tiny(nodes=(tiny().nodes[0],), edges=(), labels=(), supernodes=())
    assert load_circuit(database, bare, RUN)
    assert database.read(
        "MATCH (c:Circuit)-[:HAS]->(n) RETURN c.n_nodes AS n, c.answer AS answer, n.token AS t"
    ) == [{"n": 1, "answer": None, "t": "b"}]
    assert delete_circuit(database, bare.id)
    assert nothing_left(database)


def test_hostile_text_comes_back_as_it_was(database: Database):
    prompt = Prompt(
        HOSTILE,
        (HOSTILE,) * 2,
        (1, 2),
        family=HOSTILE,
        tags=(HOSTILE,),
        expected=HOSTILE,
        pair=HOSTILE,
        split=HOSTILE,
    )
    model, transcoders = replace(MODEL, name=HOSTILE), replace(TRANSCODERS, name=HOSTILE, kind=HOSTILE)
    circuit = tiny(
        prompt=prompt,
        model=model,
        transcoders=transcoders,
        target=HOSTILE,
        nodes=tuple(replace(node, token=node.token and HOSTILE) for node in tiny().nodes),
        labels=(Label(0, 5, HOSTILE, HOSTILE, HOSTILE),),
        supernodes=(Supernode(HOSTILE, None, (2,), HOSTILE, HOSTILE),),
    )
    assert load_circuit(database, circuit, Run(settings={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE}))
    stored = dump(database)
    assert stored["Prompt"][0][1] == {
        "id": prompt.id,
        "text": HOSTILE,
        "tokens": [HOSTILE, HOSTILE],
        "token_ids": [1, 2],
        "expected": HOSTILE,
        "pair": HOSTILE,
        "split": HOSTILE,
    }
    assert stored["Family"] == [[["Family"], {"name": HOSTILE}]]
    assert stored["Tag"] == [[["Tag"], {"name": HOSTILE}]]
    assert stored["Concept"] == [[["Concept"], {"label": HOSTILE}]]
    assert stored["Model"][0][1]["name"] == HOSTILE
    assert stored["Label"][0][1]["text"] == HOSTILE
    assert stored["Circuit"][0][1]["answer"] == HOSTILE
    assert delete_circuit(database, circuit.id)
    assert nothing_left(database)


def test_preparing_writes_nothing(database: Database):
    prepare(database)
    assert not any(dump(database).values())
