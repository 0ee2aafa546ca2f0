"""Tiny random models on disk, and attribution done the slow and obvious way: one gradient per node.

Shares no code with the engine but its context for float64: it reads the saved weights itself and writes
Llama's forward pass out.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ingest.engine.replacement.precise import precise

# Tiny tensors: a second thread costs more than it does.
torch.set_num_threads(1)

SPECIAL = ("<bos>", "<unk>", "<end>")
WORDS = tuple(f"w{number}" for number in range(37))
PROMPT = "w3 w1 w4 w1 w5 w9 w2"


@dataclass(frozen=True)
class Tiny:
    """A random Llama with a random cross-layer transcoder."""

    n_layers: int = 3
    n_heads: int = 4
    n_groups: int = 4
    biases: bool = False
    tied: bool = False
    d_model: int = 16
    d_head: int = 4
    n_features: int = 12
    context: int = 16
    activation: str = "jumprelu"
    read_at: str = "mlp.hook_in"
    skip: bool = False
    """Whether the transcoders have skip connections."""
    special: bool = True
    """Whether the tokenizer has special tokens."""
    half: bool = False
    """Whether the transcoders are saved in 16 bits."""
    seed: int = 0

    @property
    def vocab_size(self) -> int:
        return len(WORDS) + len(SPECIAL)


class Folders(NamedTuple):
    """Where `save` put things."""

    model: Path
    transcoders: Path


def save(tiny: Tiny, folder: Path) -> Folders:
    """Write the model, its tokenizer and its transcoders as users have them."""
    made = Folders(folder / "lm", folder / "clt")
    made.transcoders.mkdir(parents=True)
    model = random_llama(tiny)
    model.save_pretrained(made.model)
    tokenizer(tiny).save_pretrained(made.model)
    save_clt(tiny, made.transcoders)
    return made


def random_llama(tiny: Tiny, vocab_size: int | None = None) -> LlamaForCausalLM:
    """Weights large enough that attention and norms are far from uniform."""
    torch.manual_seed(tiny.seed)
    config = LlamaConfig(
        vocab_size=vocab_size or tiny.vocab_size,
        hidden_size=tiny.d_model,
        intermediate_size=2 * tiny.d_model,
        num_hidden_layers=tiny.n_layers,
        num_attention_heads=tiny.n_heads,
        num_key_value_heads=tiny.n_groups,
        head_dim=tiny.d_head,
        attention_bias=tiny.biases,
        mlp_bias=tiny.biases,
        tie_word_embeddings=tiny.tied,
        max_position_embeddings=tiny.context,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.uniform_(0.5, 1.5)
            else:
                weight.normal_(0, 0.4)
    return model


def tokenizer(tiny: Tiny) -> PreTrainedTokenizerFast:
    """One token a word."""
    names = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    core = Tokenizer(WordLevel(names, unk_token="<unk>" if tiny.special else None))
    core.pre_tokenizer = Whitespace()
    named: dict[str, Any] = {"bos_token": "<bos>", "unk_token": "<unk>", "eos_token": "<end>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, **(named if tiny.special else {}))


def save_clt(tiny: Tiny, folder: Path) -> None:
    """A random cross-layer transcoder in circuit-tracer's format."""
    random = torch.Generator().manual_seed(tiny.seed + 1)
    config = {
        "model_name": "tiny",
        "model_kind": "cross_layer_transcoder",
        "feature_input_hook": tiny.read_at,
        "feature_output_hook": "hook_mlp_out",
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def normal(*size: int) -> Tensor:
        values = torch.randn(*size, generator=random) * 0.5
        return values.bfloat16() if tiny.half else values

    for layer in range(tiny.n_layers):
        encoder = {
            f"W_enc_{layer}": normal(tiny.n_features, tiny.d_model),
            f"b_enc_{layer}": normal(tiny.n_features),
            f"b_dec_{layer}": normal(tiny.d_model),
        }
        if tiny.activation == "jumprelu":
            encoder[f"threshold_{layer}"] = normal(tiny.n_features).abs() * 2
        if tiny.skip:
            encoder[f"W_skip_{layer}"] = normal(tiny.d_model, tiny.d_model)
        save_file(encoder, folder / f"W_enc_{layer}.safetensors")
        decoder = normal(tiny.n_features, tiny.n_layers - layer, tiny.d_model)
        save_file({f"W_dec_{layer}": decoder}, folder / f"W_dec_{layer}.safetensors")


class Answer(NamedTuple):
    """What the oracle found; nodes in the order [features | errors, layer by layer | tokens | logits]."""

    features: list[tuple[int, int, int]]
    """(layer, position, index) of each active feature"""
    activations: Tensor
    """(n_features,)"""
    adjacency: Tensor
    """(n_nodes, n_nodes) [target, source]"""
    logits: Tensor
    """(n_positions, vocab_size)"""


def attribute_slowly(
    folders: Folders,
    ids: list[int],
    logit_ids: list[int],
    *,
    n_left_out: int,
    dtype: torch.dtype,
    without: tuple[int, int] | None = None,
) -> Answer:
    """Attribute by autograd: every source gets a multiplier of 1; an edge is the target's derivative by
    it.

    without: (layer, head) that no effect may pass through.
    """
    model = LlamaForCausalLM.from_pretrained(folders.model, dtype=dtype, attn_implementation="eager")
    weights = {name: tensor.detach() for name, tensor in model.named_parameters()}
    config: Any = model.config
    body = model.model
    with torch.no_grad(), precise(dtype):
        run = model(torch.tensor([ids]), output_attentions=True)
    patterns, logits = run.attentions, run.logits[0]
    read_at = yaml.safe_load((folders.transcoders / "config.yaml").read_text())["feature_input_hook"]
    clt = {}
    for path in folders.transcoders.glob("*.safetensors"):
        clt.update({name: tensor.to(dtype) for name, tensor in load_file(path).items()})
    n_layers, n_heads, n_positions = config.num_hidden_layers, config.num_attention_heads, len(ids)
    n_groups, d_head = config.num_key_value_heads, config.head_dim

    def linear(name: str, x: Tensor) -> Tensor:
        return torch.nn.functional.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def norm(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output and output before the gain, the scale held."""
        scale = (x.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps).rsqrt().detach()
        return x * scale * weights[f"{name}.weight"], x * scale

    def attention(layer: int, x: Tensor) -> Tensor:
        name = f"model.layers.{layer}.self_attn"
        value = linear(f"{name}.v_proj", x).view(n_positions, n_groups, d_head)
        heads = [patterns[layer][0, h] @ value[:, h * n_groups // n_heads] for h in range(n_heads)]
        heads = [head.detach() if (layer, h) == without else head for h, head in enumerate(heads)]
        return linear(f"{name}.o_proj", torch.cat(heads, dim=-1))

    # 1. which features fire, on the real model
    x = weights["model.embed_tokens.weight"][ids]
    features, activations, outputs = [], [], []
    for layer in range(n_layers):
        x = x + attention(layer, norm(f"model.layers.{layer}.input_layernorm", x)[0])
        normed, plain = norm(f"model.layers.{layer}.post_attention_layernorm", x)
        read = {"mlp.hook_in": normed, "hook_resid_mid": x, "ln2.hook_normalized": plain}[read_at]
        before = read @ clt[f"W_enc_{layer}"].T + clt[f"b_enc_{layer}"]
        fires = before > clt.get(f"threshold_{layer}", torch.zeros(1))
        fires[:n_left_out] = False
        features += [(layer, position, index) for position, index in fires.nonzero().tolist()]
        activations.append(before[fires].detach())
        outputs.append(body.layers[layer].mlp(normed[None])[0].detach())
        x = x + outputs[-1]

    strengths = torch.cat(activations)
    layers, positions, indices = torch.tensor(features, dtype=torch.long).reshape(-1, 3).unbind(1)

    # 2. the same pass with MLPs written as features plus error, a multiplier on every source
    by_feature = torch.ones(len(features), dtype=dtype, requires_grad=True)
    by_error = torch.ones(n_layers, n_positions, dtype=dtype, requires_grad=True)
    by_token = torch.ones(n_positions, dtype=dtype, requires_grad=True)
    x = weights["model.embed_tokens.weight"][ids] * by_token[:, None]
    targets = []
    for layer in range(n_layers):
        x = x + attention(layer, norm(f"model.layers.{layer}.input_layernorm", x)[0])
        normed, plain = norm(f"model.layers.{layer}.post_attention_layernorm", x)
        read = {"mlp.hook_in": normed, "hook_resid_mid": x, "ln2.hook_normalized": plain}[read_at]
        before = read @ clt[f"W_enc_{layer}"].T
        targets.append(before[positions[layers == layer], indices[layers == layer]])
        written = clt[f"b_dec_{layer}"].repeat(n_positions, 1)
        for below in range(layer + 1):
            at = layers == below
            vectors = clt[f"W_dec_{below}"][indices[at], layer - below]
            sizes = strengths[at] * by_feature[at]
            written = written.index_add(0, positions[at], vectors * sizes[:, None])
        # A live linear path, of no node's own.
        skip = read @ clt.get(f"W_skip_{layer}", torch.zeros(x.shape[1], x.shape[1], dtype=dtype))
        error = (outputs[layer] - written - skip).detach()
        # Positions that are left out keep what their MLP wrote, as no node's effect.
        written = torch.cat([(outputs[layer] - skip).detach()[:n_left_out], written[n_left_out:]])
        error = torch.cat([torch.zeros_like(error[:n_left_out]), error[n_left_out:]])
        x = x + written + skip + error * by_error[layer][:, None]
    unembedding = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    last = norm("model.norm", x)[0][-1]
    targets.append((unembedding[logit_ids] - unembedding.mean(0)) @ last)

    # 3. one gradient per target
    n_inputs = len(features) + (n_layers + 1) * n_positions
    n_nodes = n_inputs + len(logit_ids)
    adjacency = torch.zeros(n_nodes, n_nodes, dtype=dtype)
    found = gradients(torch.cat(targets), (by_feature, by_error, by_token))
    adjacency[: len(features), :n_inputs] = found[: len(features)]
    adjacency[n_inputs:, :n_inputs] = found[len(features) :]
    return Answer(features, strengths, adjacency, logits)


def gradients(targets: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
    """The gradient of each target by all inputs: (n_targets, n_inputs)."""
    found = torch.autograd.grad(
        targets,
        inputs,
        torch.eye(len(targets), dtype=targets.dtype),
        is_grads_batched=True,
        materialize_grads=True,
    )
    return torch.cat([part.flatten(1) for part in found], 1)
