"""How much memory attribution may take besides the model, and what fits into it.

Counted are: what prompts made of the model, the gradients of a batch on their way, rows and matrices. Half of
the budget is left to the pruning of a graph that is streamed, which holds the matrix of the kept nodes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ingest.engine.attribution.targets import Job
from ingest.engine.attribution.walk import Traced
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {name.replace("B", "IB"): 2 ** (10 * power) for power, name in enumerate(UNITS) if power}

SMALLEST = 64
"""A batch of fewer targets wastes more than a matrix that is computed twice."""

PRUNING = 2
"""A whole matrix together with what pruning makes of it, in matrices."""


def parse_memory(text: str) -> int:
    """Bytes, from a text such as `8GB`, `500 MB` or `1.5GiB`. Raises SettingError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B|)", text.strip().upper())
    if found is None or found[2] not in UNITS | {"B": 1}:
        raise SettingError(
            f"The memory {text!r} is not a size", next_step="write it like 8GB, 500MB or 1.5GiB"
        )
    return int(float(found[1]) * (UNITS | {"B": 1})[found[2]])


@dataclass(frozen=True)
class Budget:
    """What may be held at a time."""

    model: ReplacementModel
    total: int
    """Bytes."""
    batch_size: int
    """Targets that walk together at most."""
    max_feature_nodes: int | None

    def groups(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Neighbouring prompts that the model can be run on together."""
        group: list[Job] = []
        for job in jobs:
            longest = max(len(encoded.ids) for encoded, _ in [*group, job])
            if group and (len(group) + 1) * self._recorded(longest) > self.total // 8:
                yield group
                group = []
            group.append(job)
        if group:
            yield group

    def whole(self, traced: Sequence[Traced]) -> int:
        """With which batch size the whole matrices of some prompts fit in; 0: they do not."""
        held = sum(trace_bytes(one) + self._matrix(one) for one in traced)
        most = min(self.batch_size, sum(len(one.starts.layer) for one in traced))
        found = min(most, (self.total - held) // max(self._walk(one) for one in traced))
        return found if found >= min(most, SMALLEST) else 0

    def streaming(self, traced: Traced) -> tuple[int, int]:
        """The batch size for one prompt by itself, and the bytes that its kept rows may take.

        Raises SettingError when the budget holds not even one gradient.
        """
        half, needed = self.total // 2, trace_bytes(traced)
        one = self._walk(traced)
        if needed + one > half:
            raise SettingError(
                f"The memory of {self.total / 1e6:.0f} MB does not hold a prompt of {len(traced.frozen.ids)} "
                f"tokens with {len(traced.active.activation)} active features",
                next_step=f"give at least {2 * (needed + one) / 1e6 + 1:.0f}MB",
            )
        batch_size = max(1, min(self.batch_size, (half - needed) // 2 // one))
        return batch_size, half - needed - batch_size * one

    def _recorded(self, n_positions: int) -> int:
        """Bytes of one prompt's forward pass, twice: as it is seen and as it is laid out."""
        model = self.model
        n_heads = model.anatomy.layers[0].attention.output.shape[0]
        by_layer = n_positions * (6 * model.d_model + n_heads * n_positions)
        return 2 * _summed(model) * (model.n_layers * by_layer + n_positions * model.vocab_size)

    def _matrix(self, traced: Traced) -> int:
        """Bytes of one prompt's rows and matrix."""
        n_active = len(traced.active.activation)
        n_logits = len(traced.starts.layer) - n_active
        n_rest = traced.n_inputs - n_active
        numbers = PRUNING * (traced.n_inputs + n_logits) ** 2
        if self.max_feature_nodes is not None and n_active > self.max_feature_nodes:
            n_rows = self.max_feature_nodes + n_logits
            numbers = n_rows * traced.n_inputs + PRUNING * (n_rows + n_rest) ** 2
        return _summed(self.model) * numbers

    def _walk(self, traced: Traced) -> int:
        """Bytes that one target takes on its way: its gradient, what heads make of it, scores, its row."""
        n_heads, _, d_head = self.model.anatomy.layers[0].attention.output.shape
        by_position = 3 * self.model.d_model + 3 * n_heads * d_head + 2 * traced.sources.n_slots
        return _summed(self.model) * (len(traced.frozen.ids) * by_position + 3 * traced.n_inputs)


def trace_bytes(traced: Traced) -> int:
    """Bytes of what one prompt made of the model."""
    values = [*vars(traced.frozen).values(), *traced.active, *traced.starts, *traced.sources]
    values += traced.sources.written
    return sum(value.nbytes for value in values if isinstance(value, Tensor))


def _summed(model: ReplacementModel) -> int:
    """Bytes of a number that is summed."""
    return max(4, model.dtype.itemsize)
