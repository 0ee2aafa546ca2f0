"""A cross-layer transcoder, its files, and the model with its MLPs replaced by the transcoder.

Features of layer i read the input of the MLP of layer i (after its norm). They write to the MLP outputs of
layers i…L-1:
    a_i = jump(x_i · W_enc_iᵀ + b_enc_i),   jump(z) = z where z > threshold_i, else 0
    ŷ_j = b_dec_j + Σ_{i≤j} a_i · W_dec_i[:, j-i]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM

CONFIG = {
    "model_name": "circuit-atlas/organism",
    "model_kind": "cross_layer_transcoder",
    "feature_input_hook": "mlp.hook_in",
    "feature_output_hook": "mlp.hook_out",
    "scan": "organism-clt",
}


@dataclass(frozen=True)
class CrossLayerTranscoder:
    """Weights in float32, with one list entry for each layer.

    Inputs and outputs are raw model activations.
    """

    w_enc: list[Tensor]
    """float32 (feature, d_model) encoder"""
    b_enc: list[Tensor]
    """float32 (feature,) encoder bias"""
    threshold: list[Tensor]
    """float32 (feature,) JumpReLU threshold: pre-activations above it pass"""
    w_dec: list[Tensor]
    """float32 (feature, n_layers - layer, d_model) decoder vectors for the feature's own and each later
    layer"""
    b_dec: list[Tensor]
    """float32 (d_model,) decoder bias of the layer"""

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return len(self.w_enc)

    @property
    def width(self) -> int:
        """Features of one layer, including dead features."""
        return len(self.w_enc[0])

    def encode(self, layer: int, x: Tensor) -> Tensor:
        """(…, feature) activations of a layer. x: (…, d_model) input of its MLP."""
        z = x @ self.w_enc[layer].T + self.b_enc[layer]
        return z * (z > self.threshold[layer])

    def decode(self, layer: int, activations: list[Tensor]) -> Tensor:
        """(…, d_model) MLP output of a layer.

        activations: those of layers 0 to `layer`, each (…, feature).
        """
        written = (a @ self.w_dec[i][:, layer - i] for i, a in enumerate(activations[: layer + 1]))
        return torch.stack(list(written)).sum(0) + self.b_dec[layer]

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the transcoder in the layout that circuit-tracer reads.

        The folder gets two safetensors files for each layer, and `config.yaml`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(self.n_layers):
            reading = {
                f"W_enc_{i}": self.w_enc[i],
                f"b_enc_{i}": self.b_enc[i],
                f"b_dec_{i}": self.b_dec[i],
                f"threshold_{i}": self.threshold[i],
            }
            cast = {name: t.to(dtype).contiguous() for name, t in reading.items()}
            save_file(cast, folder / f"W_enc_{i}.safetensors")
            save_file({f"W_dec_{i}": self.w_dec[i].to(dtype).contiguous()}, folder / f"W_dec_{i}.safetensors")
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "CrossLayerTranscoder":
        """Read what `save` wrote. Raises FileNotFoundError when the folder has no layer 0."""
        w_enc, b_enc, threshold, w_dec, b_dec = [], [], [], [], []
        i = 0
        while (folder / f"W_enc_{i}.safetensors").exists() or i == 0:
            reading = {k: t.float() for k, t in load_file(folder / f"W_enc_{i}.safetensors").items()}
            w_enc.append(reading[f"W_enc_{i}"])
            b_enc.append(reading[f"b_enc_{i}"])
            b_dec.append(reading[f"b_dec_{i}"])
            threshold.append(reading[f"threshold_{i}"])
            w_dec.append(load_file(folder / f"W_dec_{i}.safetensors")[f"W_dec_{i}"].float())
            i += 1
        return cls(w_enc, b_enc, threshold, w_dec, b_dec)


@contextmanager
def recorded(model: LlamaForCausalLM) -> Iterator[tuple[dict[int, Tensor], dict[int, Tensor]]]:
    """Record the MLP inputs and outputs of each forward pass in the block.

    Yields two dictionaries: layer → (row, position, d_model).
    """
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}
    hooks = []
    for i, layer in enumerate(model.model.layers):

        def keep(module: object, args: tuple[Tensor, ...], output: Tensor, i: int = i) -> None:
            inputs[i], outputs[i] = args[0], output

        hooks.append(layer.mlp.register_forward_hook(keep))
    try:
        yield inputs, outputs
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replaced(model: LlamaForCausalLM, clt: CrossLayerTranscoder) -> Iterator[None]:
    """Replace every MLP by the transcoder in the block.

    The transcoder reads the stream that it changes itself.

    Position 0 (`<bos>`) keeps the output of the MLP, because the transcoder was not trained on it.
    """
    activations: list[Tensor] = []
    hooks = []
    for i, layer in enumerate(model.model.layers):

        def swap(module: object, args: tuple[Tensor, ...], output: Tensor, i: int = i) -> Tensor:
            if i == 0:
                activations.clear()
            activations.append(clt.encode(i, args[0][:, 1:]))
            return torch.cat([output[:, :1], clt.decode(i, activations)], dim=1)

        hooks.append(layer.mlp.register_forward_hook(swap))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
