"""Labels of viewers and of Neuronpedia: which feature each names, and who wrote it."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from schema.circuit.records import Label
from schema.formats.graph import read_graph
from tests.support.graph_files import Graph, circuit_tracer, crm, encode, legacy, neuronpedia

SITE = "https://www.neuronpedia.org/gemma-2-2b/graph?slug=hi&pinnedIds="


def labels_of(graph: Graph) -> tuple[set[Label], tuple[str, ...]]:
    read = read_graph(encode(graph), "a.json")
    return set(read.circuit.labels), read.notes


def viewer(layer: int, index: int, text: str, author: str = "circuit-tracer") -> Label:
    return Label(layer, index, text, "viewer", author)


def explanation(layer: int, index: int, text: str) -> Label:
    return Label(layer, index, text, "explanation", "neuronpedia")


def as_texts(pairs: list[tuple[str, str]]) -> list[str]:
    return [json.dumps(each) for each in pairs]


@pytest.mark.parametrize(
    "form",
    [
        list,
        dict,
        json.dumps,
        lambda pairs: json.dumps(dict(pairs)),
        lambda pairs: json.dumps(json.dumps(dict(pairs))),
        as_texts,
        lambda pairs: json.dumps(as_texts(pairs)),
    ],
)
@pytest.mark.parametrize("make", [circuit_tracer, lambda: legacy("gemma-2-2b"), lambda: legacy("qwen3-4b")])
def test_labels_of_the_viewer_go_by_number_by_node_or_by_both_and_position(
    make: Callable[[], Graph], form: Callable[[Any], Any]
) -> None:
    graph = make()
    first, second = graph["nodes"][:2]
    for keys in (
        (str(first["feature"]), str(second["feature"])),
        (first["node_id"], second["node_id"]),
        (f"0_{first['feature']}_1", f"1_{second['feature']}_1"),
        ("0_3_1", "1_40000_1"),
    ):
        graph["qParams"]["clerps"] = form([(keys[0], "greeting"), (keys[1], " say you ")])
        found, notes = labels_of(graph)
        assert {(each.layer, each.index, each.text) for each in found} == {
            (0, 3, "greeting"),
            (1, 40000, "say you"),
        }
        assert notes == ()


def test_numbers_may_be_numbers() -> None:
    graph = circuit_tracer()
    graph["qParams"]["clerps"] = [[graph["nodes"][0]["feature"], "greeting"]]
    assert labels_of(graph) == ({viewer(0, 3, "greeting")}, ())


def test_keys_that_match_nothing_are_named() -> None:
    graph = circuit_tracer()
    graph["qParams"]["clerps"] = [["12345", "of nothing"]]
    assert labels_of(graph) == (
        set(),
        ("1 label is of no single feature of the graph: '12345' in qParams.clerps",),
    )
    for key in ("E_7_1", "3_11_1"):  # a token and a logit
        graph["qParams"]["clerps"] = {key: "of no feature"}
        assert labels_of(graph) == (
            set(),
            (f"1 label is of no single feature of the graph: '{key}' in qParams.clerps",),
        )
    graph["qParams"]["clerps"] = [[f"9_{n}_1", "of nothing"] for n in range(7)]
    _, (note,) = labels_of(graph)
    assert note == (
        "7 labels are of no single feature of the graph: '9_0_1', '9_1_1', '9_2_1', '9_3_1', '9_4_1' and 2 "
        "more in qParams.clerps"
    )


def test_a_number_that_several_features_have_names_none_of_them() -> None:
    bare = legacy("qwen3-4b")
    bare["nodes"][1] |= {"feature": 3, "node_id": "other"}
    bare["links"] = []
    for graph in (bare, crm()):
        number = str(graph["nodes"][1]["feature"])
        graph["qParams"]["clerps"] = {number: "of which?"}
        assert labels_of(graph) == (
            set(),
            (f"1 label is of no single feature of the graph: '{number}' in qParams.clerps",),
        )


@pytest.mark.parametrize("pins", ["0_3_1,E_7_1", '["0_3_1", "E_7_1"]', ["0_3_1", "E_7_1"]])
@pytest.mark.parametrize(
    "form", [lambda groups: groups, json.dumps, lambda groups: json.dumps(json.dumps(groups))]
)
def test_pins_and_supernodes_may_be_texts(pins: Any, form: Callable[[Any], Any]) -> None:
    graph = circuit_tracer()
    graph["qParams"] |= {"pinnedIds": pins, "supernodes": form([["hello", "0_3_1", "1_40000_1"]])}
    read = read_graph(encode(graph), "a.json")
    assert {each.key for each in read.circuit.nodes if each.pinned} == {"feature:0:1:3", "token:-1:1:7"}
    assert [(each.label, len(each.members)) for each in read.circuit.supernodes] == [("hello", 2)]
    assert read.notes == ()


@pytest.mark.parametrize("value", ["no JSON", "{}", "[1]", '[["a", 1]]'])
def test_supernodes_in_a_text_that_holds_none_are_left_out_with_a_note(value: str) -> None:
    graph = circuit_tracer()
    graph["qParams"]["supernodes"] = value
    read = read_graph(encode(graph), "a.json")
    assert read.circuit.supernodes == ()
    assert read.notes == ("qParams.supernodes is a text, but no JSON of lists of texts: they are left out",)


@pytest.mark.parametrize(
    ("value", "note"),
    [
        ("[[", "qParams.clerps is a text, but no JSON: its labels are left out"),
        ([["9"], "9", 4, ["9", None]], "4 items of qParams.clerps are no pair of a key and a text: left out"),
        (7, "1 item of qParams.clerps is no pair of a key and a text: left out"),
        ("", None),
        (None, None),
    ],
)
def test_what_is_no_label_is_left_out_with_a_note(value: object, note: str | None) -> None:
    graph = circuit_tracer()
    graph["qParams"]["clerps"] = value
    assert labels_of(graph) == (set(), () if note is None else (note,))


def generated(link: str | None) -> Graph:
    """A graph that Neuronpedia's server made for Ada, with a text at both features."""
    graph = neuronpedia()
    graph["metadata"]["info"] |= {"creator_url": "https://neuronpedia.org"}
    if link is not None:
        graph["metadata"]["info"] |= {"neuronpedia_link": link}
    graph["nodes"][1]["clerp"] = "polite words"
    graph["qParams"] = {}
    return graph


def test_an_explanation_at_a_node_is_neuronpedias_and_not_of_the_person_who_asked_for_the_graph() -> None:
    for link in (None, SITE, "not an address[", SITE + "&clerps=[["):
        found, notes = labels_of(generated(link))
        assert found == {explanation(0, 3, "greetings"), explanation(1, 40000, "polite words")}
        assert notes == ()


@pytest.mark.parametrize("key", ["{feature}", "1_{feature}_1", "1_40000_1"])
def test_a_text_over_an_explanation_is_the_persons(key: str) -> None:
    graph = generated(None)
    key = key.format(feature=graph["nodes"][1]["feature"])
    pairs = json.dumps([[key, "polite words"]])
    wanted = {explanation(0, 3, "greetings"), viewer(1, 40000, "polite words", "Ada")}
    assert labels_of(generated(f"{SITE}&clerps={quote(pairs)}"))[0] == wanted
    graph["qParams"] = {"clerps": pairs}
    assert labels_of(graph)[0] == wanted


def test_a_label_of_the_viewer_stands_beside_the_explanation() -> None:
    graph = generated(SITE)
    graph["qParams"] = {"clerps": [["0_3_1", "hello"]]}
    assert labels_of(graph)[0] == {
        explanation(0, 3, "greetings"),
        explanation(1, 40000, "polite words"),
        viewer(0, 3, "hello", "Ada"),
    }


def test_a_download_of_a_graph_with_pages_holds_explanations_whoever_made_the_graph() -> None:
    graph = generated(SITE)
    del graph["metadata"]["info"]["creator_url"]
    graph["metadata"]["info"].pop("source_urls", None)
    assert labels_of(graph)[0] == {explanation(0, 3, "greetings"), explanation(1, 40000, "polite words")}
    graph["metadata"]["feature_details"] = {"feature_json_base_url": "https://example.org/features"}
    graph["metadata"]["schema_version"] = 1
    assert labels_of(graph)[0] == {
        viewer(0, 3, "greetings", "Ada"),
        viewer(1, 40000, "polite words", "Ada"),
    }


def test_texts_of_an_upload_are_the_uploaders() -> None:
    for url in (None, "https://example.org/neuronpedia.org", "https://not-neuronpedia.org"):
        graph = generated(None)
        graph["metadata"]["info"]["creator_url"] = url
        assert labels_of(graph)[0] == {
            viewer(0, 3, "greetings", "Ada"),
            viewer(1, 40000, "polite words", "Ada"),
        }


def test_explanations_of_the_second_engine_are_neuronpedias_too() -> None:
    graph = crm()
    graph["metadata"]["info"] = {"creator_name": "Ada", "neuronpedia_link": SITE}
    graph["nodes"][1]["clerp"], graph["nodes"][2]["clerp"] = "words", "moves words"
    assert labels_of(graph)[0] == {
        explanation(0, 3, "words"),
        Label(0, 3, "moves words", "explanation", "neuronpedia", component="attention"),
    }
