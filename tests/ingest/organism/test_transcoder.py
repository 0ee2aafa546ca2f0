"""The transcoders of the bundled model are trained by the general trainer."""

from pathlib import Path

import torch

from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.formats import recognise
from ingest.engine.transcoders.save import save
from ingest.organism.transcoder import train_transcoder
from tests.support.organism import model


def test_a_training_gives_a_set_that_fits_and_another_can_start_from_it(tmp_path: Path) -> None:
    made = train_transcoder(model(), 16, 12, 3)
    save(made, tmp_path, dtype=torch.float32)
    found = recognise.read(tmp_path)
    assert (found.name, found.model_name, found.kind) == ("organism-clt", "circuit-atlas/organism", "clt")
    assert [tuple(layer.decoder.shape) for layer in found.layers] == [(16, 6 - i, 128) for i in range(6)]
    ReplacementModel.build(model(), None, found)
    following = train_transcoder(model(), 16, 12, 1, start=found)
    cosine = torch.nn.functional.cosine_similarity(following.layers[2].encoder, found.layers[2].encoder)
    assert cosine.min() > 0.9
