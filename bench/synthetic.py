"""Synthetic circuits for measurements, as records. A circuit depends on its seed and its number only.

1. Circuits are divided among families. Each family has its own core of features, some of which are in most of
   the family's circuits.
2. The features of a circuit come partly from the core of its family and partly from a dictionary, in which
   few features are in nearly every circuit and most are rare (Zipf). Some features have two or three
   positions.
3. Every pair of features has a fixed strength and sign. A circuit has the strongest of its possible pairs,
   with noise. Some effects therefore recur in most circuits, and most effects in hardly any.

Weights are numbers without a model. Only shapes and frequencies imitate those of published graphs.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from schema.circuit.records import (
    Circuit,
    Edge,
    Label,
    Model,
    Node,
    NodeKind,
    Prompt,
    Run,
    Supernode,
    TranscoderSet,
)

Array = np.ndarray[Any, Any]

RUN = Run({"source": "bench/synthetic.py"}, {"synthetic": "1"})
N_LAYERS = 26
PER_LAYER = 16384
FAMILIES = 20
CORE = 240
DICTIONARY = 40_000
FROM_CORE = 0.55
ZIPF = 1.0
N_TOKENS = 12
N_LOGITS = 5
MODEL = Model("synthetic-2b", "0" * 40, "Gemma2ForCausalLM", N_LAYERS, 2304, 256_000)
TRANSCODERS = TranscoderSet(
    "synthetic-transcoders", "0" * 40, "plt", "jumprelu", "mlp.in", "mlp.out", PER_LAYER, MODEL.id
)
WORDS = (
    "river",
    "stone",
    "lantern",
    "copper",
    "meadow",
    "signal",
    "harbor",
    "violet",
    "ladder",
    "winter",
    "engine",
    "garden",
    "pepper",
    "saddle",
    "mirror",
)


class Shape(NamedTuple):
    """The size of circuits."""

    features: int
    """Number of feature nodes."""
    errors: int
    """Number of error nodes."""
    edges: int


SMALL = Shape(features=150, errors=0, edges=1500)
LARGE = Shape(features=350, errors=100, edges=5000)


class Dictionary(NamedTuple):
    """The distributions from which all circuits of a seed are made."""

    layers: Array
    """Layer of each feature, by its rank in popularity."""
    indices: Array
    """Index in its layer of each feature, by its rank in popularity."""
    popularity: Array
    """Cumulative probabilities over the whole dictionary."""
    cores: Array
    """(family, place in its core) → feature."""
    core_popularity: Array
    """Cumulative probabilities over the places of a core."""


def dictionary(seed: int) -> Dictionary:
    rng = np.random.default_rng((seed, 0))
    ids = rng.choice(N_LAYERS * PER_LAYER, DICTIONARY, replace=False)
    weights = np.arange(1, DICTIONARY + 1) ** -ZIPF
    core = np.arange(1, CORE + 1) ** -0.7
    return Dictionary(
        layers=ids // PER_LAYER,
        indices=ids % PER_LAYER,
        popularity=np.cumsum(weights) / weights.sum(),
        cores=np.stack([rng.choice(DICTIONARY, CORE, replace=False) for _ in range(FAMILIES)]),
        core_popularity=np.cumsum(core) / core.sum(),
    )


def circuits(count: int, shape: Shape = SMALL, seed: int = 0, start: int = 0) -> Iterator[Circuit]:
    """The circuits from number `start` on. Circuit i does not depend on the count."""
    known = dictionary(seed)
    for number in range(start, start + count):
        yield circuit(known, number, shape, seed)


def circuit(known: Dictionary, number: int, shape: Shape, seed: int) -> Circuit:
    rng = np.random.default_rng((seed, 1, number))
    family = number % FAMILIES
    features, positions = _occurrences(known, rng, family, shape.features)
    nodes, influence = _nodes(known, rng, features, positions, shape, number)
    prompt = Prompt(
        text=f"{WORDS[family % len(WORDS)]} {WORDS[number % 13]} number {number} of family {family}",
        tokens=("<bos>", *(f" {WORDS[(number + place) % len(WORDS)]}" for place in range(N_TOKENS - 1))),
        token_ids=(2, *(int(each) for each in rng.integers(3, 256_000, N_TOKENS - 2)), 300_000 + number),
        family=f"family {family}",
        tags=("even",) if number % 2 == 0 else ("odd",),
        expected=f" {WORDS[family % len(WORDS)]}",
    )
    core = np.isin(features, known.cores[family, :10])
    error_share = float(rng.beta(2, 6))
    return Circuit(
        prompt=prompt,
        model=MODEL,
        transcoders=TRANSCODERS,
        target="salient-logits(10, 0.95)",
        target_position=N_TOKENS - 1,
        node_threshold=0.8,
        edge_threshold=0.98,
        max_feature_nodes=None,
        dtype="float32",
        special_first_token=True,
        replacement_score=1.0 - error_share,
        completeness_score=1.0 - error_share / 3,
        error_share=error_share,
        n_active_features=10 * shape.features,
        n_selected_features=5 * shape.features,
        kept_influence=0.8,
        nodes=nodes,
        edges=_edges(rng, nodes, features, shape, influence),
        labels=tuple(
            Label(
                int(known.layers[each]),
                int(known.indices[each]),
                _label(int(each)),
                "synthetic-v1",
                "bench",
                0.5,
            )
            for each in np.unique(features[core])
        ),
        supernodes=_supernodes(known, features, family),
    )


def _occurrences(known: Dictionary, rng: np.random.Generator, family: int, count: int) -> tuple[Array, Array]:
    """(feature, position) of each feature node, without repetition, sorted by layer, feature and position."""
    n_core = int(count * FROM_CORE)
    drawn = np.concatenate(
        [
            known.cores[family][np.searchsorted(known.core_popularity, rng.random(n_core))],
            np.minimum(np.searchsorted(known.popularity, rng.random(6 * count)), DICTIONARY - 1),
        ]
    )
    # A feature that is drawn again gets one more position, up to three.
    position = N_TOKENS - 1 - np.minimum(rng.geometric(0.3, len(drawn)) - 1, N_TOKENS - 2)
    keys = drawn * N_TOKENS + position
    _, first = np.unique(keys, return_index=True)
    chosen = keys[np.sort(first)[:count]]
    features, positions = chosen // N_TOKENS, chosen % N_TOKENS
    order = np.lexsort((positions, features, known.layers[features]))
    return features[order], positions[order]


def _nodes(
    known: Dictionary, rng: np.random.Generator, features: Array, positions: Array, shape: Shape, number: int
) -> tuple[tuple[Node, ...], Array]:
    """The nodes (features, errors, tokens, logits, in this order) and the influence of each node."""
    n = len(features) + shape.errors + N_TOKENS
    influence = rng.pareto(1.2, n) + 0.01
    influence /= influence.sum()
    order = np.argsort(-influence)
    cumulative = np.empty(n)
    cumulative[order] = np.cumsum(influence[order])
    raw, part = influence.tolist(), np.minimum(cumulative, 1.0).tolist()
    activation = rng.gamma(2.0, 3.0, len(features)).tolist()
    layers, indices = known.layers[features].tolist(), known.indices[features].tolist()
    nodes = [
        Node(NodeKind.FEATURE, layer, position, index, activation[i], raw[i], part[i])
        for i, (layer, position, index) in enumerate(zip(layers, positions.tolist(), indices, strict=True))
    ]
    places = rng.choice(N_LAYERS * (N_TOKENS - 1), shape.errors, replace=False)
    for place in np.sort(places).tolist():
        i = len(nodes)
        layer, position = divmod(place, N_TOKENS - 1)
        nodes.append(Node(NodeKind.ERROR, layer, position + 1, None, None, raw[i], part[i]))
    for place in range(N_TOKENS):
        i = len(nodes)
        token = f" {WORDS[(number + place) % len(WORDS)]}"
        nodes.append(Node(NodeKind.TOKEN, -1, place, place, None, raw[i], part[i], token))
    chances = np.sort(rng.dirichlet(np.ones(N_LOGITS)))[::-1].tolist()
    for place, chance in enumerate(chances):
        token = f" {WORDS[(number + place) % len(WORDS)]}"
        nodes.append(
            Node(NodeKind.LOGIT, N_LAYERS, N_TOKENS - 1, place, None, chance, None, token, probability=chance)
        )
    return tuple(nodes), influence


def _edges(
    rng: np.random.Generator, nodes: tuple[Node, ...], features: Array, shape: Shape, influence: Array
) -> tuple[Edge, ...]:
    """The strongest pairs of an earlier and a later node, ordered by target and source."""
    n_features, n_sources = len(features), len(influence)
    layer = np.array([node.layer for node in nodes[:n_sources]])
    position = np.array([node.position for node in nodes[:n_sources]])
    name = np.concatenate([features, 1_000_000 + np.arange(shape.errors), 2_000_000 + np.arange(N_TOKENS)])
    n_targets = n_features + N_LOGITS
    to_layer = np.concatenate([layer[:n_features], np.full(N_LOGITS, N_LAYERS)])
    to_position = np.concatenate([position[:n_features], np.full(N_LOGITS, N_TOKENS - 1)])
    to_name = np.concatenate([features, 3_000_000 + np.arange(N_LOGITS)])
    source, target = np.nonzero(
        (layer[:, None] < to_layer[None, :]) & (position[:, None] <= to_position[None, :])
    )
    own = _hashed(name.astype(np.uint64)[source] * np.uint64(4_000_000) + to_name.astype(np.uint64)[target])
    noise = np.exp(0.5 * rng.standard_normal(len(own), dtype=np.float32))
    strength = (-np.log(own.astype(np.float32))) ** np.float32(1.5) * noise
    count = min(shape.edges, len(own))
    chosen = np.argpartition(strength, -count)[-count:]
    source, target, own, strength = source[chosen], target[chosen], own[chosen], strength[chosen]
    order = np.lexsort((source, target))
    source, target, own = source[order], target[order], own[order]
    size = strength[order].astype(np.float64) * 0.1
    sign = np.where(_hashed((own * 2**40).astype(np.uint64)) < 0.3, -1.0, 1.0)
    sign = np.where(rng.random(count) < 0.05, -sign, sign)
    inputs = np.bincount(target, size, n_targets)
    share = size / inputs[target] * 0.9
    target = np.where(target < n_features, target, target - n_features + n_sources)
    return tuple(map(Edge, source.tolist(), target.tolist(), (sign * size).tolist(), share.tolist()))


def _hashed(keys: Array) -> Array:
    """Pseudorandom numbers in (0, 1) that depend on the keys only (the steps of SplitMix64)."""
    mixed = keys * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def _supernodes(known: Dictionary, features: Array, family: int) -> tuple[Supernode, ...]:
    """Two supernodes of the commonest features of the family's core, if the circuit has any."""
    groups = []
    for number in range(2):
        members = np.flatnonzero(np.isin(features, known.cores[family, 5 * number : 5 * number + 5]))
        if len(members):
            name = f"say {WORDS[(family + 7 * number) % len(WORDS)]}"
            groups.append(Supernode(name, None, tuple(members.tolist()), "synthetic-v1", "bench", 0.5))
    return tuple(groups)


def _label(feature: int) -> str:
    return f"{WORDS[feature % 15]} {WORDS[feature // 15 % 15]} words"
