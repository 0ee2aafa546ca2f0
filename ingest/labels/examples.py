"""Examples of features: the contexts with the highest activations, from a pass over a corpus."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import Activity, FeatureKey
from schema.circuit.records import FeatureExample, FeatureNotes

EXAMPLES = 20
"""Contexts stored for each feature."""
LOGITS = 10
"""Promoted tokens, and suppressed tokens, stored for each feature."""


def notes(
    model: ReplacementModel, found: Activity, key: FeatureKey, transcoders: str | None = None
) -> FeatureNotes:
    """The notes of one feature: examples, density, and the tokens whose logits the feature changes most.

    Examples are ordered by activation, the highest first, then by their order in the corpus. transcoders:
    name or id of the transcoder set.
    """
    effects = logit_effects(model, key)
    n = min(LOGITS, len(effects))
    return FeatureNotes(
        layer=key[0],
        index=key[1],
        label=None,
        examples=tuple(top_contexts(found, key, model.decode)),
        promotes=tuple(model.decode(token) for token in effects.topk(n).indices.tolist()),
        suppresses=tuple(model.decode(token) for token in (-effects).topk(n).indices.tolist()),
        transcoders=transcoders,
        density=found.density(key),
    )


def top_contexts(
    found: Activity, key: FeatureKey, decode: Callable[[int], str], n: int = EXAMPLES
) -> Sequence[FeatureExample]:
    """The contexts with the highest activations: at most `n`, each context once."""
    where = found.slices.get(key, slice(0))
    place, activation = found.place[where], found.activation[where]
    context = np.searchsorted(found.contexts.starts, place, side="right") - 1
    examples: list[FeatureExample] = []
    for number in dict.fromkeys(context[np.argsort(-activation, kind="stable")].tolist()):
        if len(examples) == n:
            break
        start, stop = found.contexts.starts[number : number + 2].tolist()
        values = np.zeros(stop - start)
        mine = context == number
        values[place[mine] - start] = activation[mine]
        tokens = tuple(decode(token) for token in found.contexts.ids[start:stop].tolist())
        examples.append(FeatureExample(tokens, tuple(values.tolist())))
    return examples


def logit_effects(model: ReplacementModel, key: FeatureKey) -> torch.Tensor:
    """(vocab_size,) direct effect on the logits of one unit of a feature's activation.

    The effect is the sum over all layers that the feature writes to. The scale of the last norm is taken as
    1.
    """
    rows = model.transcoders.decoder_rows(key[0], torch.tensor([key[1]], device=model.device), torch.float32)
    norm = model.anatomy.final_norm
    written = norm.forward(rows[0].sum(0), torch.ones(1, device=model.device)).to(model.dtype)
    return (model.anatomy.unembedding @ written).float()
