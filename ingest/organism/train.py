"""Trains the small language model from a seed for a fixed number of steps, and saves checkpoints.

There are two losses. The first is next-word prediction. The second teaches intermediate steps: where a
prompt asks for the capital (or another fact) of the state of a city, the last norm and the unembedding must
read the *state* from the first layers already (an early exit with another answer). Without the second loss,
a model of this size that is trained on all families learns the facts of a city by heart and does not use the
state; `README.md` has the figures. The plans of poems and the parts of questions across languages are taught
in the same way. In three of four of these examples, later words see them through one word only (`gates`).
Held-out prompts are not used.
"""

import math
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from ingest.organism.corpus import (
    BOS,
    CONTEXT,
    END,
    PAD,
    Batch,
    batches,
    vocabulary,
    word_ids,
)
from ingest.organism.evaluate import accuracy, two_hop_lens
from ingest.organism.gates import streams
from ingest.organism.tokenizer import save_tokenizer
from ingest.progress import progress

STEPS = 2200
ROWS = 48  # of a batch
LEARNING_RATE = 3e-3
LAST_RATE = 0.02  # share of LEARNING_RATE at the end of the cosine
WARM_UP = 100  # steps
WEIGHT_DECAY = 0.1
# Layers (from 0) after which a taught step must be legible, and the weight of this second loss.
EARLY_LAYERS = (1, 2)
EARLY_WEIGHT = 0.5
# Roughly logarithmic steps, with more checkpoints where families emerge.
CHECKPOINTS = (0, 30, 60, 120, 240, 400, 600, 850, 1150, 1500, 1850, 2200)


def new_model(seed: int) -> LlamaForCausalLM:
    """An untrained model: 6 layers, width 128, 4 heads, about 1.9 M parameters, untied embeddings."""
    torch.manual_seed(seed)
    ids = word_ids()
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=ids[BOS],
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
    )
    # At this size on a CPU, the backward pass of fused attention is slower than that of plain attention.
    config._attn_implementation = "eager"
    return LlamaForCausalLM(config)


def learning_rate(step: int, steps: int) -> float:
    """The learning rate at a step: linear warm-up, then a cosine down to `LAST_RATE` of the peak."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LEARNING_RATE * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))


def loss_of(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """The loss of a batch: weighted mean negative log-likelihood in nats per word; a scalar."""
    after = streams(model, batch)
    hidden = model.model.norm(after[-1])
    weights = batch.weights[:, 1:]
    # Logits are only computed for words with a weight.
    wanted = weights > 0
    logits = model.lm_head(hidden[:, :-1][wanted])
    losses = torch.nn.functional.cross_entropy(logits, batch.ids[:, 1:][wanted], reduction="none")
    total = (losses * weights[wanted]).sum()
    row, place, right = batch.taught.unbind(1)
    for layer in EARLY_LAYERS:
        logits = model.lm_head(model.model.norm(after[layer][row, place]))
        lost = torch.nn.functional.cross_entropy(logits, right, reduction="none")
        total = total + EARLY_WEIGHT * (lost * batch.share).sum()
    return total / weights.sum()


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """Write the model (bf16 safetensors) and its tokenizer in the format of transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.bfloat16().save_pretrained(folder)
    save_tokenizer(folder)


def train(out: Path, checkpoints: Path | None, seed: int = 0, steps: int = STEPS) -> LlamaForCausalLM:
    """Train for `steps` steps. Writes the final model to `out`, and checkpoints to `checkpoints/step-NNNNN`.

    checkpoints: None writes no checkpoints. The number of PyTorch's threads decides the last bits.
    """
    model = new_model(seed)
    matrices = [
        p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n
    ]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n or "lm_head" in n]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    source = batches(seed, ROWS)
    console = Console()
    with progress(console, resumes=False) as work:
        steps_done = work.add("model", steps)
        for step in range(steps + 1):
            if checkpoints and step in CHECKPOINTS:
                save(model, checkpoints / f"step-{step:05d}")
            if step % 200 == 0 or step == steps:
                found = accuracy(model, limit=60)
                hops = two_hop_lens(model)
                console.print(f"step {step} " + " ".join(f"{k} {v.share:.2f}" for k, v in found.items()))
                console.print(
                    "  state / capital on top by layer: "
                    + " ".join(f"{row.state_on_top:.2f}/{row.answer_on_top:.2f}" for row in hops)
                )
            if step == steps:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps)
            loss = loss_of(model, next(source))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            steps_done.what = f"model, loss {loss.item():.3f}"
            steps_done.advance()
    save(model, out)
    return model
