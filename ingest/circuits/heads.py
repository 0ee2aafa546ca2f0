"""Adds attention to a circuit: what heads carry of its edges, and which sources a head's scores come from."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ingest.engine.attribution.graph import GraphNodes
from ingest.engine.attribution.prune import Pruned
from ingest.engine.attribution.targets import DEFAULT, Target, resolve
from ingest.engine.errors import SettingError
from ingest.engine.heads.loadings import head_loadings, head_totals
from ingest.engine.heads.qk import QkSource, qk_attribution
from ingest.engine.replacement.model import Encoded, ReplacementModel
from schema.circuit.attention import HeadPart, HeadTotal, QkPair, QkScore
from schema.circuit.records import Circuit, Node, NodeKind
from schema.exports.graph_json import node_id

HEADS_OF_AN_EDGE = 3
"""Heads stored with each edge: the ones of all layers that carry most of it."""

KEYS = 5
"""Key positions whose score is decomposed: the ones that get most attention from the query."""

PAIRS = 10
"""Pairs of sources stored with each score."""


def with_heads(
    circuit: Circuit,
    model: ReplacementModel,
    graph: GraphNodes,
    pruned: Pruned,
    targets: Sequence[Target] = DEFAULT,
) -> Circuit:
    """The circuit with the strongest heads of each edge and the totals of all heads.

    circuit: the conversion of `graph` and `pruned`. targets: the targets that the graph was made for.
    """
    directions = resolve(model, model.freeze(graph.token_ids), targets).directions
    found = head_loadings(model, graph, pruned, directions)
    totals = head_totals(found, graph, pruned)
    n_layers, n_edges, n_heads = found.heads.shape
    parts = found.heads.permute(1, 0, 2).reshape(n_edges, n_layers * n_heads)
    strongest = parts.abs().topk(min(HEADS_OF_AN_EDGE, parts.shape[1]), dim=1).indices
    weights = parts.gather(1, strongest)
    net, gross = totals.net.tolist(), totals.gross.tolist()
    keys = [node.key for node in circuit.nodes]
    return replace(
        circuit,
        head_parts=tuple(
            HeadPart(keys[edge.source], keys[edge.target], place // n_heads, place % n_heads, weight)
            for edge, places, values in zip(circuit.edges, strongest.tolist(), weights.tolist(), strict=True)
            for place, weight in zip(places, values, strict=True)
            if weight
        ),
        head_totals=tuple(
            HeadTotal(layer, head, net[layer][head], gross[layer][head])
            for layer in range(n_layers)
            for head in range(n_heads)
        ),
    )


def with_qk(circuit: Circuit, model: ReplacementModel, queries: Sequence[str]) -> Circuit:
    """The circuit with the attention scores of some heads and query positions, by pairs of sources.

    queries: each like 3/1@5 (layer 3, head 1, position 5). Raises SettingError.
    """
    found: list[QkScore] = []
    prompt = circuit.prompt
    encoded = Encoded(prompt.token_ids or (), prompt.tokens, circuit.n_left_out or 0)
    for text in queries:
        query = re.fullmatch(r"(\d+)/(\d+)@(\d+)", text.strip())
        if query is None:
            raise SettingError(
                f"--qk {text!r} cannot be read", next_step="write layer, head and position like 3/1@5"
            )
        layer, head, position = map(int, query.groups())
        qk = qk_attribution(model, encoded, layer=layer, head=head, position=position)
        for key in torch.topk(qk.pattern, min(KEYS, len(qk.pattern))).indices.tolist():
            pairs = (QkPair(_name(p.query), _name(p.key), p.score) for p in qk.top(key, PAIRS))
            found.append(
                QkScore(
                    layer, head, position, key, float(qk.scores[key]), float(qk.pattern[key]), tuple(pairs)
                )
            )
    return replace(circuit, qk_scores=tuple(found))


def lines(circuit: Circuit, n_heads: int = 5) -> Iterator[str]:
    """Lines of text about the heads of a circuit, the ones with most influence first."""
    for total in sorted(circuit.head_totals, key=lambda total: -total.gross)[:n_heads]:
        name = f"head {total.layer}/{total.head}"
        yield f"{name}: {total.gross:.3f} of influence through it, net {total.net:.3f}"
    for score in circuit.qk_scores:
        yield (
            f"head {score.layer}/{score.head} at position {score.position} looks at {score.key_position} "
            f"({score.pattern:.3f}), score {score.score:.3f}:"
        )
        yield from (f"    {pair.score:+.3f}  query {pair.query}  key {pair.key}" for pair in score.pairs)


def _name(source: QkSource) -> str:
    """The id of a source's node in graph JSON. What no node stands for is called `rest`."""
    if source.kind == "rest":
        return "rest"
    return node_id(Node(NodeKind(source.kind), source.layer, source.position, source.index))
