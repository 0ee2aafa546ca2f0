"""Features named in batches, against one feature at a time."""

import pytest
import torch

from ingest.engine.replacement.model import ReplacementModel
from ingest.labels import promoted as module
from ingest.labels.contexts import FeatureKey
from ingest.labels.namer import Namer
from ingest.labels.promoted import promoted, promoted_and_suppressed, written
from tests.support.engine import Tiny, save

KEYS = [(layer, index) for index in range(12) for layer in (2, 0, 1)]


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ReplacementModel:
    return ReplacementModel.load(*save(Tiny(), tmp_path_factory.mktemp("tiny")), dtype=request.param)


def slow(model: ReplacementModel, key: FeatureKey) -> list[int]:
    """All tokens by the effect of one feature, the highest first."""
    vector = model.transcoders.decoder_rows(key[0], torch.tensor([key[1]]), torch.float32)[0].sum(0)
    vector = (vector * model.anatomy.final_norm.weight).double()
    effects = [float(row.double() @ vector) for row in model.anatomy.unembedding]
    return sorted(range(len(effects)), key=lambda token: (-effects[token], token))


def test_a_batch_promotes_what_each_feature_promotes_alone(
    model: ReplacementModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BYTES", 4 * model.vocab_size * 5)
    orders = [slow(model, key) for key in KEYS]
    vectors = written(model, KEYS)
    assert promoted(model, vectors, 3).tolist() == [order[:3] for order in orders]
    changed = promoted_and_suppressed(model, vectors, 4)
    assert changed.raised.tolist() == [order[:4] for order in orders]
    assert changed.lowered.tolist() == [order[::-1][:4] for order in orders]
    assert promoted(model, vectors[:0], 3).shape == (0, 3)
    assert promoted(model, vectors, 99).tolist() == orders


def test_a_batch_names_what_each_feature_is_named_alone(model: ReplacementModel) -> None:
    prompts = [model.encode(text) for text in ("w1 w2 w3", "w3 w2", "w5 w1 w3 w8")]
    together = Namer.over(model, prompts).names(KEYS)
    assert 0 < len(together) < len(KEYS)
    one_by_one = Namer.over(model, prompts)
    assert together == {key: name for key in KEYS for name in one_by_one.names([key]).values()}
