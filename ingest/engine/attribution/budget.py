"""The memory that attribution may take besides the model, and what fits into it.

The budget counts what was recorded for each prompt, the gradients of a batch during the walk, rows, and
matrices. For a streamed graph, half of the budget is reserved for pruning, which holds the matrix of the kept
nodes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from ingest.engine.attribution.targets import PromptTargets
from ingest.engine.attribution.walk import Traced
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import ReplacementModel

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
UNITS |= {name.replace("B", "IB"): 2 ** (10 * power) for power, name in enumerate(UNITS) if power}

SMALLEST = 64
"""The smallest useful batch. With fewer targets per batch, streaming the graph (and computing rows twice) is
cheaper."""

PRUNING = 2
"""Memory of a whole matrix and of the copy that pruning makes, in units of one matrix."""


def parse_memory(text: str) -> int:
    """The number of bytes that a text such as `8GB`, `500 MB` or `1.5GiB` means.

    Raises SettingError for a text that is not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B|)", text.strip().upper())
    if found is None or found[2] not in UNITS | {"B": 1}:
        raise SettingError(
            f"The memory {text!r} is not a size", next_step="write it like 8GB, 500MB or 1.5GiB"
        )
    return int(float(found[1]) * (UNITS | {"B": 1})[found[2]])


@dataclass(frozen=True)
class Budget:
    """The memory that may be in use at one time, for one model."""

    model: ReplacementModel
    total: int
    """Bytes."""
    batch_size: int
    """The largest number of targets that walk together."""
    max_feature_nodes: int | None
    """The largest number of features per graph; None for no limit."""

    def groups(self, jobs: Sequence[PromptTargets]) -> Iterator[list[PromptTargets]]:
        """Groups of neighbouring prompts on which the model can run together."""
        group: list[PromptTargets] = []
        for job in jobs:
            longest = max(len(encoded.ids) for encoded, _ in [*group, job])
            if group and (len(group) + 1) * self._recorded(longest) > self.total // 8:
                yield group
                group = []
            group.append(job)
        if group:
            yield group

    def holds(self, traced: Sequence[Traced]) -> bool:
        """Whether the whole matrices of several prompts fit, without what a batch takes during the walk."""
        return self._held(traced) <= self.total

    def whole(self, traced: Sequence[Traced]) -> int:
        """The batch size with which the whole matrices of several prompts fit; 0 when they do not fit."""
        most = min(self.batch_size, sum(len(one.starts.layer) for one in traced))
        found = min(most, (self.total - self._held(traced)) // max(self._walk(one) for one in traced))
        return found if found >= min(most, SMALLEST) else 0

    def streaming(self, traced: Traced) -> tuple[int, int]:
        """The batch size for one streamed prompt, and the bytes that its kept rows may take.

        Raises SettingError when the budget does not hold one gradient.
        """
        half, needed = self.total // 2, trace_bytes(traced)
        one = self._walk(traced)
        if needed + one > half:
            raise SettingError(
                f"The memory of {self.total / 1e6:.0f} MB does not hold a prompt of this size (tokens: "
                f"{len(traced.frozen.ids)}, active features: {len(traced.active.activation)})",
                next_step=f"give at least {2 * (needed + one) / 1e6 + 1:.0f}MB",
            )
        batch_size = max(1, min(self.batch_size, (half - needed) // 2 // one))
        return batch_size, half - needed - batch_size * one

    def _held(self, traced: Sequence[Traced]) -> int:
        """Bytes of what several prompts hold from their forward pass to their matrix."""
        return sum(trace_bytes(one) + self._matrix(one) for one in traced)

    def _recorded(self, n_positions: int) -> int:
        """Bytes of one prompt's forward pass, counted twice: as recorded, and as laid out by layer."""
        model = self.model
        n_heads = model.anatomy.layers[0].attention.output.shape[0]
        by_layer = n_positions * (6 * model.d_model + n_heads * n_positions)
        return 2 * _summed(model) * (model.n_layers * by_layer + model.vocab_size)

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
        """Bytes that one target takes during the walk: gradient, stream, values of heads, scores, and row."""
        n_heads, _, d_head = self.model.anatomy.layers[0].attention.output.shape
        by_position = 4 * self.model.d_model + 3 * n_heads * d_head + 2 * traced.sources.n_slots
        return _summed(self.model) * (len(traced.frozen.ids) * by_position + 3 * traced.n_inputs)


def trace_bytes(traced: Traced) -> int:
    """Bytes of everything that was recorded and computed for one prompt before the walk."""
    values = [*vars(traced.frozen).values(), *traced.active, *traced.starts, *traced.sources]
    values += traced.sources.written
    return sum(value.nbytes for value in values if isinstance(value, Tensor))


def _summed(model: ReplacementModel) -> int:
    """Bytes of one number in the format in which sums are taken."""
    return max(4, model.dtype.itemsize)
