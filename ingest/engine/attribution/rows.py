"""The rows of one prompt's targets, computed on demand and kept while there is room.

A row that is kept is computed once. A row that is not kept is computed each time it is needed, which saves
memory and costs time.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ingest.engine.attribution.walk import Traced, effects
from ingest.engine.replacement.model import ReplacementModel


class TargetRows:
    """Rows of direct effects on the targets of one prompt.

    Targets are numbered as in `Traced.starts`: first all features, then the logits.
    """

    def __init__(
        self,
        model: ReplacementModel,
        traced: Traced,
        *,
        batch_size: int,
        room: int | None = None,
        most: int | None = None,
    ) -> None:
        """Keep no rows yet.

        batch_size: targets that walk together. room: bytes that kept rows may take; None for no limit. most:
        the largest number of rows that will be needed; None when all may be.
        """
        self.model = model
        self.traced = traced
        self.batch_size = batch_size
        self.layer = traced.starts.layer.cpu()
        self.position = traced.starts.position.cpu()
        self._place = torch.full_like(self.layer, -1)
        self._n_kept = 0
        size = len(self.layer) if most is None else min(most, len(self.layer))
        if room is not None:
            size = min(size, room // self.row_bytes)
        # Memory pages that are never written take no space.
        self._kept = torch.empty(size, traced.n_inputs, dtype=traced.starts.logits.dtype)

    @property
    def row_bytes(self) -> int:
        return self.traced.n_inputs * self.traced.starts.logits.dtype.itemsize

    @property
    def n_active(self) -> int:
        return len(self.traced.active.activation)

    def missing(self, targets: Tensor) -> Tensor:
        """The targets whose rows are not kept yet, as many as there is room for."""
        return targets[self._place[targets] < 0][: len(self._kept) - self._n_kept]

    def keep(self, targets: Tensor, rows: Tensor) -> None:
        """Keep the rows of targets that were missing, as many as there is room for."""
        n = min(len(targets), len(self._kept) - self._n_kept)
        self._kept[self._n_kept : self._n_kept + n] = rows[:n]
        self._place[targets[:n]] = torch.arange(self._n_kept, self._n_kept + n)
        self._n_kept += n

    def levels(self, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Groups of targets (m,) with their rows (m, n_inputs), from the highest layer down.

        targets: (n,) int64. The targets of one group belong to one layer.
        """
        order = torch.argsort(self.position[targets], stable=True)
        order = order[torch.argsort(self.layer[targets[order]], descending=True, stable=True)]
        for part in targets[order].split(self.batch_size):
            rows = self._rows(part)
            _, sizes = torch.unique_consecutive(self.layer[part], return_counts=True)
            yield from zip(part.split(sizes.tolist()), rows.split(sizes.tolist()), strict=True)

    def _rows(self, targets: Tensor) -> Tensor:
        place = self._place[targets]
        known = place >= 0
        if bool(known.all()):
            return self._kept[place]
        rows = self._kept.new_empty(len(targets), self._kept.shape[1])
        rows[known] = self._kept[place[known]]
        absent = (~known).nonzero().flatten()
        for _, places, found in effects(self.model, [(self.traced, targets[absent])], self.batch_size):
            rows[absent[places]] = found
            self.keep(targets[absent[places]], found)
        return rows


def fill(several: Sequence[TargetRows], wanted: Sequence[Tensor]) -> None:
    """Compute rows of several prompts together and keep them, as many as each prompt has room for.

    wanted: the targets of each prompt, (n,) int64.
    """
    first = several[0]
    chosen = [one.missing(targets) for one, targets in zip(several, wanted, strict=True)]
    work = [(one.traced, targets) for one, targets in zip(several, chosen, strict=True)]
    for number, places, found in effects(first.model, work, first.batch_size):
        several[number].keep(chosen[number][places], found)
