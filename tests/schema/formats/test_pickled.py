"""Pickled files are read without running them: payloads and damaged files are refused."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from schema.errors import FileError
from schema.formats.circuit_tracer_pt import read_pt
from schema.formats.pickled import PickledRecord, _Storage, _tensor, read_torch_file
from tests.support.graph_files import Graph, LogitTarget, pt_values, save_pt


def test_values_are_those_that_torch_saved(tmp_path: Path) -> None:
    tensors: Graph = {
        name: torch.arange(12).reshape(3, 4).to(kind)
        for name, kind in {
            "f32": torch.float32,
            "f64": torch.float64,
            "f16": torch.float16,
            "bf16": torch.bfloat16,
            "i64": torch.int64,
            "i32": torch.int32,
            "u8": torch.uint8,
            "bool": torch.bool,
        }.items()
    }
    tensors["turned"] = tensors["f32"].T
    tensors["slice"] = tensors["f32"][1:, ::2]
    tensors["empty"] = torch.zeros(0, 3)
    tensors["one"] = torch.tensor(2.5)
    path = tmp_path / "values.pt"
    torch.save({"tensors": tensors, "plain": [1, -(2**40), 2.5, "é", None, True, (1, 2), {"a": []}]}, path)
    found = read_torch_file(str(path))
    assert found["plain"] == [1, -(2**40), 2.5, "é", None, True, (1, 2), {"a": []}]
    assert set(found["tensors"]) == set(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found["tensors"][name], tensor.float().numpy())
        assert found["tensors"][name].shape == tuple(tensor.shape)


class Payload:
    """What an attacker would put into a file."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


@pytest.mark.parametrize("place", ["beside", "inside a list", "as the graph", "as a storage's name"])
@pytest.mark.parametrize("call", ["os.system", "eval", "exec", "open", "getattr", "torch.load"])
def test_a_payload_is_refused_and_does_not_run(tmp_path: Path, place: str, call: str) -> None:
    ran = tmp_path / "ran"
    calls: dict[str, Payload] = {
        "os.system": Payload(os.system, f"touch {ran}"),
        "eval": Payload(eval, f"open({str(ran)!r}, 'w')"),
        "exec": Payload(exec, f"open({str(ran)!r}, 'w')"),
        "open": Payload(open, str(ran), "w"),
        "getattr": Payload(getattr, os, "system"),
        "torch.load": Payload(torch.load, str(ran)),
    }
    payload = calls[call]
    if call == "getattr":
        payload = Payload(getattr, "", "format")
    values = pt_values()
    path = tmp_path / "evil.pt"
    if place == "beside":
        save_pt(path, {"first": payload, **values})
    elif place == "inside a list":
        save_pt(path, {**values, "logit_targets": [payload, LogitTarget("x", 1)]})
    elif place == "as the graph":
        save_pt(path, payload)  # type: ignore[arg-type]
    else:
        program = pickle.dumps([payload], protocol=2)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("evil/data.pkl", program)
            archive.writestr("evil/data/0", b"")
    with pytest.raises(FileError, match=r"data\.pkl: asks for the name (.|\n)*nothing was executed"):
        read_pt(str(path))
    assert not ran.exists()


def test_allowed_names_cannot_be_called_with_anything(tmp_path: Path) -> None:
    path = tmp_path / "odd.pt"
    programs = {
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NK\x00))tR.": "is damaged",
        b"\x80\x02ctorch\nFloatStorage\n)R.": "a call of torch FloatStorage",
        b"\x80\x02ccollections\nOrderedDict\n)\x81.": "an object of collections OrderedDict",
        b"\x80\x02]q\x00h\x00b.": "a change of an object that is not a record",
        b"\x80\x02(i__builtin__\nobject\n.": "the instruction INST",
        b"\x80\x02\x82\x01.": "the instruction EXT1",
        b"\x80\x02}": "is damaged",
        b"\x80\x02" + b"(" * 100 + b".": "is damaged",
    }
    for program, reason in programs.items():
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("odd/data.pkl", program)
        with pytest.raises(FileError, match=reason):
            read_torch_file(str(path))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5,), (1,)),
        (0, (4,), (2,)),
        (1, (4,), (1,)),
        (0, (10**9,), (0,)),
        (0, (2, 2**40), (0, 0)),
        (-1, (2,), (1,)),
    ],
)
def test_a_tensor_cannot_reach_beyond_its_storage(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    storage = _Storage("FloatStorage", lambda: bytes(16))
    np.testing.assert_array_equal(_tensor(storage, 0, (2, 2), (2, 1)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"larger than its storage|impossible"):
        _tensor(storage, offset, shape, strides)


def test_records_hold_what_they_were_saved_with(tmp_path: Path) -> None:
    path = tmp_path / "record.pt"
    save_pt(path, {"targets": [LogitTarget("a", 1)]})
    found = read_torch_file(str(path))["targets"][0]
    assert found == PickledRecord("circuit_tracer.attribution.targets LogitTarget", ("a", 1))
