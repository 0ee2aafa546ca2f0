"""Whether random edits write as much as the edits that they stand beside."""

from collections.abc import Sequence

import pytest
from torch import Tensor

from ingest.engine.intervention.edits import Edit
from ingest.engine.replacement.model import ReplacementModel


def assert_writes_as_much(
    model: ReplacementModel, edits: Sequence[Edit], null: Sequence[Edit], dense: Tensor
) -> None:
    """The null edits other features, at the same places, by vectors of the same length and sign.

    dense: (n_positions, n_layers, n_features) activations of the prompt without edits.
    """
    assert [(edit.layer, edit.position) for edit in edits] == [(edit.layer, edit.position) for edit in null]
    assert not {edit[:3] for edit in edits} & {edit[:3] for edit in null}
    assert len({edit[:3] for edit in null}) == len(null)
    written = [
        [
            (edit.value - float(dense[int(str(edit.position)), edit.layer, edit.feature]))
            * float(model.transcoders.layers[edit.layer].decoder[edit.feature].double().norm())
            for edit in some
        ]
        for some in (edits, null)
    ]
    assert written[1] == pytest.approx(written[0], rel=1e-3, abs=1e-5)
