"""The null of every test of edits: random features that write as much, at the same layers and positions.

Each edit changes the activation of a feature by some amount. In its place, a random feature of the same layer
and position that is not edited, active or not, changes so that it writes to the residual stream a vector of
the same length with the same sign: change · |decoder of the edited one| / |decoder of the random one|.
"""

from collections.abc import Sequence, Set
from random import Random

import torch
from torch import Tensor

from ingest.engine.errors import SettingError
from ingest.engine.intervention.edits import Edit
from ingest.engine.replacement.model import ReplacementModel

TRIES = 200
"""Random draws before the features that are left are listed."""


class MatchedFeatures:
    """Draws random edits of one model; it remembers the lengths of decoder vectors."""

    def __init__(self, model: ReplacementModel) -> None:
        self._model = model
        self._lengths: dict[tuple[int, int], float] = {}

    def draw(self, edits: Sequence[Edit], dense: Tensor, random: Random) -> list[Edit]:
        """As many edits of random features that are not edited.

        edits: new activations, each of one feature at one position. dense: (n_positions, n_layers,
        n_features) activations of the prompt without edits. A feature is drawn twice, and changes by both
        amounts, only where more than half of a layer's features are edited. Raises SettingError when all
        features of a layer are edited at a position.
        """
        edited = {(edit.layer, edit.position, edit.feature) for edit in edits}
        drawn: dict[tuple[int, int, int], float] = {}
        for edit in edits:
            assert isinstance(edit.position, int)
            here = dense[edit.position, edit.layer]
            other = self._other(edit, len(here), edited, drawn.keys(), random)
            change = edit.value - float(here[edit.feature])
            size = self._length(edit.layer, edit.feature) / (self._length(edit.layer, other) or 1.0)
            at = edit.layer, edit.position, other
            drawn[at] = drawn.get(at, float(here[other])) + change * size
        return [Edit(*at, value) for at, value in drawn.items()]

    def _other(
        self, edit: Edit, n_features: int, edited: Set[object], drawn: Set[object], random: Random
    ) -> int:
        # A feature whose decoder vector is 0 cannot write as much. It is drawn only when no other is left.
        for _ in range(TRIES):
            other = random.randrange(n_features)
            at = edit.layer, edit.position, other
            if at not in edited and at not in drawn and self._length(edit.layer, other) > 0:
                return other
        left = [n for n in range(n_features) if (edit.layer, edit.position, n) not in edited]
        free = [n for n in left if (edit.layer, edit.position, n) not in drawn] or left
        if not free:
            raise SettingError(
                f"All features of layer {edit.layer} are edited at position {edit.position}, so there is no "
                "random feature to compare with",
                next_step="edit fewer features",
            )
        return random.choice(free)

    def _length(self, layer: int, index: int) -> float:
        if (layer, index) not in self._lengths:
            rows = self._model.transcoders.decoder_rows(layer, torch.tensor([index]), torch.float32)
            self._lengths[layer, index] = float(rows.norm())
        return self._lengths[layer, index]
