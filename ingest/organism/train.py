"""Train the small language model from a seed, by steps and never by the clock, keeping checkpoints."""

import math
from pathlib import Path

import torch
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from ingest.organism.corpus import (
    BOS,
    CONTEXT,
    END,
    PAD,
    Batch,
    attention_mask,
    batches,
    vocabulary,
    word_ids,
)
from ingest.organism.evaluate import accuracy
from ingest.organism.tokenizer import save_tokenizer

STEPS = 2400
ROWS = 48
LEARNING_RATE = 3e-3
LAST_RATE = 0.02  # of LEARNING_RATE, where the cosine ends
WARM_UP = 100
WEIGHT_DECAY = 0.1
# Roughly logarithmic, denser where families emerge.
CHECKPOINTS = (0, 30, 60, 120, 240, 400, 600, 850, 1150, 1500, 1900, 2400)


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
    # The fused attention's backward pass is slower than the plain one at this size on a CPU.
    config._attn_implementation = "eager"
    return LlamaForCausalLM(config)


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine down to `LAST_RATE` of the peak."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LEARNING_RATE * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * done)))


def loss_of(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Weighted mean negative log-likelihood of a batch, in nats a word; a scalar."""
    # Additive rather than boolean: eager attention adds the mask to its scores.
    mask = torch.zeros(1).masked_fill(~attention_mask(batch.block), torch.finfo(torch.float32).min)
    hidden = model.model(input_ids=batch.ids, attention_mask=mask, use_cache=False).last_hidden_state
    weights = batch.weights[:, 1:]
    # Only the words that count go through the vocabulary.
    wanted = weights > 0
    logits = model.lm_head(hidden[:, :-1][wanted])
    losses = torch.nn.functional.cross_entropy(logits, batch.ids[:, 1:][wanted], reduction="none")
    return (losses * weights[wanted]).sum() / weights.sum()


def save(model: LlamaForCausalLM, folder: Path) -> None:
    """Write the model (bf16 safetensors) and its tokenizer in transformers' format."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.bfloat16().save_pretrained(folder)
    save_tokenizer(folder)


def train(out: Path, checkpoints: Path | None, seed: int = 0, steps: int = STEPS) -> LlamaForCausalLM:
    """Train for `steps` steps; write the last model to `out` and the others to `checkpoints/step-NNNNN`."""
    torch.set_num_threads(2)
    model = new_model(seed)
    matrices = [
        p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n
    ]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n or "lm_head" in n]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    source = batches(seed, ROWS)
    bar = Progress(
        TextColumn("model"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=steps)
        for step in range(steps + 1):
            if checkpoints and step in CHECKPOINTS:
                save(model, checkpoints / f"step-{step:05d}")
            if step % 200 == 0 or step == steps:
                found = accuracy(model, limit=60)
                bar.console.print(f"step {step} " + " ".join(f"{k} {v.share:.2f}" for k, v in found.items()))
            if step == steps:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, steps)
            loss = loss_of(model, next(source))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            bar.update(task, advance=1, description=f"loss {loss.item():.3f}")
    save(model, out)
    return model
