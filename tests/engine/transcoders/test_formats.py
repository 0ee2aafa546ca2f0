"""Every on-disk format of transcoders is read and compared with answers computed from the arrays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ingest.engine.transcoders.formats import recognise
from tests.support.transcoder_files import FORMATS, D, L, Made, N, T, gemma_scope_1, write_config


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS.keys())
def test_a_format_means_what_its_arrays_say(write: Callable[[Path], Made], tmp_path: Path) -> None:
    made = write(tmp_path)
    found = recognise.read(tmp_path, dtype=torch.float64)
    assert (found.kind, found.activation, found.read_at, found.write_at) == made.facts
    assert {*found.files} == {path for path in tmp_path.rglob("*") if path.is_file()}
    read = np.random.default_rng(9).normal(size=(L, T, D))
    active = found.encode(torch.from_numpy(read), n_left_out=0)
    expected = [made.activations(i, read[i]) for i in range(L)]
    dense = torch.zeros(L, T, N, dtype=torch.float64)
    dense[tuple(active.where.T)] = active.activation
    assert len(active.activation) == sum(np.count_nonzero(a) for a in expected) > 0
    torch.testing.assert_close(dense, torch.from_numpy(np.stack(expected)), rtol=1e-12, atol=1e-12)
    for i, (rows, vectors) in enumerate(found.writes(active)):
        output = found.layers[i].base(torch.from_numpy(read[i])).expand(T, D)
        output = output.index_add(0, active.where[rows, 1], vectors)
        wanted = torch.from_numpy(made.outputs(i, expected, read[i]))
        torch.testing.assert_close(output, wanted, rtol=1e-12, atol=1e-12)


def test_a_list_of_files_orders_the_layers_and_names_the_hooks(tmp_path: Path) -> None:
    made = gemma_scope_1(tmp_path)
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.npz"))
    hooks = {"feature_input_hook": "ln2.hook_normalized", "feature_output_hook": "hook_mlp_out"}
    write_config(tmp_path, model_kind="transcoder_set", transcoders=files[::-1], model_name="g", **hooks)
    found = recognise.read(tmp_path, dtype=torch.float64)
    read = np.random.default_rng(9).normal(size=(T, D))
    for i in range(L):
        wanted = torch.from_numpy(made.activations(L - 1 - i, read))
        torch.testing.assert_close(found.layers[i].activate(torch.from_numpy(read)), wanted)
    assert (found.read_at, found.model_name) == ("ln2.hook_normalized", "g")
