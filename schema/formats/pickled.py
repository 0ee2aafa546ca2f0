"""Reads a file of `torch.save` without executing anything in it.

A pickle is a program for a stack machine, and two of its instructions call functions that the file names.
This reader interprets the instructions itself. It knows a few names, for tensors and for the plain records of
circuit-tracer, and never imports or calls them: tensors become arrays, and records become `PickledRecord`.
Any other name is refused.
"""

import io
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from schema.errors import FileError
from schema.plain_file import UNPACKED_LEAST, UNPACKED_RATIO, open_plain

SIZE_LIMIT = 1 << 30
"""Largest size in bytes of the complete file, unpacked, because a small file can unpack to terabytes."""
PROGRAM_LIMIT = 64 << 20
"""Largest size in bytes of the pickle itself, which does not hold the numbers of tensors."""

STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
    "BFloat16Storage": "<u2",
}
"""Storage class of `torch` → numpy type. numpy has no bfloat16, so bfloat16 is converted to float32."""
RECORDS = {
    "circuit_tracer.attribution.targets LogitTarget",
    "circuit_tracer.utils.tl_nnsight_mapping UnifiedConfig",
    "transformer_lens.HookedTransformerConfig HookedTransformerConfig",
    "transformer_lens.config.HookedTransformerConfig HookedTransformerConfig",
    "transformer_lens.config.hooked_transformer_config HookedTransformerConfig",
}
PLAIN = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch device",
    "copyreg _reconstructor",
    "__builtin__ object",
    "builtins object",
    "torch.serialization _get_layout",
    *(f"torch {name}" for name in STORAGES),
    *(f"torch {name}" for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "bool")),
}


@dataclass
class PickledName:
    """A name in the file. It is never looked up."""

    text: str


@dataclass
class PickledRecord:
    """An object of a plain class."""

    name: str
    """Module and class."""
    arguments: tuple[Any, ...] = ()
    """Arguments of the constructor."""
    state: dict[str, Any] = field(default_factory=dict)
    """Attributes that were set afterwards."""


class _Storage:
    """The numbers of a tensor. They are read when they are needed."""

    def __init__(self, kind: str, read: Callable[[], bytes]) -> None:
        self.kind = kind
        self._read = read

    def array(self) -> np.ndarray:
        data = self._read()
        size = np.dtype(STORAGES[self.kind]).itemsize
        values = np.frombuffer(data[: len(data) // size * size], dtype=STORAGES[self.kind])
        if self.kind == "BFloat16Storage":
            return (values.astype("<u4") << 16).view("<f4")
        return values


def read_torch_file(path: str, data: bytes | None = None) -> Any:
    """The value that `torch.save` wrote: lists, dicts, numbers, texts, arrays and `PickledRecord`.

    data: content of the file, when it has been read already. Raises FileError, also for every file that holds
    other values.
    """
    try:
        with (
            open_plain(Path(path)) if data is None else io.BytesIO(data) as source,
            zipfile.ZipFile(source) as archive,
        ):
            names = archive.namelist()
            parts = archive.infolist()
            packed = sum(each.compress_size for each in parts)
            limit = min(SIZE_LIMIT, max(UNPACKED_LEAST, UNPACKED_RATIO * packed))
            if sum(each.file_size for each in parts) > limit:
                raise FileError(
                    path,
                    "the file",
                    f"unpacks to more than {limit >> 20} MB",
                    next_step="write the graph with fewer features",
                )
            program = next((name for name in names if name.endswith("/data.pkl")), None)
            if program is None:
                raise FileError(
                    path, "data.pkl", "is not in the file", next_step="is it a file of torch.save?"
                )
            root = program.removesuffix("data.pkl")
            order = root + "byteorder"
            if order in names and archive.read(order) != b"little":
                raise FileError(path, "byteorder", "is not little", next_step="save it on another machine")
            if archive.getinfo(program).file_size > PROGRAM_LIMIT:
                raise FileError(path, "data.pkl", "is too large", next_step="leave the file out")

            def storage(key: str, kind: str) -> _Storage:
                name = f"{root}data/{key}"
                if name not in names:
                    raise FileError(path, name, "is not there", next_step="save it again")
                return _Storage(kind, lambda: archive.read(name))

            return _Machine(path, storage).run(archive.read(program))
    except RecursionError as error:
        raise FileError(path, "data.pkl", "is nested too deeply", next_step="leave the file out") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        # RuntimeError: zipfile does not know the compression, or the file has a password.
        raise FileError(
            path,
            "the file",
            f"is not a file of torch.save: {error}",
            next_step="write or download it again; save files from before PyTorch 1.6 again",
        ) from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # A damaged program can cause any of these errors on the stack.
        raise FileError(
            path, "data.pkl", f"is damaged: {error}", next_step="write or download the file again"
        ) from error


class _Machine:
    """The stack machine of pickle protocols 2 to 5, without calls."""

    def __init__(self, path: str, storage: Callable[[str, str], _Storage]) -> None:
        self.path = path
        self.storage = storage
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(program)):
            if opcode.name == "STOP":
                return self.stack[-1]
            if opcode.name in _VALUES:
                if isinstance(argument, str):
                    argument.encode()  # fails for half of a surrogate pair, which only a pickle can hold
                self.stack.append(argument)
            elif opcode.name in _CONSTANTS:
                self.stack.append(_CONSTANTS[opcode.name]())
            else:
                step = getattr(self, f"_{opcode.name.lower()}", None)
                if step is None:
                    raise self._refusal(f"the instruction {opcode.name}")
                step(argument)
        raise ValueError("it has no end")

    def _refusal(self, what: str) -> FileError:
        return FileError(
            self.path,
            "data.pkl",
            f"asks for {what}, which no attribution graph needs; nothing was executed",
            next_step="do not open this file with torch.load either, because it may execute programs",
        )

    def _items(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _proto(self, version: int) -> None:
        if version > 5:
            raise ValueError(f"protocol {version}")

    def _frame(self, _: object) -> None:
        pass

    def _mark(self, _: object) -> None:
        self.marks.append(len(self.stack))

    def _pop(self, _: object) -> None:
        self.stack.pop()

    def _global(self, name: str) -> None:
        if name not in PLAIN and name not in RECORDS:
            raise self._refusal(f"the name {name.replace(' ', '.')[:120]}")
        self.stack.append(PickledName(name))

    def _stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._global(f"{module} {name}")

    def _binput(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    _long_binput = _binput

    def _memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _binget(self, place: int) -> None:
        self.stack.append(self.memo[place])

    _long_binget = _binget

    def _tuple(self, _: object) -> None:
        self.stack.append(tuple(self._items()))

    def _tuple1(self, _: object) -> None:
        self.stack[-1:] = [(self.stack[-1],)]

    def _tuple2(self, _: object) -> None:
        self.stack[-2:] = [tuple(self.stack[-2:])]

    def _tuple3(self, _: object) -> None:
        self.stack[-3:] = [tuple(self.stack[-3:])]

    def _list(self, _: object) -> None:
        self.stack.append(self._items())

    def _append(self, _: object) -> None:
        item = self.stack.pop()
        _checked(self.stack[-1], list).append(item)

    def _appends(self, _: object) -> None:
        items = self._items()
        _checked(self.stack[-1], list).extend(items)

    def _dict(self, _: object) -> None:
        items = self._items()
        self.stack.append(dict(zip(items[::2], items[1::2], strict=True)))

    def _setitem(self, _: object) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _checked(self.stack[-1], dict)[key] = value

    def _setitems(self, _: object) -> None:
        items = self._items()
        _checked(self.stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))

    def _binpersid(self, _: object) -> None:
        what, kind, key, *_rest = self.stack.pop()
        if what != "storage" or not isinstance(kind, PickledName) or not isinstance(key, str):
            raise self._refusal("an object outside the file")
        self.stack.append(self.storage(key, kind.text.removeprefix("torch ")))

    def _reduce(self, _: object) -> None:
        arguments, made = self.stack.pop(), _checked(self.stack.pop(), PickledName).text
        if made == "torch._utils _rebuild_tensor_v2":
            self.stack.append(_tensor(*arguments[:4]))
        elif made == "torch._utils _rebuild_parameter":
            self.stack.append(arguments[0])
        elif made == "collections OrderedDict":
            self.stack.append(dict(*arguments))
        elif made == "copyreg _reconstructor":
            self.stack.append(PickledRecord(_checked(arguments[0], PickledName).text))
        elif made in RECORDS or made == "torch device":
            self.stack.append(PickledRecord(made, tuple(arguments)))
        else:
            raise self._refusal(f"a call of {made}")

    def _newobj(self, _: object) -> None:
        arguments, made = self.stack.pop(), _checked(self.stack.pop(), PickledName).text
        if made not in RECORDS:
            raise self._refusal(f"an object of {made}")
        self.stack.append(PickledRecord(made, tuple(arguments)))

    def _build(self, _: object) -> None:
        state = self.stack.pop()
        if isinstance(state, tuple) and len(state) == 2:  # (state, slots)
            state = {**(state[0] or {}), **(state[1] or {})}
        target = self.stack[-1]
        if isinstance(target, PickledRecord):
            target.state.update(_checked(state, dict))
        elif not isinstance(target, dict):  # attributes of an OrderedDict are ignored
            raise self._refusal("a change of an object that is not a record")


_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "INT", "LONG", "FLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BINBYTES", "SHORT_BINBYTES"),
    *("BINSTRING", "SHORT_BINSTRING", "STRING"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"a {type(value).__name__} stands where a {kind.__name__} should")
    return value


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any) -> np.ndarray:
    """A copy of a tensor. Raises ValueError when it would be larger than its storage."""
    values = _checked(storage, _Storage).array()
    sizes, steps = tuple(map(int, shape)), tuple(map(int, strides))
    if offset < 0 or len(sizes) != len(steps) or min((*sizes, *steps), default=0) < 0:
        raise ValueError("a tensor's shape is impossible")
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    count = int(np.prod(sizes, dtype=object)) if sizes else 1
    if count and last >= len(values):
        raise ValueError("a tensor is larger than its storage")
    if count > 4 * max(len(values), 1):  # a stride of 0 can make a huge tensor of one number
        raise ValueError("a tensor is larger than its storage")
    view = np.lib.stride_tricks.as_strided(
        values[offset:], sizes, tuple(step * values.itemsize for step in steps), writeable=False
    )
    return np.array(view)
