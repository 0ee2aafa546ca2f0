"""Made-up circuits, and slow plain-Python answers to compare the database's with."""

import math
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from schema.circuit.attention import HeadPart, HeadTotal
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
from schema.upkeep.canonical_dump import Dump

N_LAYERS = 4
N_FEATURES = 200
MODEL = Model(
    name="made-up",
    revision="0123456789abcdef",
    architecture="LlamaForCausalLM",
    n_layers=N_LAYERS,
    d_model=16,
    vocab_size=1000,
    training_step=1500,
)
TRANSCODERS = TranscoderSet(
    name="made-up-clt",
    revision="fedcba9876543210",
    kind="clt",
    activation="jumprelu",
    input_hook="mlp.in",
    output_hook="mlp.out",
    n_features=N_FEATURES,
    model_id=MODEL.id,
)
RUN = Run(settings={"node_threshold": 0.8, "prompts": "made-up.jsonl"}, versions={"circuit-atlas": "0.1.0"})
FAMILIES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "arithmetic": ("{a} + {b} =", "{c}", ("numbers", "easy")),
    "capitals": ("The capital of state {a} by lake {b} is", "city{c}", ("two-hop",)),
    "antonyms": ('the opposite of " word{a} " (list {b}) is "', "word{c}", ("multilingual", "easy")),
}


def synthetic_circuits(n: int, seed: int = 0) -> list[Circuit]:
    """`n` circuits of about 30 nodes and 100 edges, the same for the same arguments.

    Few features are in most circuits, many in one or two, and each family prefers features of its own. Two
    consecutive circuits of one family are a minimal pair. Every tenth prompt has no expected token.
    """
    rng = random.Random(seed)
    common = [(rng.randrange(N_LAYERS), rng.randrange(N_FEATURES)) for _ in range(6)]
    pools = {family: list(dict.fromkeys(_feature(rng) for _ in range(60))) for family in FAMILIES}
    return [_circuit(rng, place, common, pools) for place in range(n)]


class Use(NamedTuple):
    """A feature in a circuit, free of position."""

    influence: float | None
    activation: float | None
    positions: list[int]


class Drive(NamedTuple):
    """The effect of one feature on another over circuits that have it."""

    n_circuits: int
    n_positive: int
    n_negative: int
    mean: float
    sd: float
    sign_consistency: float


def uses(circuits: Sequence[Circuit]) -> dict[tuple[str, str], Use]:
    """(circuit id, feature id) → what the USES relationship should say."""
    found: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for circuit in circuits:
        for node in circuit.nodes:
            if node.kind is NodeKind.FEATURE:
                found[circuit.id, feature_id(circuit, node)].append(node)
    return {
        key: Use(
            influence=_sum([node.influence for node in nodes if node.influence is not None]),
            activation=max((node.activation for node in nodes if node.activation is not None), default=None),
            positions=sorted(node.position for node in nodes),
        )
        for key, nodes in found.items()
    }


def drives(circuits: Sequence[Circuit]) -> dict[tuple[str, str], Drive]:
    """(source feature id, target feature id) → what the DRIVES relationship should say."""
    weights: dict[tuple[str, str], list[float]] = defaultdict(list)
    for circuit in circuits:
        for pair, weight in effects(circuit).items():
            weights[pair].append(weight)
    answer = {}
    for pair, values in weights.items():
        mean = math.fsum(values) / len(values)
        positive = sum(value > 0 for value in values)
        negative = sum(value < 0 for value in values)
        answer[pair] = Drive(
            n_circuits=len(values),
            n_positive=positive,
            n_negative=negative,
            mean=mean,
            sd=math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)),
            sign_consistency=max(positive, negative) / len(values),
        )
    return answer


def effects(circuit: Circuit) -> dict[tuple[str, str], float]:
    """(source feature id, target feature id) → weight summed over positions, in one circuit."""
    weights: dict[tuple[str, str], list[float]] = defaultdict(list)
    for edge in circuit.edges:
        source, target = circuit.nodes[edge.source], circuit.nodes[edge.target]
        if source.kind is NodeKind.FEATURE and target.kind is NodeKind.FEATURE:
            weights[feature_id(circuit, source), feature_id(circuit, target)].append(edge.weight)
    return {pair: math.fsum(values) for pair, values in weights.items()}


def feature_id(circuit: Circuit, node: Node) -> str:
    assert node.index is not None
    return circuit.transcoders.feature_id(node.layer, node.index)


def without_sums(held: Dump) -> Dump:
    """Without what deleting rounds: effects over circuits, and sums of influence."""
    rounded = ("DRIVES", "DRIVES_IN", "FOUND_IN")
    assert all(held[kind] for kind in rounded)
    features = [
        [labels, {name: value for name, value in properties.items() if name != "influence"}]
        for labels, properties in held["Feature"]
    ]
    return {kind: rows for kind, rows in held.items() if kind not in rounded} | {"Feature": features}


def _sum(values: list[float]) -> float | None:
    return math.fsum(values) if values else None


def _feature(rng: random.Random) -> tuple[int, int]:
    return rng.randrange(N_LAYERS), min(int(rng.paretovariate(0.6)), N_FEATURES) - 1


def _circuit(
    rng: random.Random,
    place: int,
    common: list[tuple[int, int]],
    pools: dict[str, list[tuple[int, int]]],
) -> Circuit:
    names = list(FAMILIES)
    family = names[place // 2 % len(names)]
    pattern, answer_pattern, tags = FAMILIES[family]
    answer = answer_pattern.format(c=place)
    text = pattern.format(a=place, b=place // 2)
    tokens = ("<s>", *text.split())
    n_tokens = len(tokens)
    prompt = Prompt(
        text=text,
        tokens=tokens,
        token_ids=tuple(rng.randrange(1000) for _ in tokens),
        family=family,
        tags=tags,
        expected=None if place % 10 == 9 else answer if rng.random() < 0.8 else "something else",
        accepted=(f"{answer} and more",) if place % 10 == 3 else (),
        pair=f"pair {place // 2}",
        split="held-out" if place % 3 == 0 else "train",
    )
    nodes = _nodes(rng, prompt, answer, common, pools[family])
    edges = _edges(rng, nodes)
    parts, totals = _heads(random.Random(place), nodes, edges) if place % 3 == 0 else ((), ())
    features = [i for i, node in enumerate(nodes) if node.kind is NodeKind.FEATURE]
    half = len(features) // 2
    # Viewers group tokens and logits, too.
    words = [i for i, node in enumerate(nodes) if node.kind is NodeKind.TOKEN][1 : 1 + place % 3]
    answers = [len(nodes) - 2] * (place % 2)
    groups = [("say the answer", features[half:] + answers), (f"{family} words", words + features[:half])]
    return Circuit(
        prompt=prompt,
        model=MODEL,
        transcoders=TRANSCODERS,
        target="salient-logits(10, 0.95)",
        target_position=n_tokens - 1,
        node_threshold=0.8,
        edge_threshold=0.98,
        max_feature_nodes=None,
        dtype="float32",
        special_first_token=True,
        n_left_out=1,
        continuation=f"{answer} and" if place % 10 == 3 else None,
        replacement_score=round(rng.uniform(0.3, 0.95), 6),
        completeness_score=round(rng.uniform(0.7, 0.99), 6),
        error_share=round(rng.uniform(0.01, 0.3), 6),
        n_active_features=len(features) * 4,
        n_selected_features=len(features) * 3,
        kept_influence=0.8 + round(rng.uniform(0, 0.1), 6),
        nodes=nodes,
        edges=edges,
        labels=tuple(
            Label(
                layer=layer,
                index=index,
                text=f"words like token{(layer * 31 + index) % 40}",
                method="token-statistics-v1",
                author="atlas",
                score=round(((layer * 7 + index) % 10) / 10, 1),
                null_score=0.1,
            )
            for layer, index in sorted({(nodes[i].layer, nodes[i].index or 0) for i in features})
        ),
        supernodes=tuple(
            Supernode(
                label=label,
                position=n_tokens - 1 if {nodes[i].position for i in members} == {n_tokens - 1} else None,
                members=tuple(members),
                method="made-up",
                author="atlas",
                score=round(rng.random(), 6),
            )
            for label, members in groups
            if members
        ),
        head_parts=parts,
        head_totals=totals,
    )


def _heads(
    rng: random.Random, nodes: Sequence[Node], edges: Sequence[Edge]
) -> tuple[tuple[HeadPart, ...], tuple[HeadTotal, ...]]:
    """Parts of most edges, and the totals of two heads a layer."""
    parts = [
        HeadPart(nodes[edge.source].key, nodes[edge.target].key, layer, head, edge.weight * share)
        for edge in edges
        for share, layer, head in ((0.5, rng.randrange(N_LAYERS), 0), (-0.25, rng.randrange(N_LAYERS), 1))
        if rng.random() < 0.7
    ]
    totals = [
        HeadTotal(layer, head, round(rng.uniform(-1, 1), 6), round(rng.random(), 6))
        for layer in range(N_LAYERS)
        for head in range(2)
    ]
    return tuple(parts), tuple(totals)


def _nodes(
    rng: random.Random,
    prompt: Prompt,
    answer: str,
    common: list[tuple[int, int]],
    pool: list[tuple[int, int]],
) -> tuple[Node, ...]:
    """Tokens first, then features and errors by layer and position, then logits."""
    n_tokens = len(prompt.tokens)
    kept: set[tuple[int, int, int]] = set()
    for layer, index in [*rng.sample(common, 4), *rng.sample(pool, min(8, len(pool)))]:
        for position in rng.sample(range(1, n_tokens), rng.choice((1, 1, 1, 2))):
            kept.add((layer, position, index))
    errors = {(rng.randrange(N_LAYERS), rng.randrange(1, n_tokens)) for _ in range(4)}
    assert prompt.token_ids is not None
    nodes = [
        Node(NodeKind.TOKEN, -1, position, prompt.token_ids[position], influence=_small(rng), token=token)
        for position, token in enumerate(prompt.tokens)
    ]
    inner = [
        Node(
            NodeKind.FEATURE,
            layer,
            position,
            index,
            activation=round(rng.uniform(0.1, 6), 6),
            influence=_small(rng),
            cumulative=round(rng.random(), 6),
        )
        for layer, position, index in kept
    ]
    inner.sort(key=lambda node: (node.layer, node.position, node.index))
    inner += [
        Node(NodeKind.ERROR, layer, position, None, influence=_small(rng))
        for layer, position in sorted(errors)
    ]
    nodes += sorted(inner, key=lambda node: node.layer)
    probability = round(rng.uniform(0.5, 0.9), 6)
    for token, index, share in (
        (answer, 7, probability),
        ("something else", 8, round(0.95 - probability, 6)),
    ):
        nodes.append(
            Node(
                NodeKind.LOGIT,
                N_LAYERS,
                n_tokens - 1,
                index,
                influence=share,
                token=token,
                probability=share,
            )
        )
    return tuple(nodes)


def _small(rng: random.Random) -> float:
    return round(rng.paretovariate(1.5) / 50, 6)


def _edges(rng: random.Random, nodes: tuple[Node, ...]) -> tuple[Edge, ...]:
    """From lower to higher layers, forward in position; most pairs keep their sign in all circuits."""
    edges = []
    for t, target in enumerate(nodes):
        if target.kind in (NodeKind.TOKEN, NodeKind.ERROR):
            continue
        sources = [
            s
            for s, source in enumerate(nodes)
            if source.layer < target.layer
            and source.position <= target.position
            and source.kind is not NodeKind.LOGIT
        ]
        chosen = sorted(rng.sample(sources, min(len(sources), 6)))
        for s in chosen:
            sign = 1 if (nodes[s].layer * 3 + (nodes[s].index or 0) + (target.index or 0)) % 3 else -1
            weight = sign * round(rng.uniform(-0.05, 1.0), 6)
            edges.append(Edge(s, t, weight, round(rng.uniform(0, 1 / len(chosen)), 6)))
    return tuple(edges)
