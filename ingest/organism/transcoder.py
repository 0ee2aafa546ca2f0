"""Trains the transcoders of the bundled model, with the general trainer (`ingest.training.trainer`).

Each step takes a new batch of the corpus on which the model was trained. `<bos>` and `<end>` are left out.
Training can start from the transcoders of another checkpoint, whose features keep their meaning.
"""

from collections.abc import Iterator
from itertools import islice

import torch
from rich.console import Console
from transformers import LlamaForCausalLM

from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.transcoder import TranscoderSet
from ingest.organism.corpus import BOS, END, attention_mask, batches, word_ids
from ingest.progress import progress
from ingest.training.activations import recorded
from ingest.training.scale import TokenActivations
from ingest.training.trainer import Schedule, Trainer

MODEL_NAME = "circuit-atlas/organism"
SET_NAME = "organism-clt"
ROWS = 20  # of a batch
# Weight of the positions before answers: they matter most for the families, and they are few.
ANSWER_WEIGHT = 3.0


@torch.no_grad()
def activations(model: LlamaForCausalLM, seed: int, rows: int = ROWS) -> Iterator[TokenActivations]:
    """An endless stream of activations on seeded training batches, without `<bos>`, `<end>` and padding."""
    bos, end = word_ids()[BOS], word_ids()[END]
    with recorded(ReplacementModel.build(model, None, None)) as (inputs, outputs):
        for batch in batches(seed, rows):
            mask = torch.zeros(1).masked_fill(~attention_mask(batch.block), torch.finfo(torch.float32).min)
            with torch.no_grad():
                model.model(input_ids=batch.ids, attention_mask=mask, use_cache=False)
            # No prompt contains <end> and nothing follows it, so it would only take up variance.
            wanted = (batch.block > 0) & (batch.ids != bos) & (batch.ids != end)
            # The model has to know an answer at the position *before* it.
            answer = torch.zeros_like(batch.weights)
            answer[:, :-1] = (batch.weights[:, 1:] == 1).float()
            yield TokenActivations(
                torch.stack([each[wanted] for each in inputs]),
                torch.stack([each[wanted] for each in outputs]),
                (1 + (ANSWER_WEIGHT - 1) * answer)[wanted],
            )


def train_transcoder(
    model: LlamaForCausalLM,
    width: int,
    k: int,
    steps: int,
    seed: int = 0,
    start: TranscoderSet | None = None,
) -> TranscoderSet:
    """Train a cross-layer set with `width` features in each layer.

    k: mean number of active features of one token, over all layers. start: the transcoders of a neighbouring
    checkpoint, of equal width, whose features are kept. Raises FloatingPointError when the loss diverges.
    """
    model.requires_grad_(False)
    # A large sample for the scales and the starting points.
    first = list(islice(activations(model, seed + 1000), 8))
    pooled = TokenActivations(
        *(
            torch.cat([getattr(t, f) for t in first], 0 if f == "weight" else 1)
            for f in TokenActivations._fields
        )
    )
    trainer = Trainer(pooled, width, seed, start=None if start is None else start.layers)
    schedule = Schedule(steps, k, keeps=start is not None)
    console = Console()
    with progress(console, resumes=False) as work:
        steps_done = work.add(f"transcoder {width}", steps)
        for step, tokens in enumerate(islice(activations(model, seed + 2000), steps)):
            loss = trainer.step(tokens, schedule)
            steps_done.what = f"transcoder {width}, loss {loss:.4f}"
            steps_done.advance()
            if step % 200 == 0:
                console.print(f"step {step} k {schedule.k_at(step):.0f} loss {loss:.4f}")
    return TranscoderSet(tuple(trainer.export()), SET_NAME, "mlp.hook_in", "mlp.hook_out", MODEL_NAME)
