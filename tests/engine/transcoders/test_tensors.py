"""Tensor files are mapped into memory: only the rows that are used are read."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from ingest.engine.transcoders.formats import circuit_tracer

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
