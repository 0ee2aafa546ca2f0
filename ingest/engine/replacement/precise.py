"""Forward passes of a float64 model that stay in float64 throughout.

The modules of transformers compute norms, softmax and rotations in float32, whatever the format of the
weights is. This widens 16-bit numbers but rounds 64-bit numbers, with a relative error of 1e-7. Such an error
is visible in an edge whose parts nearly cancel.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def precise(dtype: torch.dtype) -> AbstractContextManager[Any]:
    """A context in which requests for float32 give float64, if dtype, the model's format, is float64."""
    return _Double() if dtype == torch.float64 else nullcontext()


class _Double(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        given = {name: _double(value) for name, value in (kwargs or {}).items()}
        return func(*map(_double, args), **given)


def _double(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value
