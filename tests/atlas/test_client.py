"""The client for scripts against a running server: pages, frames, graphs, the command, and tokens."""

import csv
import io

import polars
import pytest

from atlas.client import AtlasClient, QueryError
from atlas.token_file import read_token
from schema.circuit.records import NodeKind
from schema.errors import InputError
from tests.support.circuits import drives, feature_id


@pytest.fixture
def atlas(address):
    with AtlasClient(address) as client:
        yield client


CIRCUITS = """query ($after: String) { circuits(first: 10, after: $after) {
  totalCount pageInfo { hasNextPage endCursor } %s } }"""


@pytest.mark.parametrize("part", ["nodes { id prompt { text } }", "edges { node { id prompt { text } } }"])
def test_pages_follow_each_other(atlas, circuits, part):
    found = list(atlas.nodes(CIRCUITS % part))
    assert len(found) == len(circuits) > 20
    assert {(node["id"], node["prompt"]["text"]) for node in found} == {
        (c.id, c.prompt.text) for c in circuits
    }


def test_a_list_that_does_not_go_on_is_named(atlas):
    with pytest.raises(InputError, match="second page is its first"):
        list(atlas.nodes("{ circuits(first: 5) { pageInfo { hasNextPage endCursor } nodes { id } } }"))
    with pytest.raises(InputError, match="no lists with pageInfo"):
        list(atlas.nodes("{ families { name } }"))
    with pytest.raises(QueryError, match="Cannot query field"):
        list(atlas.nodes("{ nothing }"))


def test_a_frame(atlas, circuits):
    frame = atlas.frame(CIRCUITS % "nodes { id answerProbability prompt { text family tags } }")
    assert frame.columns == ["id", "answerProbability", "prompt.text", "prompt.family", "prompt.tags"]
    assert sorted(frame.rows()) == sorted(
        (c.id, c.answer.probability, c.prompt.text, c.prompt.family, sorted(c.prompt.tags)) for c in circuits
    )


def test_frames_have_the_labels_of_their_features(atlas, circuits):
    frame = atlas.download("features", minCircuits=2)
    query = "query ($id: ID!) { feature(id: $id) { neuronpediaUrl labels { text } } }"
    assert frame["label"].drop_nulls().len() > 0
    for row in frame.head(5).iter_rows(named=True):
        feature = atlas.query(query, {"id": row["id"]})["feature"]
        assert row["label"] == next((each["text"] for each in feature["labels"]), None)
        assert row["neuronpedia_url"] == feature["neuronpediaUrl"]
    assert frame.drop("label", "neuronpedia_url").equals(
        atlas.download("features", labels=False, minCircuits=2)
    )
    assert "label" not in atlas.download("circuits").columns


def test_a_circuit_as_a_graph(atlas, circuits):
    circuit = circuits[3]
    graph = atlas.circuit_graph(circuit.id)
    ids = [f"{circuit.id}/{node.key}" for node in circuit.nodes]
    assert graph.graph == {"circuit": circuit.id, "derived": []}
    assert set(graph.nodes) == set(ids)
    assert {(s, t): (data["weight"], data["share"]) for s, t, data in graph.edges(data=True)} == {
        (ids[edge.source], ids[edge.target]): (edge.weight, edge.share) for edge in circuit.edges
    }
    for name, node in zip(ids, circuit.nodes, strict=True):
        known = graph.nodes[name]
        assert (known["kind"], known["layer"], known["position"]) == (
            node.kind.name,
            node.layer,
            node.position,
        )
        feature = feature_id(circuit, node) if node.kind is NodeKind.FEATURE else None
        assert (known["influence"], known["feature"]) == (node.influence, feature)
    with pytest.raises(QueryError, match="no circuit"):
        atlas.circuit_graph("no such circuit")


def test_a_download_as_a_frame_and_as_a_file(atlas, circuits, tmp_path):
    sets = {"positive": {"families": ["capitals"]}, "negative": {"families": ["antonyms"]}}
    frame = atlas.download("contrast.features", **sets, minCircuits=2)
    answer = atlas.frame(
        """query ($after: String) {
          contrast(positive: {families: ["capitals"]}, negative: {families: ["antonyms"]}) {
            features(minCircuits: 2, first: 100, after: $after) {
            pageInfo { hasNextPage endCursor } nodes { auroc lift feature { id } } } } }"""
    )
    assert frame.height > 5
    assert frame.select("auroc", "lift", "feature").rows() == answer.rows()
    for ending in ("csv", "parquet", "arrow", "jsonl"):
        file = tmp_path / f"frame.{ending}"
        atlas.save("contrast.features", file, **sets, minCircuits=2)
        name = {"arrow": "read_ipc_stream", "jsonl": "read_ndjson"}.get(ending, f"read_{ending}")
        found = getattr(polars, name)(file)
        assert found["feature"].to_list() == frame["feature"].to_list()
    with pytest.raises(QueryError, match="no argument 'bye'"):
        atlas.download("hubs", bye=1)
    with pytest.raises(QueryError, match="cannot be had as 'xlsx'"):
        atlas.save("hubs", tmp_path / "hubs.xlsx")


def test_recurring_effects_as_a_graph(atlas, circuits):
    graph = atlas.feature_graph(min_circuits=3, count_by="CIRCUITS")
    expected = {pair: drive.n_circuits for pair, drive in drives(circuits).items() if drive.n_circuits >= 3}
    assert {(s, t): data["nCircuits"] for s, t, data in graph.edges(data=True)} == expected


def test_a_query_as_csv(cli_without_database, address, circuits, tmp_path):
    file = tmp_path / "question.graphql"
    file.write_text(
        "{ circuits(first: 100) { totalCount nodes { id answerProbability prompt { text tags } } } }"
    )
    result = cli_without_database("query", file, "--csv", "--api", address)
    assert result.exit_code == 0, result.text
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["id", "answerProbability", "prompt.text", "prompt.tags"]
    assert {(row[0], float(row[1]), row[2]) for row in rows[1:]} == {
        (c.id, c.answer.probability, c.prompt.text) for c in circuits
    }
    file.write_text("{ families { name } circuits { nodes { id } } }")
    result = cli_without_database("query", file, "--csv", "--api", address)
    assert isinstance(result.error, InputError)


def test_what_is_a_token(tmp_path):
    file = tmp_path / "token"
    with pytest.raises(InputError, match="cannot be read"):
        read_token(file)
    for text in ("", "short", "x" * 15, "with a blank in it", "ä" * 20):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="plain ASCII"):
            read_token(file)
    file.write_text("0123456789abcdef\n")
    assert read_token(file) == "0123456789abcdef"
