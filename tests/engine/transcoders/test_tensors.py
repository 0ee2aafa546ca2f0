"""Tensor files are mapped into memory: only the rows that are used are read."""

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from ingest.engine.errors import FormatError
from ingest.engine.transcoders.formats import circuit_tracer, tensors

# Memory.


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for the memory in use")
def test_memory_follows_the_active_features_not_the_dictionary(tmp_path: Path) -> None:
    n_features, n_layers, d_model = 4096, 1024, 64
    size = (n_features, n_layers, d_model)
    n_bytes = math.prod(size) * 4
    header = json.dumps({"W_dec_0": {"dtype": "F32", "shape": size, "data_offsets": [0, n_bytes]}}).encode()
    header += b" " * (-len(header) % 8)
    path = tmp_path / "W_dec_0.safetensors"
    with path.open("wb") as file:
        # 1 GiB of zeros, which take no room on the disk.
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + n_bytes)
    small = {"W_enc_0": (n_features, d_model), "b_enc_0": (n_features,), "b_dec_0": (d_model,)}
    save_file(
        {name: np.zeros(shape, np.float32) for name, shape in small.items()}, tmp_path / "W_enc_0.safetensors"
    )
    before = resident()
    layer = circuit_tracer.cross_layer(
        tmp_path / "W_enc_0.safetensors", path, 0, n_layers, device="cpu", dtype=torch.float32
    )
    rows = layer.decoder[torch.arange(0, n_features, 64)]
    used = resident() - before
    assert rows.shape == (64, n_layers, d_model)
    # The rows themselves are 16 MiB, twice: in the file's pages and gathered.
    assert used < 96 << 20 < n_bytes / 8


def packed(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("W_enc.npy", data)
    return path


def array_file(shape: tuple[int, ...], n_bytes: int) -> bytes:
    """An array of zeros whose header names the shape, with this many bytes."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(n_bytes)


def test_packed_arrays_are_bounded(tmp_path: Path) -> None:
    """Neither few packed bytes nor a header alone can take much memory."""
    ordinary = packed(tmp_path / "ordinary.npz", array_file((1000, 100), 400_000))
    assert tensors.open_file(ordinary).tensors["W_enc"].shape == (1000, 100)
    before = resident()
    for shape, n_bytes, says in (
        ((20 << 20,), 80 << 20, "unpacks to more than 10 times its size"),
        ((1 << 40,), 400, "has not the size that it names"),
        ((1 << 40, 0), 400, "has not the size that it names"),
        ((10,), 400, "has not the size that it names"),
    ):
        with pytest.raises(FormatError, match=says):
            tensors.open_file(packed(tmp_path / "bomb.npz", array_file(shape, n_bytes)))
    assert resident() - before < 200 << 20
