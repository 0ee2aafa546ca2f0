"""Measures the bundled model on held-out prompts, which it was never trained on."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from ingest.organism.corpus import BOS, PAD, CorpusQuestion, pack, questions, word_ids
from ingest.organism.families import multi_step
from ingest.organism.families.example import HELD_OUT
from ingest.organism.gates import GATHERING, streams

NEVER_COMPOSED = "multi-step, city never composed"
"""Name of the held-out questions about cities that occur in no composition of the training corpus."""
NEVER_TAG = "city-never-composed"
"""The tag of these questions."""


class Score(NamedTuple):
    """How often the most probable next word was correct."""

    share: float
    """Share of correct answers, 0 to 1."""
    n: int
    """Number of prompts."""


class EncodedPrompts(NamedTuple):
    """Prompts of different lengths as one matrix, padded on the right."""

    ids: Tensor
    """int64 (prompt, position) vocabulary ids; `<bos>` is at position 0"""
    last: Tensor
    """int64 (prompt,) position whose next word is predicted"""


def encode(prompts: Sequence[Sequence[str]]) -> EncodedPrompts:
    """Encode prompts, given as words without `<bos>`.

    Causal attention never sees the padding on the right.
    """
    index = word_ids()
    longest = max(len(p) for p in prompts) + 1
    ids = torch.full((len(prompts), longest), index[PAD])
    for i, prompt in enumerate(prompts):
        ids[i, : len(prompt) + 1] = torch.tensor([index[w] for w in (BOS, *prompt)])
    return EncodedPrompts(ids, torch.tensor([len(p) for p in prompts]))


def held_out_questions() -> dict[str, list[CorpusQuestion]]:
    """Held-out questions by family. Those about cities in no trained composition are under `NEVER_COMPOSED`.

    The family itself keeps the cities that were composed with some facts in training and are asked for
    another fact. For them, the model has used both halves of the answer before. Cities that were never
    composed are harder, and are counted separately.
    """
    found = questions(HELD_OUT)
    group = found["multi-step"]
    found["multi-step"] = [q for q in group if NEVER_TAG not in q.example.tags]
    found[NEVER_COMPOSED] = [q for q in group if NEVER_TAG in q.example.tags]
    return found


def sample_questions(limit: int | None, seed: int = 0) -> dict[str, list[CorpusQuestion]]:
    """Held-out questions by family, at most `limit` of each, sampled from all kinds. None means no limit."""
    found = held_out_questions()
    if limit is None:
        return found
    return {
        f: group if len(group) <= limit else Random(seed).sample(group, limit) for f, group in found.items()
    }


@torch.no_grad()
def top_words(model: LlamaForCausalLM, prompts: Sequence[Sequence[str]], rows: int = 256) -> Tensor:
    """int64 (prompt,) vocabulary id of the most probable next word of each prompt"""
    found = []
    for start in range(0, len(prompts), rows):
        ids, last = encode(prompts[start : start + rows])
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        found.append(model.lm_head(hidden[torch.arange(len(ids)), last]).argmax(-1))
    return torch.cat(found)


def accuracy(model: LlamaForCausalLM, limit: int | None = None) -> dict[str, Score]:
    """Top-1 accuracy on held-out questions, by family and for `NEVER_COMPOSED`."""
    index = word_ids()
    scores = {}
    for family, group in sample_questions(limit).items():
        right = top_words(model, [q.prompt for q in group]) == torch.tensor(
            [index[q.expected] for q in group]
        )
        scores[family] = Score(right.float().mean().item(), len(group))
    return scores


class Gated(NamedTuple):
    """How well the gates of a family work on held-out prompts."""

    legible: float
    """Share of gates where, after layer 1, the taught words are the most probable of the vocabulary, 0 to
    1."""
    gates: int
    """Number of gates."""
    accuracy: float
    """Share of correct answers when later words see earlier ones through gates only, 0 to 1."""
    n: int
    """Number of prompts."""


@torch.no_grad()
def gated(model: LlamaForCausalLM, limit: int = 500) -> dict[str, Gated]:
    """Measure the gates of every family that has gates, on at most `limit` questions each."""
    index = word_ids()
    found = {}
    for family, group in sample_questions(limit).items():
        asked = [q for q in group if any(step.gate for step in q.example.steps)]
        if not asked:
            continue
        batch = pack([[q.example] for q in asked], lambda: True)
        after = streams(model, batch)
        rows = torch.arange(len(asked))
        last = torch.tensor([len(q.prompt) for q in asked])
        tops = model.lm_head(model.model.norm(after[-1][rows, last])).argmax(-1)
        right = tops == torch.tensor([index[q.expected] for q in asked])
        held = []
        for row, question in enumerate(asked):
            for step in question.example.steps:
                stream = model.model.norm(after[GATHERING - 1][row, 1 + step.at])
                best = model.lm_head(stream).topk(len(step.words)).indices
                held.append(set(best.tolist()) == {index[word] for word in step.words})
        found[family] = Gated(sum(held) / len(held), len(held), right.float().mean().item(), len(asked))
    return found


class LensRow(NamedTuple):
    """Logit lens after one layer, at the last position.

    The residual stream is read through the final norm and the unembedding.
    """

    layer: int
    """Layer after which the stream is read; -1 for the embeddings."""
    state_on_top: float
    """Share of prompts whose most probable word of the vocabulary is the correct state."""
    answer_on_top: float
    """Share of prompts whose most probable word of the vocabulary is the correct answer."""
    state_first: float
    """Share of prompts where the correct state is more probable than the correct answer."""
    state_among_states: float
    """Share of prompts where the correct state is the most probable state."""
    answer_among_answers: float
    """Share of prompts where the correct answer is the most probable answer of its kind."""


@torch.no_grad()
def two_hop_lens(model: LlamaForCausalLM, ask: str = "capital") -> list[LensRow]:
    """The logit lens of each layer on the held-out prompts of one question.

    ask: the kind of question, such as `capital`. Raises ValueError when no held-out prompt asks it.
    """
    group = [q for q in questions(HELD_OUT)["multi-step"] if q.example.kind == ask]
    if not group:
        raise ValueError(f"No two-hop prompt asks for {ask!r}; ask for one of {', '.join(multi_step.FACTS)}")
    index = word_ids()
    facts = multi_step.states()
    states = torch.tensor([index[s] for s in facts])
    answers = torch.tensor(sorted({index[f[ask]] for f in facts.values()}))
    ids, last = encode([q.prompt for q in group])
    right_state = torch.tensor([index[tag_value(q, "state")] for q in group])
    right_answer = torch.tensor([index[q.expected] for q in group])
    rows = torch.arange(len(ids))
    streams: list[Tensor] = [model.model.embed_tokens(ids)]
    hooks = [
        layer.register_forward_hook(
            lambda _m, _a, out: streams.append(out[0] if isinstance(out, tuple) else out)
        )
        for layer in model.model.layers
    ]
    try:
        model.model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    table = []
    for i, stream in enumerate(streams):
        logits = model.lm_head(model.model.norm(stream[rows, last]))
        top = logits.argmax(-1)
        state, answer = logits[rows, right_state], logits[rows, right_answer]
        checks = (
            top == right_state,
            top == right_answer,
            state > answer,
            states[logits[:, states].argmax(-1)] == right_state,
            answers[logits[:, answers].argmax(-1)] == right_answer,
        )
        table.append(LensRow(i - 1, *(c.float().mean().item() for c in checks)))
    return table


def tag_value(question: CorpusQuestion, key: str) -> str:
    """The value of the tag `key:value`. Raises KeyError when the question has none."""
    for tag in question.example.tags:
        name, _, value = tag.partition(":")
        if name == key and value:
            return value
    raise KeyError(f"{question.example.tags} has no tag {key}:…")
