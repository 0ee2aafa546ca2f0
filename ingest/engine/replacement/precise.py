"""Forward passes of a float64 model in float64 throughout.

The modules of transformers take norms, softmax and rotations in float32 whatever the weights' format is. That
widens 16-bit numbers but rounds those of 64 bits, to 1e-7 of them: enough to be seen in an edge whose parts
nearly cancel.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def precise(dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Within it, what asks for float32 gets float64, if that is the model's number format."""
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
