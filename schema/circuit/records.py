"""What a circuit is, in memory: plain frozen values, no torch, no database.

Our own graphs (`ingest.circuits.convert`) and other tools' files (`schema.exports.graph_json`) meet here;
`schema.loading.load` writes these records to Neo4j. The terms are those of "Circuit Tracing" (Anthropic
2025).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from schema.circuit.attention import HeadPart, HeadTotal, QkScore


def stable_id(*parts: object) -> str:
    """A 20-hex-digit id, the same in every process: SHA-256 of the parts as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


class NodeKind(StrEnum):
    """The kinds of node of an attribution graph."""

    FEATURE = "feature"
    ERROR = "error"
    TOKEN = "token"
    LOGIT = "logit"
    OTHER = "other"
    """A source that is none of these, such as a bias; `Node.component` says what it is."""


DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows, also where a label is only a part of a line."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model at one revision; every checkpoint of a training run is a model of its own."""

    name: str
    revision: str | None
    """Commit of the hub repository, or a hash of the weights for a local folder. This and what follows is
    None when an imported file does not say it."""
    architecture: str | None
    n_layers: int | None
    d_model: int | None
    vocab_size: int | None
    training_step: int | None = None

    @property
    def id(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class TranscoderSet:
    """The transcoders that make a replacement model of one model."""

    name: str
    revision: str | None
    """Commit of the hub repository, or a hash of the files for a local folder. This and what follows is None
    when an imported file does not say it."""
    kind: str | None
    """`clt` (cross-layer) or `plt` (per-layer)."""
    activation: str | None
    """`relu`, `jumprelu` or `topk`."""
    input_hook: str | None
    output_hook: str | None
    n_features: int | None
    """Dictionary width of one layer."""
    model_id: str

    @property
    def id(self) -> str:
        return self.name if self.revision is None else f"{self.name}@{self.revision[:12]}"

    def feature_id(self, layer: int, index: int, component: str | None = None) -> str:
        """component: as in `Node`."""
        return f"{self.id}/{'' if component is None else f'{component}/'}{layer}/{index}"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as one tokenizer sees it."""

    text: str
    tokens: tuple[str, ...]
    """Decoded tokens, the special first token included when there is one."""
    token_ids: tuple[int, ...] | None
    """None when an imported file does not say them."""
    family: str | None = None
    tags: tuple[str, ...] = ()
    expected: str | None = None
    """The expected next token, when known."""
    pair: str | None = None
    """Shared by the members of a minimal pair."""
    split: str | None = None
    """`train` or `held-out` with respect to the model's corpus, when known."""

    @property
    def id(self) -> str:
        return stable_id(self.text, self.tokens if self.token_ids is None else self.token_ids)


@dataclass(frozen=True, slots=True)
class Run:
    """One call of `atlas ingest`: what was asked, with which versions."""

    settings: Mapping[str, object]
    versions: Mapping[str, str]

    @property
    def id(self) -> str:
        return stable_id(dict(self.settings), dict(self.versions))


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a circuit. Its place in `Circuit.nodes` is what edges and supernodes refer to."""

    kind: NodeKind
    layer: int
    """Token nodes: -1. Features and errors: 0 … n_layers-1. Logit nodes: n_layers."""
    position: int
    """Position in the prompt, 0-based, the special first token included."""
    index: int | None
    """Feature index, vocabulary id (token and logit nodes), None for error nodes."""
    activation: float | None = None
    """Feature nodes: the activation. Others: None."""
    influence: float | None = None
    """Raw influence on the target logits in the unpruned graph, ≥ 0; None when a file lacks it. For logit
    nodes: the probability that weighs them."""
    cumulative: float | None = None
    """Share of all influence held by nodes at least as influential (small = important); what files carry."""
    token: str | None = None
    """Token and logit nodes: the token's text."""
    probability: float | None = None
    """Logit nodes: the model's probability."""
    component: str | None = None
    """What the node replaces when that is not an MLP: `attention`; other nodes: what they are."""
    pinned: bool = False
    """Whether somebody pinned it in a viewer."""

    @property
    def key(self) -> str:
        """Unique inside a circuit."""
        key = f"{self.kind}:{self.layer}:{self.position}:{'-' if self.index is None else self.index}"
        if self.component is not None:
            key += f":{self.component}"
        if self.kind is NodeKind.LOGIT and self.index is None:  # only its text tells it from others
            key += f":{stable_id(self.token)}"
        return key


class Edge(NamedTuple):
    """A signed direct effect of one node on another."""

    source: int
    """Place of the source in `Circuit.nodes`."""
    target: int
    """Place of the target in `Circuit.nodes`."""
    weight: float
    """Direct effect on the target's pre-activation or logit, the source's activation folded in."""
    share: float | None
    """|weight| over the sum of |weight| of all inputs of the target in the unpruned graph, 0 … 1; None when
    an imported file lacks it."""


class Example(NamedTuple):
    """A context that a feature fires in."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    """One for each token."""


@dataclass(frozen=True, slots=True)
class FeatureNotes:
    """What a feature file, or a pass over a corpus, says of one feature."""

    layer: int
    index: int
    label: str | None
    examples: tuple[Example, ...]
    """The strongest first."""
    promotes: tuple[str, ...]
    """Tokens whose logits it raises most."""
    suppresses: tuple[str, ...]
    """Tokens whose logits it lowers most."""
    transcoders: str | None
    """The transcoders that the file names."""
    density: float | None = None
    """Share of tokens that it fires on, 0 … 1."""


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody or something says a feature is. Versioned: a new text is a new label."""

    layer: int
    index: int
    text: str
    method: str
    """How it was made, e.g. `token-statistics-v1`, `person`."""
    author: str
    score: float | None = None
    null_score: float | None = None
    component: str | None = None
    """The feature's, as in `Node`."""


@dataclass(frozen=True, slots=True)
class Supernode:
    """Nodes of one circuit that play one role."""

    label: str
    """Shared by supernodes of many circuits: becomes the Concept that they mean."""
    position: int | None
    members: tuple[int, ...]
    """Places in `Circuit.nodes`: features, and in files of viewers tokens and logits, too."""
    method: str
    author: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The file that an imported circuit came from."""

    tool: str
    """Which tool's format it is in, such as `circuit-tracer`."""
    slug: str
    """The graph's name in it."""
    scan: str
    """As in the file: the transcoders for circuit-tracer, the model for Neuronpedia."""
    source_set: str | None = None
    """Neuronpedia's name of the transcoders."""
    attention_source_set: str | None = None
    """Neuronpedia's name of the dictionaries of attention features."""
    creator: str | None = None
    """Who made it, as the file says."""
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Circuit:
    """A pruned attribution graph of one prompt and one target, with everything needed to load it."""

    prompt: Prompt
    model: Model
    transcoders: TranscoderSet
    target: str | None
    """What was attributed, e.g. `salient-logits(10, 0.95)`. This and what follows is None when an imported
    file does not say it."""
    target_position: int
    node_threshold: float | None
    edge_threshold: float | None
    max_feature_nodes: int | None
    """None: no limit, or a file does not say it."""
    dtype: str | None
    special_first_token: bool | None
    """Whether a special token stands first and its features and errors were left out."""
    replacement_score: float | None
    completeness_score: float | None
    error_share: float | None
    """Share of the influence of all feature and error nodes (unpruned) that is the errors'."""
    n_active_features: int | None
    n_selected_features: int | None
    kept_influence: float | None
    """Share of all node influence that the pruned nodes keep."""
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    labels: tuple[Label, ...] = ()
    supernodes: tuple[Supernode, ...] = field(default=())
    weights: str | None = None
    """What the edges' weights are when they are not direct effects, such as `gradient`."""
    source: Source | None = None
    """Imported circuits: where from."""
    content: str | None = None
    """Imported circuits: hash of nodes and edges, from which the id follows because a file does not say all
    the settings that our own circuits go by."""
    head_parts: tuple[HeadPart, ...] = ()
    """The strongest heads of each edge; empty when heads were not asked for, as in what follows."""
    head_totals: tuple[HeadTotal, ...] = ()
    qk_scores: tuple[QkScore, ...] = ()
    qk_tracing: str | None = None
    """What another tool traced of attention scores, as JSON: see `schema.formats.qk_tracing`."""

    pruned_features: tuple[tuple[int, int], ...] | None = None
    """(layer, index) of the features that were attributed and kept at no position. None, here and in what
    follows: not known, so that a feature that is not kept may be anything."""
    unselected_features: tuple[tuple[int, int], ...] | None = None
    """(layer, index) of the features that were active and attributed at no position."""

    @property
    def id(self) -> str:
        if self.content is not None:
            return stable_id("imported", self.transcoders.id, self.content)
        return circuit_id(
            model_id=self.model.id,
            transcoders_id=self.transcoders.id,
            dtype=self.dtype,
            token_ids=self.prompt.token_ids or (),
            target=self.target,
            target_position=self.target_position,
            node_threshold=self.node_threshold,
            edge_threshold=self.edge_threshold,
            max_feature_nodes=self.max_feature_nodes,
            special_first_token=self.special_first_token,
        )

    @property
    def answer(self) -> Node | None:
        """The model's next token: the most probable logit node.

        None when that is not known: targets that somebody chose, such as given tokens, a difference of two or
        another position's tokens, need not hold it; unless its probability is above ½.
        """
        logits = [node for node in self.nodes if node.kind is NodeKind.LOGIT and node.probability is not None]
        if self.target is not None:
            last = len(self.prompt.tokens) - 1
            logits = [node for node in logits if node.position == last and node.index is not None]
        best = max(logits, key=lambda node: node.probability or 0.0, default=None)
        if best is None or self._salient_at(best.position) or (best.probability or 0.0) > 0.5:
            return best
        return None

    def _salient_at(self, position: int) -> bool:
        """Whether the most probable next tokens at a position are among the targets; so it is in files."""
        if self.target is None:
            return True
        parts = [part.partition(" @ ") for part in self.target.split(" + ")]
        places = [int(at) if at.isdecimal() else self.target_position for _, _, at in parts]
        return any(
            part.startswith("salient-logits(") and place == position
            for (part, _, _), place in zip(parts, places, strict=True)
        )

    @property
    def correct(self) -> bool | None:
        """Whether the answer is the expected token; None when no expectation is known."""
        if self.prompt.expected is None or self.answer is None or self.answer.token is None:
            return None
        return self.answer.token.strip() == self.prompt.expected.strip()


def circuit_id(
    *,
    model_id: str,
    transcoders_id: str,
    dtype: str | None,
    token_ids: Sequence[int],
    target: str | None,
    target_position: int,
    node_threshold: float | None,
    edge_threshold: float | None,
    max_feature_nodes: int | None,
    special_first_token: bool | None,
) -> str:
    """The id of the circuit that these inputs give, known before it is computed.

    The same for the same model, transcoders, tokens, target and thresholds, so that loading is idempotent and
    circuits of two settings never mix unnoticed.
    """
    return stable_id(
        model_id,
        transcoders_id,
        dtype,
        list(token_ids),
        target,
        target_position,
        None if node_threshold is None else float(node_threshold),
        None if edge_threshold is None else float(edge_threshold),
        max_feature_nodes,
        special_first_token,
    )
