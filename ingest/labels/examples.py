"""Examples of features: the contexts with the highest activations, from a pass over a corpus."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from ingest.engine.replacement.model import ReplacementModel
from ingest.labels.contexts import Activity, FeatureKey
from ingest.labels.promoted import promoted_and_suppressed, written
from schema.circuit.records import FeatureExample, FeatureNotes

EXAMPLES = 20
"""Contexts stored for each feature."""
LOGITS = 10
"""Promoted tokens, and suppressed tokens, stored for each feature."""


def notes(
    model: ReplacementModel, found: Activity, keys: Sequence[FeatureKey], transcoders: str | None = None
) -> list[FeatureNotes]:
    """The notes of features: examples, density, and the tokens whose logits each feature changes most.

    Examples are ordered by activation, the highest first, then by their order in the corpus. transcoders:
    name or id of the transcoder set.
    """
    decode = cache(model.decode)
    changed = promoted_and_suppressed(model, written(model, keys), LOGITS)
    return [
        FeatureNotes(
            layer=key[0],
            index=key[1],
            label=None,
            examples=tuple(top_contexts(found, key, decode)),
            promotes=tuple(map(decode, raised)),
            suppresses=tuple(map(decode, lowered)),
            transcoders=transcoders,
            density=found.density(key),
        )
        for key, raised, lowered in zip(keys, changed.raised.tolist(), changed.lowered.tolist(), strict=True)
    ]


def top_contexts(
    found: Activity, key: FeatureKey, decode: Callable[[int], str], n: int = EXAMPLES
) -> Sequence[FeatureExample]:
    """The contexts with the highest activations: at most `n`, each context once."""
    place, activation = found.of(key)
    context = found.contexts.number(place)
    ordered = context[np.argsort(-activation, kind="stable")]
    first = np.unique(ordered, return_index=True)[1]
    examples: list[FeatureExample] = []
    for number in ordered[np.sort(first)[:n]].tolist():
        start, stop = found.contexts.starts[number : number + 2].tolist()
        values = np.zeros(stop - start)
        mine = context == number
        values[place[mine] - start] = activation[mine]
        tokens = tuple(decode(token) for token in found.contexts.ids[start:stop].tolist())
        examples.append(FeatureExample(tokens, tuple(values.tolist())))
    return examples
