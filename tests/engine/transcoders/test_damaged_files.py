"""Damaged and unknown transcoder files raise an error that names the file and the reason."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from ingest.engine.errors import FormatError
from ingest.engine.transcoders.formats import recognise
from tests.support.transcoder_files import (
    FORMATS,
    D,
    L,
    N,
    change,
    change_json,
    drop,
    raw,
    tracer_plt,
    write_config,
)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def device(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


BAD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a missing layer": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/sae.safetensors").unlink(),
        "has no file of layer 1, although it has one of layer 2",
    ),
    "no cfg.json": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").unlink(),
        "layers.1.mlp has no cfg.json",
    ),
    "an autoencoder": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text('{"k": 3, "transcode": false}'),
        "layers.1.mlp/cfg.json says transcode: false",
    ),
    "too large a k": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text('{"k": 11, "transcode": true}'),
        "layers.1.mlp/cfg.json says k: 11",
    ),
    "another activation": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text(
            '{"k": 2, "transcode": true, "activation": "groupmax"}'
        ),
        "layers.1.mlp/cfg.json says activation: groupmax",
    ),
    "a pipe": (
        "sparsify",
        lambda folder: pipe(folder / "layers.1.mlp/cfg.json"),
        "layers.1.mlp/cfg.json is no plain file",
    ),
    "a device": (
        "sparsify",
        lambda folder: device(folder / "layers.2.mlp/cfg.json"),
        "layers.2.mlp/cfg.json is no plain file",
    ),
    "not JSON": (
        "sparsify",
        lambda folder: (folder / "layers.1.mlp/cfg.json").write_text("{"),
        "layers.1.mlp/cfg.json cannot be read as JSON",
    ),
    "a missing tensor": (
        "sparsify",
        lambda folder: drop(folder / "layers.2.mlp/sae.safetensors", "b_dec"),
        "layers.2.mlp/sae.safetensors has no tensor b_dec",
    ),
    "a wrong shape": (
        "circuit-tracer by layer, ReLU",
        lambda folder: change(folder / "layer_1.safetensors", "W_dec", np.zeros((4, 6), np.float32)),
        "layer_1.safetensors: W_dec is 4 × 6 where 10 × 6 is expected",
    ),
    "a number that is none": (
        "circuit-tracer by layer, ReLU",
        lambda folder: change(folder / "layer_1.safetensors", "b_enc", np.full(N, np.nan, np.float32)),
        "layer_1.safetensors: b_enc holds numbers that are not finite",
    ),
    "no configuration": (
        "circuit-tracer by layer, ReLU",
        lambda folder: (folder / "config.yaml").unlink(),
        " has no config.yaml",
    ),
    "topk without k": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", activation="topk"),
        "config.yaml says activation: topk and k: None",
    ),
    "a k above the width": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", activation="topk", k=11),
        "config.yaml says k: 11, but ",
    ),
    "no list": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", transcoders="all"),
        "config.yaml: transcoders is not a list of files",
    ),
    "a listed file that is not there": (
        "circuit-tracer by layer, ReLU",
        lambda folder: write_config(folder, model_kind="transcoder_set", transcoders=["x.safetensors"]),
        " has no x.safetensors",
    ),
    "two files of a layer": (
        "GemmaScope 1",
        lambda folder: (folder / "layer_1/other.npz").write_bytes(b""),
        "has more than one file of layer 1: layer_1/other.npz and layer_1/width_16k/average_l0_8/params.npz",
    ),
    "a pickle": (
        "GemmaScope 1",
        lambda folder: np.savez(
            next(folder.glob("layer_1/*/*/params.npz")), W_enc=np.array([print], dtype=object)
        ),
        "params.npz is damaged: W_enc holds Python objects, which are never read",
    ),
    "a cut file": (
        "GemmaScope 1",
        lambda folder: next(folder.glob("layer_1/*/*/params.npz")).write_bytes(b"PK\3\4"),
        "params.npz is damaged: File is not a zip file",
    ),
    "a decoder for more layers": (
        "GemmaScope 2 cross-layer, skip",
        lambda folder: change(
            folder / "params_layer_1.safetensors", "w_dec", np.zeros((N, L + 1, D), np.float32)
        ),
        "params_layer_1.safetensors: w_dec is 10 × 4 × 6 where 10 × 3 × 6 is expected",
    ),
    "an autoencoder of SAELens": (
        "SAELens",
        lambda folder: (folder / "set-3/cfg.json").write_text('{"architecture": "standard"}'),
        "set-3/cfg.json says architecture: standard, which cannot replace an MLP",
    ),
    "inputs of SAELens that are normalised": (
        "SAELens",
        lambda folder: change_json(folder / "set-2/cfg.json", normalize_activations="layer_norm"),
        "set-2/cfg.json says normalize_activations: layer_norm, which is not supported",
    ),
    "an unknown place of SAELens": (
        "SAELens",
        lambda folder: change_json(folder / "set-1/cfg.json", hook_name="blocks.2.hook_z"),
        "set-1/cfg.json says hook_name: blocks.2.hook_z",
    ),
    "one layer of SAELens twice": (
        "SAELens",
        lambda folder: (folder / "set-1/cfg.json").write_bytes((folder / "set-2/cfg.json").read_bytes()),
        "more than one file of layer 1: set-1/sae_weights.safetensors and set-2/sae_weights.safetensors",
    ),
    "a missing layer of SAELens": (
        "SAELens",
        lambda folder: (folder / "set-2/sae_weights.safetensors").unlink(),
        "has no file of layer 1, although it has one of layer 2",
    ),
    "a batch-wise activation of crosslayer-coding": (
        "crosslayer-coding",
        lambda folder: change_json(folder / "cfg.json", activation_fn="batchtopk"),
        "cfg.json says activation_fn: batchtopk, which depends on the other tokens of a batch",
    ),
    "skip connections of crosslayer-coding": (
        "crosslayer-coding",
        lambda folder: change_json(folder / "cfg.json", skip_connection=True),
        "cfg.json says skip_connection: true, a skip connection from every earlier layer",
    ),
    "no statistics of crosslayer-coding": (
        "crosslayer-coding, normalised",
        lambda folder: (folder / "norm_stats.json").unlink(),
        " has no norm_stats.json",
    ),
    "statistics of too few layers": (
        "crosslayer-coding, normalised",
        lambda folder: change_json(folder / "norm_stats.json", **{"1": None}),
        "norm_stats.json lacks the mean and std of layer 1",
    ),
    "two files of weights": (
        "crosslayer-coding",
        lambda folder: save_file({"w": np.zeros(3)}, folder / "other.safetensors"),
        "has 2 .safetensors files beside cfg.json",
    ),
    "tensors of no format": (
        "GemmaScope 2 by layer",
        lambda folder: save_file({"w": np.zeros(3)}, folder / "layer_1_width_16k/params.safetensors"),
        "params.safetensors is in no known format: its tensors are w",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_files_say_what_is_wrong(case: tuple[str, Callable[[Path], object], str], tmp_path: Path) -> None:
    name, spoil, message = case
    FORMATS[name](tmp_path)
    spoil(tmp_path)
    with pytest.raises(FormatError) as caught:
        recognise.read(tmp_path)
    assert message in caught.value.what
    assert caught.value.next_step


def test_a_decoder_row_that_is_not_finite_is_named_when_it_is_used(tmp_path: Path) -> None:
    tracer_plt(tmp_path, "relu")
    path = tmp_path / "layer_1.safetensors"
    decoder = raw(path)["W_dec"]
    decoder[7, 2] = np.inf
    change(path, "W_dec", decoder)
    found = recognise.read(tmp_path)
    found.decoder_rows(1, torch.tensor([6, 8]), torch.float32)
    with pytest.raises(FormatError) as caught:
        found.decoder_rows(1, torch.tensor([6, 7]), torch.float32)
    assert caught.value.what == f"{path}: W_dec contains a number that is not finite, in feature 7"
