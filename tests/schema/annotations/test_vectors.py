"""Vector search: what the database's index finds, against cosines of everything with everything."""

import numpy as np
import pytest

from ingest.annotations.labels import CorpusPass, write_vectors
from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import activity
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.annotations.labels import LabelledFeature
from schema.annotations.vectors import directions, keep_directions, keep_label_vectors, text_vectors
from schema.model.declare import VECTOR_SIZE

NEAREST = """query ($feature: ID!, $first: Int, $after: String) {
  nearestFeatures(feature: $feature, first: $first, after: $after) {
    totalCount pageInfo { endCursor } nodes { cosine feature { id } } } }"""
LABELS = """query ($text: String!, $first: Int) {
  similarLabels(text: $text, first: $first) { totalCount nodes { cosine text feature { id } } } }"""


@pytest.fixture(scope="module")
def written(connection, circuits):
    """Set → feature → what it writes, 40 numbers wide; the first of the first set writes nothing."""
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, np.ndarray]] = {}
    rows = connection.read(
        "MATCH (f:Feature)-[:IN]->(t) RETURN t.id AS set, f.id AS id, f.layer AS l, f.index AS i ORDER BY id"
    )
    for name in sorted({row["set"] for row in rows}):
        mine = [row for row in rows if row["set"] == name]
        vectors = rng.standard_normal((len(mine), 40)).astype(np.float32)
        vectors[0] = 0
        n = keep_directions(connection, name, [(row["l"], row["i"]) for row in mine], vectors)
        assert n == len(mine) - 1
        found[name] = {row["id"]: vector for row, vector in zip(mine, vectors, strict=True)}
    assert keep_label_vectors(connection) > 0
    assert keep_label_vectors(connection) == 0
    connection.read("CALL db.awaitIndexes(60)")
    yield found
    connection.write("MATCH (f:Feature) REMOVE f.direction, f.direction_of")
    connection.write("MATCH (l:Label) REMOVE l.vector")


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


async def test_nearest_features_are_those_of_all_cosines(api, written):
    for of_set in written.values():
        silent, *others = of_set
        for feature in others[::40]:
            near = [(cosine(of_set[feature], of_set[other]), other) for other in others if other != feature]
            near.sort(key=lambda each: (-each[0], each[1]))
            answer = (await api(NEAREST, feature=feature, first=12))["nearestFeatures"]
            assert answer["totalCount"] == len(near)
            assert [each["feature"]["id"] for each in answer["nodes"]] == [other for _, other in near[:12]]
            assert [each["cosine"] for each in answer["nodes"]] == pytest.approx(
                [value for value, _ in near[:12]], abs=1e-5
            )
            after = answer["pageInfo"]["endCursor"]
            more = (await api(NEAREST, feature=feature, first=5, after=after))["nearestFeatures"]["nodes"]
            assert [each["feature"]["id"] for each in more] == [other for _, other in near[12:17]]
        assert await api.error(NEAREST, feature=silent) == (
            "BAD_INPUT",
            f"The direction of the feature {silent} is not stored",
            "run `atlas label` or `atlas examples` with its model and transcoders",
        )


async def test_errors(api, written):
    assert (await api.error(NEAREST, feature="nobody"))[0] == "NOT_FOUND"
    assert (await api.error(LABELS, text="!?"))[0] == "BAD_INPUT"


async def test_similar_labels_are_those_of_all_cosines(api, written, connection):
    rows = connection.read("MATCH (l:Label)-[:LABELS]->(f) RETURN l.text AS text, f.id AS feature")
    vectors = text_vectors([row["text"] for row in rows])
    for text in ("sta", "Words of arithmetic", rows[0]["text"]):
        wanted = vectors @ text_vectors([text])[0]
        answer = (await api(LABELS, text=text, first=10))["similarLabels"]
        assert answer["totalCount"] == len(rows)
        found = [(each["text"], each["feature"]["id"]) for each in answer["nodes"]]
        value = {(row["text"], row["feature"]): float(each) for row, each in zip(rows, wanted, strict=True)}
        # Features share texts: which of equally near ones are found is open, how near they are is not.
        assert [value[each] for each in found] == pytest.approx(sorted(wanted, reverse=True)[:10], abs=1e-5)
        assert [each["cosine"] for each in answer["nodes"]] == pytest.approx(
            [value[each] for each in found], abs=1e-5
        )
        assert len(set(found)) == 10


def test_projected_cosines_are_near_the_true_ones():
    rng = np.random.default_rng(1)
    base = rng.standard_normal((1, 3000)).astype(np.float32)
    wide = base + rng.uniform(0, 3, (60, 1)).astype(np.float32) * rng.standard_normal((60, 3000)).astype("f4")
    projected = directions(wide)
    assert projected.shape == (60, VECTOR_SIZE)
    off = [
        projected[i] @ projected[j] - cosine(wide[i], wide[j]) for i in range(60) for j in range(60) if i != j
    ]
    assert np.std(off) < 1 / np.sqrt(VECTOR_SIZE)
    assert max(map(abs, off)) < 5 / np.sqrt(VECTOR_SIZE)


def test_narrow_ones_are_exact():
    rows = np.random.default_rng(2).standard_normal((5, VECTOR_SIZE)).astype(np.float32)
    for i, j in np.ndindex(5, 5):
        assert directions(rows)[i] @ directions(rows)[j] == pytest.approx(cosine(rows[i], rows[j]), abs=1e-5)


def test_alike_spellings_are_near():
    same, like, other = text_vectors(["Capital cities", "capital of the city", "sums of two numbers"])
    assert cosine(same, like) > 0.4 > abs(cosine(same, other))


def test_a_direction_is_what_the_decoder_writes(connection, circuits):
    """Of the bundled transcoders: layers summed, by a loop."""
    model = ReplacementModel.load(MODEL_DIR, TRANSCODERS_DIR)
    set_id = "some@set"
    keys = [(0, 3), (0, 9), (2, 5)]
    connection.write(
        "UNWIND $keys AS key CREATE (:Feature {id: $set + '/' + key[0] + '/' + key[1], layer: key[0]})",
        {"set": set_id, "keys": [list(key) for key in keys]},
    )
    features = [LabelledFeature(*key, 1.0) for key in keys]
    assert write_vectors(connection, CorpusPass(model, set_id, features, activity(model, []), [], [])) == 3
    for layer, index in keys:
        summed = sum(row.float() for row in model.transcoders.layers[layer].decoder[index]).numpy()
        key = {"id": f"{set_id}/{layer}/{index}"}
        (row,) = connection.read(
            "MATCH (f:Feature {id: $id}) RETURN f.direction AS v, f.direction_of AS o", key
        )
        assert row["o"] == set_id
        assert cosine(np.array(row["v"])[: len(summed)], summed) == pytest.approx(1.0)
    connection.write("MATCH (f:Feature) WHERE f.direction_of = $set DETACH DELETE f", {"set": set_id})
    connection.write("MATCH (l:Label) REMOVE l.vector")
