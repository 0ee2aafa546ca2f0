"""QK attributions: the pairs of sources that make a head attend from one position to another.

With norm scales frozen, a query is a sum over what each source wrote to the stream at the query's position. A
key is a sum over what each source wrote at the key's position. A score before the softmax is then a bilinear
sum:

    S[q, k] = Σ_i Σ_j scaling · rotate_q(W_Q n(F_i[q])) · rotate_k(W_K n(F_j[k]))

    F_i   what source i (a feature, an error, a token) wrote to the stream before this layer, carried up
          through the frozen attention of lower layers; a source may therefore be at an earlier position
    n     the norm before attention with its scale frozen, and the norms of queries and keys if there are any

One more source, `rest`, is what no node wrote: the biases of transcoders, attention and norms, and what the
MLPs write at a special first token. Scores are taken before a soft cap if the model has one.

Steps
1. Run the model. Compute the model's own query and keys.
2. Carry all sources up to the layer. Compute their parts of the query, and of the key at each position.
3. Assign the remainder of the model's own vectors to `rest`. Rotate all parts. The contribution of a pair is
   the product of its query part and its key part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ingest.engine.adapters.anatomy import wide
from ingest.engine.adapters.queries import Queries, Rotary, queries
from ingest.engine.errors import SettingError
from ingest.engine.intervention.streams import Writes, attend, choose, values, writes
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.record import Frozen
from ingest.engine.transcoders.transcoder import Active

MEMORY = 1 << 30
"""Bytes that the streams of the sources may take. Sources that need more memory are processed in rounds."""


@dataclass(frozen=True, slots=True)
class QkSource:
    """One side of a pair: a node, or the rest."""

    kind: str
    """`feature`, `error`, `token` or `rest`"""
    layer: int
    """Layer of the node; -1 for tokens and the rest"""
    position: int
    """Position of the node; -1 for the rest, which is at every position"""
    index: int | None
    """Index of a feature in its layer, or vocabulary id of a token; None for errors and the rest"""


class Pair(NamedTuple):
    """The contribution of two sources together to a score."""

    query: QkSource
    key: QkSource
    score: float


@dataclass(frozen=True, eq=False)
class QkAttribution:
    """The attention scores of one head from one position, split into pairs of sources.

    Tensors are on the model's device.
    """

    layer: int
    head: int
    position: int
    """Position of the query. Keys are at positions 0 … position."""
    sources: tuple[QkSource, ...]
    """n sources; the last one is `rest`."""
    scores: Tensor
    """(n_keys,) before the softmax and any soft cap, as the model itself computes them"""
    pattern: Tensor
    """(n_keys,) the model's attention after the softmax"""
    soft_cap: float | None
    """The model's limit of scores; None for no limit."""
    query_parts: Tensor
    """(n, d_head) part of each source in the query, rotated and multiplied by the scaling"""
    key_parts: Tensor
    """(n_keys, n, d_head) part of each source in each key, rotated"""

    def pairs(self, key: int) -> Tensor:
        """(n query sources, n key sources): contribution of each pair to the score of a key.

        The contributions sum to the score. Raises SettingError for a key after the query's position.
        """
        self._check(key)
        return self.query_parts @ self.key_parts[key].T

    def top(self, key: int, n: int = 10) -> list[Pair]:
        """The n pairs that change the score of a key most, by absolute value, largest first.

        Raises SettingError for a key after the query's position.
        """
        found = self.pairs(key)
        best = found.abs().flatten().topk(min(n, found.numel())).indices.tolist()
        places = [divmod(place, found.shape[1]) for place in best]
        return [Pair(self.sources[i], self.sources[j], float(found[i, j])) for i, j in places]

    def _check(self, key: int) -> None:
        if not 0 <= key <= self.position:
            raise SettingError(
                f"Key position {key} is not visible from position {self.position}",
                next_step=f"use 0 to {self.position}",
            )


def qk_attribution(
    model: ReplacementModel, prompt: str | Sequence[int] | Encoded, *, layer: int, head: int, position: int
) -> QkAttribution:
    """Split one head's attention scores, from one position to all visible positions, into pairs of sources.

    Raises PromptError for a prompt that the model cannot take, SettingError for a layer, head or position
    that does not exist, and ModelError for an attention module whose scores cannot be split.
    """
    encoded = model.encode(prompt)
    if not 0 <= layer < model.n_layers:
        raise SettingError(f"There is no layer {layer}", next_step=f"use 0 to {model.n_layers - 1}")
    part = model.anatomy.layers[layer]
    how = queries(part.attention.module)
    if not 0 <= head < how.n_heads:
        raise SettingError(f"There is no head {head}", next_step=f"use 0 to {how.n_heads - 1}")
    if not 0 <= position < len(encoded.ids):
        raise SettingError(
            f"Position {position} is outside the prompt", next_step=f"use 0 to {len(encoded.ids) - 1}"
        )
    with torch.no_grad():
        # 1
        frozen, rotary, pattern = _run(model, encoded.ids, part.attention.module)
        active = model.transcoders.encode(model.read(frozen), n_left_out=encoded.n_left_out)
        written = writes(model, frozen, active, n_left_out=encoded.n_left_out)
        here = frozen.attention_input[layer, : position + 1]
        whole = _vectors(how, head, here), _vectors(how, head, here, key=True)
        # 2
        parts = _parts(model, frozen, active, written, how, layer, head, position + 1)
        # 3
        sides = []
        for vectors, mine, norm in zip(whole, parts, (how.query_norm, how.key_norm), strict=True):
            split = torch.cat([mine, vectors[None] - mine.sum(0, keepdim=True)])
            if norm is not None:
                split = norm.forward(split, norm.scale(vectors))
            sides.append(how.rotate(split, rotary and (rotary[0][: position + 1], rotary[1][: position + 1])))
        query, key = sides[0][:, position] * how.scaling, sides[1].transpose(0, 1)
    return QkAttribution(
        layer=layer,
        head=head,
        position=position,
        sources=_names(frozen, active, model.n_layers),
        scores=key.sum(1) @ query.sum(0),
        pattern=wide(pattern[head, position, : position + 1]),
        soft_cap=how.soft_cap,
        query_parts=query,
        key_parts=key,
    )


def _run(
    model: ReplacementModel, ids: Sequence[int], attention: nn.Module
) -> tuple[Frozen, Rotary | None, Tensor]:
    """The frozen model, the rotary positions passed to one attention module, and this module's pattern."""
    kept: list[Rotary] = []
    patterns: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        rotary = named.get("position_embeddings")
        if rotary is not None:
            kept.append((wide(rotary[0][0]), wide(rotary[1][0])))
        patterns.append(output[1][0])

    handle = attention.register_forward_hook(keep, with_kwargs=True)
    try:
        frozen = model.freeze(ids)
    finally:
        handle.remove()
    return frozen, kept[0] if kept else None, patterns[0]


def _vectors(how: Queries, head: int, read: Tensor, *, key: bool = False, bias: bool = True) -> Tensor:
    """(…, d_head): queries or keys of attention inputs (…, d_model), before norm and rotation."""
    weight, shift = (how.key, how.key_bias) if key else (how.query, how.query_bias)
    number = how.group(head) if key else head
    return torch.nn.functional.linear(read, weight[number], shift[number] if bias else None)


def _parts(
    model: ReplacementModel,
    frozen: Frozen,
    active: Active,
    written: list[Writes],
    how: Queries,
    layer: int,
    head: int,
    cut: int,
) -> tuple[Tensor, Tensor]:
    """Parts of all nodes in queries and in keys, each (n_inputs, cut, d_head), before norm and rotation."""
    n_inputs = len(active.activation) + (model.n_layers + 1) * len(frozen.ids)
    at_once = max(1, MEMORY // (4 * cut * model.d_model * model.dtype.itemsize))
    found: tuple[list[Tensor], list[Tensor]] = ([], [])
    for nodes in torch.arange(n_inputs, device=model.device).split(at_once):
        stream = torch.zeros_like(frozen.embedding[:cut]).repeat(len(nodes), 1, 1)
        for number in range(layer + 1):
            mine = choose(written[number], nodes, n_inputs)
            inside = mine.position < cut
            at = mine.rows[inside], mine.position[inside]
            stream = stream.index_put(at, mine.vectors[inside], accumulate=True)
            part, scale = model.anatomy.layers[number], frozen.attention_scale[number, :cut]
            if number < layer:
                read = values(part, scale, stream)
                after = stream + attend(part, frozen.pattern[number, :, :cut, :cut], read)
                before = stream if part.parallel else after
                stream = after + model.skip_forward(number, before, frozen.mlp_scale[number, :cut])
        normed = part.attention_norm.forward(stream, scale)
        found[0].append(_vectors(how, head, normed, bias=False))
        found[1].append(_vectors(how, head, normed, key=True, bias=False))
    return torch.cat(found[0]), torch.cat(found[1])


def _names(frozen: Frozen, active: Active, n_layers: int) -> tuple[QkSource, ...]:
    """All sources, in the order of their parts."""
    positions = range(len(frozen.ids))
    return (
        *(QkSource("feature", layer, position, index) for layer, position, index in active.where.tolist()),
        *(QkSource("error", layer, position, None) for layer in range(n_layers) for position in positions),
        *(QkSource("token", -1, position, frozen.ids[position]) for position in positions),
        QkSource("rest", -1, -1, None),
    )
