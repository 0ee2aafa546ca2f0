"""Shared parts of the readers: opening a file, taking a tensor with its checks, building a transcoder.

Tensors are mapped into memory instead of being read. Only the rows of a decoder that belong to active
features are ever loaded.
"""

import math
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ingest.engine.errors import FormatError, shape
from ingest.engine.transcoders.formats.hub import FETCH, is_pointer
from ingest.engine.transcoders.transcoder import Transcoder

LOCAL_HEADER = 30
"""Bytes of a zip member's local header before its name. The header ends with the lengths of the name and of
the extra field."""


UNPACKED_LEAST = 64 << 20
"""Size in bytes to which every packed array may unpack."""
UNPACKED_RATIO = 10
"""A larger array may unpack to this many times its size. Weights hardly shrink."""


class File(NamedTuple):
    """One file and the tensors in it."""

    path: Path
    tensors: Mapping[str, Tensor]

    def take(
        self, name: str, expected: Sequence[int | None], *, rows_later: bool = False, infinite: bool = False
    ) -> Tensor:
        """One tensor of the file, after checks.

        expected: its shape, with None where any size is allowed. rows_later: whether it is a decoder, whose
        numbers are checked when they are read. infinite: whether infinite numbers are allowed, as in the
        threshold of a dead feature. Raises FormatError when the tensor is missing, has another shape, or
        contains numbers that are not floating point or not finite.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            raise FormatError(
                f"{self.path} has no tensor {name}",
                next_step="save the set again with it, or download it again",
            )
        if len(tensor.shape) != len(expected) or any(
            want is not None and size != want for size, want in zip(tensor.shape, expected, strict=True)
        ):
            wanted = " × ".join("any" if want is None else str(want) for want in expected)
            raise FormatError(
                f"{self.path}: {name} is {shape(tensor.shape)} where {wanted} is expected",
                next_step="save the set again, with all layers of one shape",
            )
        if not tensor.is_floating_point():
            raise FormatError(
                f"{self.path}: {name} holds {str(tensor.dtype).removeprefix('torch.')} where floating point "
                "numbers are expected",
                next_step="save the set again in 16 or 32 bits",
            )
        if not rows_later and bool((tensor.isnan() if infinite else ~tensor.isfinite()).any()):
            raise FormatError(
                f"{self.path}: {name} holds numbers that are not finite",
                next_step="download or save the file again; in 16 bits a number may have overflowed",
            )
        return tensor


def check_fetched(path: Path) -> None:
    """Raise FormatError for a git-lfs pointer in place of a file; OSError for a file that cannot be read."""
    if is_pointer(path):
        raise FormatError(f"{path} is a git-lfs pointer and not the file itself", next_step=FETCH)


def read_json(path: Path) -> Mapping[str, Any]:
    """The keys of a JSON file. Raises FormatError when it is missing or holds no object."""
    try:
        check_fetched(path)
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FormatError(
            f"{path.parent} has no {path.name}", next_step="copy it, or download the set again"
        ) from error
    except (OSError, orjson.JSONDecodeError) as error:
        raise FormatError(f"{path} cannot be read as JSON: {error}", next_step="download it again") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds no keys", next_step="download it again")
    return found


def open_file(path: Path) -> File:
    """Open a `.safetensors` or `.npz` file. Raises FormatError when it is missing or damaged."""
    if not path.is_file():
        raise FormatError(
            f"{path.parent} has no {path.name}", next_step="copy the missing file, or download the set again"
        )
    check_fetched(path)
    try:
        if path.suffix == ".npz":
            return File(path, _npz(path))
        with safe_open(path, framework="pt", device="cpu") as file:
            return File(path, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, zipfile.BadZipFile, EOFError, struct.error) as error:
        raise FormatError(
            f"{path} is damaged: {error}", next_step="copy or download the file again"
        ) from error


def _npz(path: Path) -> dict[str, Tensor]:
    """The arrays of an .npz file: mapped when stored uncompressed, else unpacked. Nothing is unpickled."""
    found = {}
    array: NDArray[Any]
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            with archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                size, column_major, kind = read(stream)
                header = stream.tell()
            if kind.hasobject:
                raise ValueError(f"{name} holds Python objects, which are never read")
            if header + math.prod(size) * kind.itemsize != member.file_size:
                raise ValueError(f"{name} has not the size that it names")
            if member.file_size > max(UNPACKED_LEAST, UNPACKED_RATIO * member.compress_size):
                raise ValueError(f"{name} unpacks to more than {UNPACKED_RATIO} times its size")
            if member.compress_type == zipfile.ZIP_STORED and not column_major:
                start = _start(path, member) + header
                array = np.memmap(path, kind, mode="c", offset=start, shape=size)
            else:
                with archive.open(member) as stream:
                    array = np.lib.format.read_array(stream, allow_pickle=False)
            found[name] = torch.from_numpy(np.asarray(array))
    return found


def _start(path: Path, member: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(member.header_offset + LOCAL_HEADER - 4)
        name, extra = struct.unpack("<HH", file.read(4))
    return member.header_offset + LOCAL_HEADER + int(name) + int(extra)


def place(
    *,
    encoder: Tensor,
    encoder_bias: Tensor,
    decoder: Tensor,
    decoder_bias: Tensor,
    threshold: Tensor | None = None,
    k: int | None = None,
    signed: bool = False,
    skip: Tensor | None = None,
    decoder_name: str,
    device: torch.device | str,
    dtype: torch.dtype,
) -> Transcoder:
    """A transcoder on a device.

    The decoder stays mapped in its file; its rows are moved to the device when they are used. dtype: format
    of the encoder. The other tensors are small and have at least 32 bits, the format in which sums are taken.
    """
    summed = torch.promote_types(dtype, torch.float32)

    def put(tensor: Tensor) -> Tensor:
        return tensor.to(device, summed).contiguous()

    return Transcoder(
        encoder=encoder.to(device, dtype).contiguous(),
        encoder_bias=put(encoder_bias),
        decoder=decoder,
        decoder_bias=put(decoder_bias),
        threshold=None if threshold is None else put(threshold),
        k=k,
        signed=signed,
        skip=None if skip is None else put(skip),
        decoder_name=decoder_name,
    )
