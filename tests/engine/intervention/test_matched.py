"""The null of every test of edits writes as much as the edits, whatever is active."""

from pathlib import Path
from random import Random

import pytest

from ingest.engine.errors import SettingError
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.matched import MatchedFeatures
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.effects import activations
from tests.support.engine import Tiny, save
from tests.support.matched import assert_writes_as_much


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    folder: Path = tmp_path_factory.mktemp("tiny")
    return ReplacementModel.load(*save(Tiny(context=32), folder))


def test_random_features_write_as_much_as_the_edits(model: ReplacementModel) -> None:
    dense = activations(model, model.encode("w3 w1 w4"))
    random = Random(5)
    n_positions, n_layers, n_features = dense.shape
    matched = MatchedFeatures(model)
    for _ in range(20):
        places = {
            (random.randrange(n_layers), random.randrange(1, n_positions), random.randrange(n_features))
            for _ in range(8)
        }
        edits = [Edit(*place, random.choice([0.0, 1.5])) for place in sorted(places)]
        assert_writes_as_much(model, edits, matched.draw(edits, dense, random), dense)


def test_the_last_feature_that_is_not_edited_changes_for_all_that_are(model: ReplacementModel) -> None:
    dense = activations(model, model.encode("w3 w1 w4"))
    n_features = dense.shape[2]
    edits = [Edit(0, 1, feature, 3.0) for feature in range(n_features - 1)]
    (found,) = MatchedFeatures(model).draw(edits, dense, Random(0))
    decoder = model.transcoders.layers[0].decoder
    wrote = sum(
        (edit.value - float(dense[1, 0, edit.feature])) * float(decoder[edit.feature].norm())
        for edit in edits
    )
    assert (found.layer, found.position, found.feature) == (0, 1, n_features - 1)
    change = (found.value - float(dense[1, 0, found.feature])) * float(decoder[found.feature].norm())
    assert change == pytest.approx(wrote, rel=1e-5)


def test_a_draw_ends_when_every_feature_is_edited(model: ReplacementModel) -> None:
    dense = activations(model, model.encode("w3 w1 w4"))
    dense[1, 0] = 1.0
    n_features = dense.shape[2]
    edits = [Edit(0, 1, feature, 0.0) for feature in range(n_features)]
    matched = MatchedFeatures(model)
    assert matched.draw(edits[:1], dense, Random(0))
    with pytest.raises(SettingError, match="All features of layer 0 are edited at position 1"):
        matched.draw(edits, dense, Random(0))
