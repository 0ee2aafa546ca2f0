"""Supernodes over a whole atlas."""

import numpy as np
import pytest
from rich.console import Console
from sklearn.cluster import KMeans

from ingest.annotations.labels import CorpusSettings, run_pass
from ingest.annotations.supernode_scores import ami, group_scores, purity
from ingest.annotations.supernodes import highest, keys_of, roles, write_supernodes
from ingest.circuits.run import IngestSettings, ingest
from ingest.labels.roles import group, profiles, unit
from ingest.labels.truth import best_tags
from schema.annotations.roles import MOST, FeatureNode, group_nodes
from schema.database import Database
from schema.errors import InputError
from tests.support.engine import Tiny, save

QUIET = Console(quiet=True)


def test_features_that_fire_together_are_one_group():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(5), 8)
    base = rng.random((5, 600)) < 0.1
    highest = (base[truth] * (0.5 + rng.random((40, 600)))).astype(np.float32)
    points = profiles(lambda texts: highest[:, texts], 600)
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.ones(40), abs=1e-5)
    found = group(points, 5)
    assert ((found[:, None] == found[None]) == (truth[:, None] == truth[None])).all()
    assert len(set(group(points, 3).tolist())) == 3
    assert group(points[:1], 5).tolist() == [0]
    # Islands of neighbours are joined too.
    apart = np.repeat(np.eye(3, dtype=np.float32), 30, axis=0)
    assert len(set(group(apart, 2).tolist())) == 2
    # Equal ones are never parted, though more groups are allowed.
    found = group(apart, 10)
    assert ((found[:, None] == found[None]) == (apart[:, None] == apart[None]).all(-1)).all()


def test_a_projection_keeps_the_angles_of_profiles():
    rng = np.random.default_rng(0)
    highest = (rng.random((12, 9000)) * (rng.random((12, 9000)) < 0.2)).astype(np.float32)
    points = profiles(lambda texts: highest[:, texts], 9000)
    exact = unit(highest**3)
    assert points.shape == (12, 4096)
    assert np.abs(points @ points.T - exact @ exact.T).max() < 0.08


def slow_fit(row: list[float], tags: list[set[str]], tag: str) -> float:
    """The best F1 of a tag over how many of the most active texts are taken."""
    order = sorted((n for n, value in enumerate(row) if value > 0), key=lambda n: -row[n])
    has = {n for n, mine in enumerate(tags) if tag in mine}
    return max((2 * len(has & set(order[:k])) / (k + len(has)) for k in range(1, len(order) + 1)), default=0)


def test_the_tag_of_a_feature_is_the_one_that_fits_best():
    rng = np.random.default_rng(1)
    tags = [{f"a:{n % 3}", f"b:{n % 4}"} | ({"rare"} if n < 3 else set()) for n in range(24)]
    rows = rng.random((30, 24)).astype(np.float32) * (rng.random((30, 24)) < 0.4)
    rows[0], rows[1] = 0, [2.0 if "a:1" in mine else 0.1 for mine in tags]
    found = best_tags(rows, tags)
    assert found.tags == ["a:0", "a:1", "a:2", "b:0", "b:1", "b:2", "b:3"]
    for number, row in enumerate(rows.tolist()):
        fits = [slow_fit(row, tags, tag) for tag in found.tags]
        assert found.f1[number] == pytest.approx(max(fits))
        assert fits[found.best[number]] == max(fits)
    assert (found.tags[found.best[1]], found.f1[1]) == ("a:1", 1)
    with pytest.raises(ValueError, match="no tag has 4 texts"):
        best_tags(rows, [set()] * 24)


def test_agreement_of_groups():
    one = np.array([0, 0, 1, 1, 2, 2])
    assert ami(one, one[::-1]) == 1
    assert ami(one, np.zeros(6, int)) == 0
    assert purity(one, np.array([5, 5, 5, 7, 7, 7])) == pytest.approx(4 / 6)


def test_nodes_are_grouped_by_role_and_the_strongest_kept():
    nodes: list[FeatureNode] = [
        {"id": f"n{i}", "layer": 0, "index": i, "position": i % 2, "influence": float(i)} for i in range(30)
    ]
    by_role = {(0, i): f"role {i // 1:02}" for i in range(29)}
    rows, share = group_nodes("c", nodes, by_role)
    assert [row["supernode"]["label"] for row in rows] == [f"role {i:02}" for i in range(28, 8, -1)]
    assert len(rows) == MOST
    assert share == pytest.approx(sum(range(9, 29)) / sum(range(30)))
    rows, share = group_nodes("c", nodes[:4], dict.fromkeys(by_role, "all"))
    assert [(row["members"], row["supernode"]["position"]) for row in rows] == [
        (["n0", "n1", "n2", "n3"], None)
    ]
    assert share == 1


def test_supernodes_of_an_atlas_and_people_s_stay(database: Database, tmp_path):
    folders = save(Tiny(context=32), tmp_path)
    file = tmp_path / "texts.txt"
    texts = [" ".join(f"w{(a * b + c) % 11}" for c in range(3, 9)) for a in range(1, 5) for b in range(1, 5)]
    file.write_text("\n".join(dict.fromkeys(texts)), encoding="utf-8")
    ingest(database, IngestSettings(prompts=file, model=folders[0], transcoders=folders[1]), console=QUIET)
    done = run_pass(database, CorpusSettings(*folders, str(file), tmp_path), console=QUIET)
    key = next(key for key in done.found.features if key in done.found)
    (row,) = highest(done.found, [key])
    places, activation = done.found.of(key)
    for text in range(len(row)):
        mine = done.found.contexts.context[places] == text
        values = activation[mine]
        assert row[text] == (values.max() if len(values) else 0)
    database.write(
        "MATCH (c:Circuit)-[:HAS]->(n:FeatureNode) WITH c, n ORDER BY n.id LIMIT 1 "
        "CREATE (c)-[:HAS]->(s:Supernode {id: 'mine', label: 'mine', method: 'person', author: 'ada'}) "
        "CREATE (s)-[:GROUPS]->(n) "
        "MERGE (k:Concept {label: 'mine'}) CREATE (s)-[:MEANS]->(k)"
    )
    n, share = write_supernodes(database, done, console=QUIET)
    assert n > 0
    assert 0 < share <= 1.000001
    ask = (
        "MATCH (c:Circuit)-[:HAS]->(s:Supernode)-[:GROUPS]->(n) "
        "RETURN s.id AS s, s.label AS label, s.method AS method, collect(n.id) AS members ORDER BY s"
    )
    first = [{**each, "members": sorted(each["members"])} for each in database.read(ask)]
    assert write_supernodes(database, done, console=QUIET) == (n, share)
    again = [{**each, "members": sorted(each["members"])} for each in database.read(ask)]
    assert again == first
    assert [each["label"] for each in first if each["method"] == "person"] == ["mine"]
    with pytest.raises(InputError, match="does not say what its texts are about"):
        group_scores(done)
    done.tags[:] = [(f"n:{number % 3}", f"m:{number % 2}") for number in range(len(done.tags))]
    scores = group_scores(done, n_groups=4)
    assert (scores.n_features, scores.n_groups) == (len(keys_of(done)), 4)
    assert [each.n_features for each in scores.agreements] == [
        int((best_tags(highest(done.found, keys_of(done)), done.tags).f1 >= each.clear).sum())
        for each in scores.agreements
    ]
    keys, truth = keys_of(done), best_tags(highest(done.found, keys_of(done)), done.tags)
    written = [done.model.transcoders.layers[layer].decoder[index].float().sum(0) for layer, index in keys]
    points = unit(np.stack([each.numpy() for each in written]))
    decoders = KMeans(4, n_init=1, random_state=0).fit(points).labels_
    for each in scores.agreements:
        wanted = truth.f1 >= each.clear
        assert each.decoder_purity == purity(truth.best[wanted], decoders[wanted])
        assert each.decoder_ami == ami(truth.best[wanted], decoders[wanted])
    assert scores == group_scores(done, n_groups=4)
    labels = set(roles(done).values())
    assert {each["label"] for each in first if each["method"] == "roles-v2"} <= labels
