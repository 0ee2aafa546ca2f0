"""Reading a transcoder set in any known format, which is recognised from the files.

1. Find the folder: a local folder, or a reference to the hub (`hub`), which is downloaded or in the cache.
2. List the files of each layer, from config.yaml or by their names.
3. Recognise each file's format by the names of its tensors, and read the file with the reader of this format.

    tensors                       format
    W_enc_0, W_dec_0              circuit-tracer, cross-layer        (config.yaml needed)
    W_enc, W_dec in safetensors   circuit-tracer, per layer          (config.yaml needed)
    W_enc, W_dec in npz           Gemma Scope 1
    w_enc, w_dec                  Gemma Scope 2, per layer or cross-layer
    encoder.weight                sparsify

Two formats are recognised from other files: SAELens by sae_weights.safetensors, whose cfg.json names the
layer, and crosslayer-coding by a cfg.json with num_layers and num_features.
"""

import re
from dataclasses import replace
from pathlib import Path

import torch

from ingest.engine.errors import FormatError
from ingest.engine.plain_files import not_plain
from ingest.engine.transcoders.formats import (
    circuit_tracer,
    crosslayer_coding,
    gemma_scope,
    sae_lens,
    sparsify,
)
from ingest.engine.transcoders.formats.hub import SCHEME, Hub, HubReference, is_reference
from ingest.engine.transcoders.formats.tensors import File, open_file
from ingest.engine.transcoders.transcoder import Transcoder, TranscoderSet

WANTED = ("*.safetensors", "*.npz", "*cfg.json", "*norm_stats.json", "config.yaml")
"""Name patterns of the files that a reader may need."""

CROSS_FILE = re.compile(r"W_(?:enc|dec)_(\d+)\.safetensors")
LAYER_FILE = re.compile(r"(?:^|.*[/_])(?:layer_|layers\.(?=\d+\.mlp/))(\d+)(?:[/_.].*)?\.(?:safetensors|npz)")
"""Paths that contain a layer's number: layer_3.safetensors, layers.3.mlp/sae.safetensors,
layer_3/…/params.npz, …"""

KNOWN = (
    "circuit-tracer (layer_0.safetensors, or W_enc_0.safetensors with W_dec_0.safetensors), GemmaScope "
    "(layer_0/…/params.npz or .safetensors), sparsify (layers.0.mlp/sae.safetensors), SAELens "
    "(sae_weights.safetensors with cfg.json) or crosslayer-coding (cfg.json with one .safetensors)"
)


def read(
    place: Path | str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    hub: Hub | None = None,
) -> TranscoderSet:
    """Read a transcoder set from a folder or from `hf://org/name[/folder][@revision]`.

    Raises FormatError when the set cannot be found or is in no known format, or when a file is missing,
    damaged, or contains tensors that do not fit together.
    """
    hub = hub or Hub()
    # 1
    if is_reference(place):
        reference = HubReference.parse(str(place))
        folder, name = _fetch(hub, reference), str(reference).removeprefix(SCHEME)
    else:
        folder = Path(place)
        name = folder.resolve().name
        if not folder.is_dir():
            raise FormatError(f"There is no transcoder folder {folder}", next_step="check the path")
    strange = not_plain(path for pattern in WANTED for path in folder.rglob(pattern))
    if strange is not None:
        raise FormatError(f"{strange} is no plain file", next_step="remove it, or download the set again")
    # 2
    config_file = folder / "config.yaml"
    said = circuit_tracer.config(config_file) if config_file.exists() else None
    if cross := _numbered(folder, CROSS_FILE):
        found = _cross_layer(folder, 1 + max(cross), device, dtype)
    elif said is not None and said.transcoders:
        found = _layers([_listed(hub, folder, item) for item in said.transcoders], said, device, dtype)
    elif crosslayer_coding.is_config(folder):
        found = crosslayer_coding.read(folder, device=device, dtype=dtype)
    elif saved := sorted(folder.rglob(sae_lens.WEIGHTS)):
        found = _sae_lens(folder, saved, device, dtype)
    else:
        found = _layers(_named(folder), said, device, dtype)
    named = replace(found, name=name)
    if said is not None:
        named = replace(
            named,
            files=(config_file, *named.files),
            name=said.name or name,
            model_name=said.model_name or named.model_name,
            read_at=said.read_at or named.read_at,
            write_at=said.write_at or named.write_at,
        )
    if len({(layer.threshold is None, layer.k is None) for layer in named.layers}) > 1:
        raise FormatError(
            f"{place} has thresholds for some layers and not for others",
            next_step="save all layers with the same activation function",
        )
    if len(widths := {layer.encoder.shape[1] for layer in named.layers}) > 1:
        raise FormatError(
            f"{place} has layers for models of width {' and '.join(map(str, sorted(widths)))}",
            next_step="keep the layers of one model in a folder",
        )
    return named


def _fetch(hub: Hub, reference: HubReference) -> Path:
    """The local folder of a reference. Files that config.yaml lists are fetched later, one by one."""
    folder = hub.fetch(reference, ["config.yaml"])
    config_file = folder / "config.yaml"
    if config_file.exists() and circuit_tracer.config(config_file).transcoders:
        return folder
    return hub.fetch(reference, WANTED)


def _listed(hub: Hub, folder: Path, item: str) -> Path:
    return hub.fetch(HubReference.parse(item), []) if is_reference(item) else folder / item


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, list[Path]]:
    """The files of a folder whose paths match a pattern, by the layer number in the path."""
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if match := pattern.fullmatch(path.relative_to(folder).as_posix()):
            found.setdefault(int(match[1]), []).append(path)
    return found


def _named(folder: Path) -> list[Path]:
    """The file of each layer, found by name. Raises FormatError unless each layer has exactly one."""
    found = _numbered(folder, LAYER_FILE)
    if not found:
        raise FormatError(
            f"{folder} holds no transcoders in a known format", next_step=f"give a folder of {KNOWN}"
        )
    for number in range(1 + max(found)):
        if number not in found:
            raise FormatError(
                f"{folder} has no file of layer {number}, although it has one of layer {max(found)}",
                next_step="copy the missing file, or download the set again",
            )
        if len(found[number]) > 1:
            first, second = (path.relative_to(folder) for path in found[number][:2])
            raise FormatError(
                f"{folder} has more than one file of layer {number}: {first} and {second}",
                next_step="list one file per layer under `transcoders:` in a config.yaml",
            )
    return [found[number][0] for number in range(len(found))]


def _cross_layer(
    folder: Path, n_layers: int, device: torch.device | str, dtype: torch.dtype
) -> TranscoderSet:
    said = circuit_tracer.config(folder / "config.yaml")
    layers, files = [], []
    for number in range(n_layers):
        reading, writing = (folder / f"W_{part}_{number}.safetensors" for part in ("enc", "dec"))
        layers.append(
            circuit_tracer.cross_layer(reading, writing, number, n_layers, device=device, dtype=dtype)
        )
        files += [reading, writing]
    return TranscoderSet(tuple(layers), "", **circuit_tracer.hooks(said), files=tuple(files))


def _layers(
    paths: list[Path],
    said: circuit_tracer.Config | None,
    device: torch.device | str,
    dtype: torch.dtype,
) -> TranscoderSet:
    # 3
    layers, hooks, files = [], {"read_at": "", "write_at": ""}, []
    for number, path in enumerate(paths):
        file = open_file(path)
        transcoder, hooks = _layer(file, number, len(paths), said, device, dtype)
        layers.append(transcoder)
        files.append(path)
        if "encoder.weight" in file.tensors:
            files.append(path.with_name("cfg.json"))
    return TranscoderSet(tuple(layers), "", **hooks, files=tuple(files))


def _sae_lens(
    folder: Path, saved: list[Path], device: torch.device | str, dtype: torch.dtype
) -> TranscoderSet:
    layers: dict[int, sae_lens.SavedLayer] = {}
    for path in saved:
        found = sae_lens.layer(path, device=device, dtype=dtype)
        if found.number in layers:
            first, second = (one.files[1].relative_to(folder) for one in (layers[found.number], found))
            raise FormatError(
                f"{folder} has more than one file of layer {found.number}: {first} and {second}",
                next_step="keep one folder for each layer",
            )
        layers[found.number] = found
    for number in range(1 + max(layers)):
        if number not in layers:
            raise FormatError(
                f"{folder} has no file of layer {number}, although it has one of layer {max(layers)}",
                next_step="copy the missing folder, or download the set again",
            )
    ordered = [layers[number] for number in range(len(layers))]
    for one in ordered:
        if one.hooks != ordered[0].hooks:
            raise FormatError(
                f"{one.files[0]} reads and writes at other places than layer 0",
                next_step="keep the layers of one set in a folder",
            )
    return TranscoderSet(
        tuple(one.transcoder for one in ordered),
        "",
        **ordered[0].hooks,
        files=tuple(path for one in ordered for path in one.files),
    )


def _layer(
    file: File,
    number: int,
    n_layers: int,
    said: circuit_tracer.Config | None,
    device: torch.device | str,
    dtype: torch.dtype,
) -> tuple[Transcoder, dict[str, str]]:
    """One layer, and the hooks at which features of its format read and write."""
    names = file.tensors.keys()
    if "encoder.weight" in names:
        hooks = {"read_at": sparsify.READ_AT, "write_at": sparsify.WRITE_AT}
        return sparsify.layer(file, device=device, dtype=dtype), hooks
    if "w_enc" in names or file.path.suffix == ".npz":
        version = 2 if "w_enc" in names else 1
        hooks = {"read_at": gemma_scope.READ_AT[version], "write_at": gemma_scope.WRITE_AT}
        return gemma_scope.layer(file, number, n_layers, device=device, dtype=dtype), hooks
    if "W_enc" in names:
        said = said or circuit_tracer.config(file.path.parent / "config.yaml")
        return circuit_tracer.single(file, said, device=device, dtype=dtype), dict(circuit_tracer.hooks(said))
    raise FormatError(
        f"{file.path} is in no known format: its tensors are {', '.join(sorted(names)) or 'none'}",
        next_step=f"use {KNOWN}",
    )
