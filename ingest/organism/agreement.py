"""Measures transcoders on prompts of the corpus: agreement of the replacement model, and purity of features.

`ingest.training.measure` measures the transcoders of any model on texts.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from ingest.engine.replacement.model import ReplacementModel
from ingest.engine.transcoders.transcoder import TranscoderSet
from ingest.organism.corpus import FAMILIES
from ingest.organism.evaluate import Score, encode, sample_questions, top_words
from ingest.training.activations import recorded
from ingest.training.replace import Reconstruction, replaced

TOGETHER = 256
"""Prompts in one forward pass."""
PURE = 0.9
"""Least share of a feature's activation in one family for the feature to count as pure."""


class LayerReport(NamedTuple):
    """One layer of a transcoder on held-out prompts, without `<bos>`."""

    layer: int
    fvu: float
    """Fraction of variance unexplained: share of the variance of MLP outputs that the transcoder misses."""
    l0: float
    """Mean number of active features of one token."""
    dead: float
    """Share of the features that are active on no held-out prompt, 0 to 1."""
    pure: float
    """Share of live features with more than `PURE` of their activation in one family; families weigh
    equally."""


@torch.no_grad()
def agreement(model: LlamaForCausalLM, clt: TranscoderSet, limit: int | None = None) -> dict[str, Score]:
    """Agreement of the replacement model with the model, by family and for `all` (the mean).

    Agreement is the share of held-out prompts with an unchanged most probable next word. limit: most prompts
    of a family; None means all.
    """
    scores = {}
    whole = ReplacementModel.build(model, None, clt)
    for family, group in sample_questions(limit).items():
        same = 0
        for start in range(0, len(group), TOGETHER):
            prompts = [q.prompt for q in group[start : start + TOGETHER]]
            wanted = torch.ones_like(encode(prompts).ids, dtype=torch.bool)
            # The transcoders were not trained on <bos>.
            wanted[:, 0] = False
            own = top_words(model, prompts, TOGETHER)
            with replaced(whole, range(whole.n_layers), Reconstruction(whole), wanted):
                same += int((top_words(model, prompts, TOGETHER) == own).sum())
        scores[family] = Score(same / len(group), len(group))
    found = [score for family, score in scores.items() if family in FAMILIES]
    scores["all"] = Score(sum(s.share for s in found) / len(found), sum(s.n for s in found))
    return scores


@torch.no_grad()
def layer_report(model: LlamaForCausalLM, clt: TranscoderSet, limit: int = 150) -> list[LayerReport]:
    """FVU, L0, dead features and purity of every layer.

    limit: most held-out prompts of a family.
    """
    by_family = []
    rebuild = Reconstruction(ReplacementModel.build(model, None, clt))
    sums = [torch.zeros(3) for _ in range(clt.n_layers)]
    truth: list[list[Tensor]] = [[] for _ in range(clt.n_layers)]
    for family, group in sample_questions(limit).items():
        if family not in FAMILIES:
            continue
        inputs, outputs = mlp_activations(model, [q.prompt for q in group])
        active: list[Tensor] = []
        for i in range(clt.n_layers):
            error = outputs[i] - rebuild(i, inputs[i])
            active.append(rebuild.activation)
            sums[i] += torch.tensor([error.pow(2).sum(), (active[i] > 0).sum(), len(error)])
            truth[i].append(outputs[i])
        by_family.append([a.mean(0) for a in active])
    rows = []
    for i in range(clt.n_layers):
        error, count, n = sums[i].tolist()
        y = torch.cat(truth[i])
        mass = torch.stack([means[i] for means in by_family])
        live = mass.sum(0) > 0
        share = mass[:, live].max(0).values / mass[:, live].sum(0)
        rows.append(
            LayerReport(
                i,
                error / (y - y.mean(0)).pow(2).sum().item(),
                count / n,
                1 - live.float().mean().item(),
                (share > PURE).float().mean().item(),
            )
        )
    return rows


@torch.no_grad()
def mlp_activations(
    model: LlamaForCausalLM, prompts: list[tuple[str, ...]]
) -> tuple[list[Tensor], list[Tensor]]:
    """MLP inputs and outputs of each layer, (token, d_model), for all words of the prompts except `<bos>`."""
    ids, last = encode(prompts)
    seen = torch.arange(ids.shape[1])[None] <= last[:, None]
    seen[:, 0] = False
    with recorded(ReplacementModel.build(model, None, None)) as (inputs, outputs):
        model.model(input_ids=ids, use_cache=False)
    layers = range(len(inputs))
    return [inputs[i][seen] for i in layers], [outputs[i][seen] for i in layers]
