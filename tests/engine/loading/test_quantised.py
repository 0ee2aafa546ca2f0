"""Weights in mxfp4, as gpt-oss is published: each number against the definition of the format."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GptOssConfig, GptOssForCausalLM

from ingest.engine.replacement.model import ReplacementModel
from tests.support.engine import Tiny, tokenizer

POSITIVE = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
VALUES = torch.tensor([*POSITIVE, *(-value for value in POSITIVE)])
"""The numbers of 4 bits: sign, 2 bits of exponent, 1 bit of mantissa (OCP Microscaling Formats, E2M1)."""
WIDTH, EXPERTS = 64, 3


def mxfp4(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random blocks of 32 numbers, their scales, and the weights (expert, input, output) that these are."""
    blocks = torch.randint(0, 256, (EXPERTS, rows, WIDTH // 32, 16), dtype=torch.uint8)
    scales = torch.randint(118, 126, (EXPERTS, rows, WIDTH // 32), dtype=torch.uint8)
    # The low half of a byte comes first. A scale is a power of two.
    numbers = torch.stack([VALUES[(blocks & 15).long()], VALUES[(blocks >> 4).long()]], -1).flatten(-2)
    return blocks, scales, (numbers * torch.exp2(scales.float() - 127)[..., None]).flatten(-2).mT


@pytest.fixture
def quantised(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """The folder of a model in mxfp4, and its dequantised weights."""
    torch.manual_seed(0)
    config = GptOssConfig(
        vocab_size=Tiny().vocab_size,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_local_experts=EXPERTS,
        num_experts_per_tok=2,
        max_position_embeddings=64,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        eos_token_id=2,
        pad_token_id=None,
    )
    GptOssForCausalLM(config).save_pretrained(tmp_path)
    tokenizer(Tiny()).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    plain = dict(weights)
    for layer in range(2):
        for name, rows in (("gate_up_proj", 2 * WIDTH), ("down_proj", WIDTH)):
            key = f"model.layers.{layer}.mlp.experts.{name}"
            del weights[key]
            weights[f"{key}_blocks"], weights[f"{key}_scales"], plain[key] = mxfp4(rows)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": [
            *("model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"),
        ],
    }
    path.write_text(json.dumps(settings), encoding="utf-8")
    return tmp_path, plain


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mxfp4_is_dequantised_exactly(quantised: tuple[Path, dict[str, Tensor]], dtype: torch.dtype) -> None:
    folder, plain = quantised
    model = ReplacementModel.load(folder, None, dtype=dtype)
    found = model.model.state_dict()
    assert found.keys() == plain.keys()
    for name, weight in plain.items():
        assert torch.equal(found[name], weight.to(dtype)), name
    assert model.freeze(model.encode("w3 w1 w4").ids).logits.isfinite().all()
