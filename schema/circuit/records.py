"""The records of a circuit in memory: plain frozen values, without torch and without the database.

Our own graphs (`ingest.circuits.convert`) and the files of other tools (`schema.formats.graph`) become these
records. `schema.loading.load` writes records to Neo4j, and `schema.loading.read` reads them back. The terms
are those of "Circuit Tracing" (Anthropic 2025).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from schema.circuit.attention import HeadPart, HeadTotal, QkScore


def stable_id(*parts: object) -> str:
    """An id of 20 hexadecimal digits that is the same in every process: SHA-256 of the parts as JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


FLOAT32_MAX = 3.4028235e38
"""The largest finite 32-bit number. Weights, activations and scores beyond it are refused: their squares, of
which variances are made, would not be finite."""


ATLAS = "atlas"
"""Author of the labels that the atlas makes itself. A feature has one of each method."""


class NodeKind(StrEnum):
    """The kinds of node of an attribution graph."""

    FEATURE = "feature"
    ERROR = "error"
    TOKEN = "token"
    LOGIT = "logit"
    OTHER = "other"
    """A source of another kind, such as a bias; `Node.component` says what it is."""


class Derived(StrEnum):
    """A fact that was derived from a pruned graph file, because the file does not give it."""

    INFLUENCE = "influence"
    """`Node.influence`: the node's own share of all influence, and so everything that is summed from it."""
    SHARE = "share"
    """`Edge.share`: the share among the kept inputs of the target."""
    ERROR_SHARE = "error_share"
    REPLACEMENT_SCORE = "replacement_score"
    COMPLETENESS_SCORE = "completeness_score"


DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the writing direction of the text after them. They are not allowed in texts that
people write, because they also turn the text around a label."""


@dataclass(frozen=True, slots=True)
class Model:
    """A language model at one revision. Every checkpoint of a training run is a separate model."""

    name: str
    revision: str | None
    """Commit of the hub repository, or a hash of the weights for a local folder. This field and the fields
    below are None when an imported file does not give them."""
    architecture: str | None
    """Class name in transformers, such as `LlamaForCausalLM`."""
    n_layers: int | None
    """Number of transformer blocks."""
    d_model: int | None
    """Width of the residual stream."""
    vocab_size: int | None
    """Number of tokens in the vocabulary."""
    training_step: int | None = None
    """Step of the training run; only checkpoints have one."""

    @property
    def id(self) -> str:
        """`name@revision`, with the first 12 characters of the revision."""
        return self.name if self.revision is None else f"{self.name}@{self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class TranscoderSet:
    """The transcoders that make a replacement model of one model."""

    name: str
    revision: str | None
    """Commit of the hub repository, or a hash of the files for a local folder. This field and the fields
    below are None when an imported file does not give them."""
    kind: str | None
    """`clt` (cross-layer) or `plt` (per-layer)."""
    activation: str | None
    """`relu`, `jumprelu` or `topk`."""
    input_hook: str | None
    """Place in the model that the encoders read."""
    output_hook: str | None
    """Place in the model that the decoders write to."""
    n_features: int | None
    """Number of features of one layer."""
    model_id: str
    """`Model.id` of the model that the transcoders replace."""
    neuronpedia: str | None = None
    """Model and source set under which Neuronpedia has the features, such as `gemma-2-2b/clt-hp`; None when
    no file says it."""
    neuronpedia_attention: str | None = None
    """The same for features of attention."""

    @property
    def id(self) -> str:
        """`name@revision`, with the first 12 characters of the revision."""
        return self.name if self.revision is None else f"{self.name}@{self.revision[:12]}"

    def feature_id(self, layer: int, index: int, component: str | None = None) -> str:
        """The id of one feature of the set. component: as in `Node`."""
        return f"{self.id}/{'' if component is None else f'{component}/'}{layer}/{index}"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt as one tokenizer sees it."""

    text: str
    tokens: tuple[str, ...]
    """The text of each token, with its leading space. Bytes of a character that the tokenizer splits are the
    character and its part, such as `日[1/3]`. A special first token is included when there is one."""
    token_ids: tuple[int, ...] | None
    """Vocabulary ids of the tokens; None when an imported file does not give them."""
    family: str | None = None
    """Name of the prompt family, such as `arithmetic`."""
    tags: tuple[str, ...] = ()
    """Free tags."""
    expected: str | None = None
    """The expected answer, when known: one token or several."""
    accepted: tuple[str, ...] = ()
    """Further answers that are right too."""
    pair: str | None = None
    """Shared by the members of a minimal pair."""
    split: str | None = None
    """`train` or `held-out` with respect to the model's corpus, when known."""

    @property
    def id(self) -> str:
        """Hash of the text and the token ids, or of the text and the tokens when the ids are unknown."""
        return stable_id(self.text, self.tokens if self.token_ids is None else self.token_ids)


@dataclass(frozen=True, slots=True)
class Run:
    """Arguments and versions of one call of `atlas ingest` or `atlas import`.

    The same arguments and versions have the same id, so repeating a command resumes its run.
    """

    settings: Mapping[str, object]
    """Arguments of the command. The values must be JSON."""
    versions: Mapping[str, str]
    """Name of a package → its version."""

    @property
    def id(self) -> str:
        """Hash of the settings and the versions."""
        return stable_id(dict(self.settings), dict(self.versions))


class FeatureKey(NamedTuple):
    """What identifies a feature inside its transcoder set."""

    layer: int
    number: int
    """Index of the feature in its layer. (Tuples have a method `index`.)"""
    component: str | None
    """As in `Node`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a circuit. Edges and supernodes refer to it by its place in `Circuit.nodes`."""

    kind: NodeKind
    layer: int
    """-1 for token nodes, 0 … n_layers-1 for feature and error nodes, n_layers for logit nodes."""
    position: int
    """Position in the prompt, from 0. The special first token counts."""
    index: int | None
    """Feature nodes: index of the feature in its layer. Token and logit nodes: vocabulary id, None when it is
    unknown. Error nodes: None."""
    activation: float | None = None
    """Feature nodes: the activation. Other nodes: None."""
    influence: float | None = None
    """Raw influence on the target logits in the unpruned graph, 0 or more; None when it is unknown. In a
    circuit whose influence was derived (`Circuit.derived`), the node's share of all influence, 0 to 1. Logit
    nodes: the probability that weighs the logit in the influence of all other nodes."""
    cumulative: float | None = None
    """Share of all influence, 0 to 1, that is held by the nodes that are at least as influential. A small
    value means an important node. Graph files call this value `influence`."""
    token: str | None = None
    """Token and logit nodes: the text of the token."""
    probability: float | None = None
    """Logit nodes: the probability that the model gives the token, 0 to 1."""
    component: str | None = None
    """Feature and error nodes: `attention` when they replace attention; None when they replace an MLP. Nodes
    of kind `other`: what they are."""
    pinned: bool = False
    """Whether somebody pinned the node in a viewer."""
    influence_is_bound: bool = False
    """Whether `influence` was derived and is only an upper bound; see `schema.circuit.derived`."""

    @property
    def feature_key(self) -> FeatureKey:
        """The key of the feature that a feature node is an instance of."""
        assert self.index is not None
        return FeatureKey(self.layer, self.index, self.component)

    @property
    def key(self) -> str:
        """A key that is unique inside the circuit."""
        key = f"{self.kind}:{self.layer}:{self.position}:{'-' if self.index is None else self.index}"
        if self.component is not None:
            key += f":{self.component}"
        if self.kind is NodeKind.LOGIT and self.index is None:  # only its text distinguishes it
            key += f":{stable_id(self.token)}"
        return key


class Edge(NamedTuple):
    """A signed direct effect of one node on another."""

    source: int
    """Place of the source in `Circuit.nodes`."""
    target: int
    """Place of the target in `Circuit.nodes`."""
    weight: float
    """Direct effect on the target's pre-activation or logit. It includes the activation of the source."""
    share: float | None
    """|weight| divided by the sum of |weight| over all inputs of the target in the unpruned graph, 0 to 1;
    None when it is unknown. In a circuit whose shares were derived, the sum is over the kept inputs."""


class FeatureExample(NamedTuple):
    """A text on which a feature is active."""

    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    """Activation of the feature at each token."""


@dataclass(frozen=True, slots=True)
class FeatureNotes:
    """Facts about one feature from a feature file or from a pass over a corpus."""

    layer: int
    index: int
    """Index of the feature in its layer."""
    label: str | None
    """Description of the feature; None when there is none."""
    examples: tuple[FeatureExample, ...]
    """Examples, those with the largest activation first."""
    promotes: tuple[str, ...]
    """Tokens whose logits the feature raises most."""
    suppresses: tuple[str, ...]
    """Tokens whose logits the feature lowers most."""
    transcoders: str | None
    """Name of the transcoders as the file gives it; None when the file names no transcoders."""
    density: float | None = None
    """Share of tokens on which the feature is active, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Label:
    """A description of a feature by a person or a program."""

    layer: int
    """Layer of the feature."""
    index: int
    """Index of the feature in its layer."""
    text: str
    method: str
    """How the label was made, such as `token-statistics-v1` or `person`."""
    author: str
    """Name of the person or program that wrote the label."""
    score: float | None = None
    """How well the label predicts the activations, 0 to 1; None when it was not scored."""
    null_score: float | None = None
    """Score that labels of other features of the layer reach on this feature, 0 to 1."""
    component: str | None = None
    """Component of the feature, as in `Node`."""
    scorer: str | None = None
    """The test that gave an imported label its score, such as `eleuther_fuzz`; None for the atlas's own."""


@dataclass(frozen=True, slots=True)
class Supernode:
    """A group of nodes of one circuit that play one role."""

    label: str
    """Name of the group. Supernodes of many circuits with the same label share one Concept."""
    position: int | None
    """Position of the members when all members have the same position; None otherwise."""
    members: tuple[int, ...]
    """Places in `Circuit.nodes` of features. Supernodes from viewers can also hold tokens and logits."""
    method: str
    """How the group was made, such as `person`."""
    author: str
    """Name of the person or program that made the group."""
    score: float | None = None
    """Score that the method gave the group; None when it gave none."""


@dataclass(frozen=True, slots=True)
class Source:
    """The file from which a circuit was imported."""

    tool: str
    """Tool in whose format the file is written, such as `circuit-tracer`."""
    slug: str
    """Name of the graph in the file."""
    scan: str
    """`scan` as the file has it: the transcoders in circuit-tracer's files, the model in Neuronpedia's."""
    source_set: str | None = None
    """Neuronpedia's name for the transcoders."""
    attention_source_set: str | None = None
    """Neuronpedia's name for the dictionaries of attention features."""
    creator: str | None = None
    """Name of the graph's creator as the file gives it."""
    description: str | None = None
    """Description of the graph as the file gives it."""
    title: str | None = None
    """Title of the graph as the file gives it: `title_prefix`, or else `title`."""
    creator_url: str | None = None
    """Address of the graph's creator."""
    source_urls: tuple[str, ...] = ()
    """Addresses of the features, such as https://neuronpedia.org/gemma-2-2b/clt-hp."""
    create_time_ms: int | None = None
    """Time at which the graph was made, in milliseconds since 1970."""
    generator: str | None = None
    """Name and version of the program that made the graph."""
    file_metadata: str | None = None
    """`metadata` of the file, unchanged, as JSON. This field and the next two are None when the file is no
    graph JSON, or when they are too large to keep."""
    file_view: str | None = None
    """`qParams` of the file, unchanged, as JSON: what a viewer shows first."""
    file_layout: str | None = None
    """The rest of the file: `schema.exports.layout`, packed."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A pruned attribution graph of one prompt and one target, with everything that loading needs.

    Fields that have the name of a property of `Circuit` in `schema.model.core` are stored under that name.
    """

    prompt: Prompt
    model: Model
    transcoders: TranscoderSet
    target: str | None
    """What was attributed, such as `salient-logits(10, 0.95)`. This field and the fields below, up to
    `kept_influence`, are None when an imported file does not give them."""
    target_position: int
    """Position of the target, from 0. Always known."""
    node_threshold: float | None
    """Share of the influence, 0 to 1, that pruning had to keep with the nodes."""
    edge_threshold: float | None
    """Share of the influence, 0 to 1, that pruning had to keep with the edges."""
    max_feature_nodes: int | None
    """Largest number of feature nodes that are attributed. None also means that all active ones are."""
    dtype: str | None
    """Number format of the computation, such as `float32`."""
    special_first_token: bool | None
    """Whether the prompt begins with a special token, whose features and errors were left out."""
    replacement_score: float | None
    """Share of the end-to-end influence that runs through features and not through errors, 0 to 1."""
    completeness_score: float | None
    """Share of the nodes' inputs that does not come from errors, weighted by influence, 0 to 1."""
    error_share: float | None
    """Share of the errors in the influence of all feature and error nodes before pruning, 0 to 1."""
    n_active_features: int | None
    """Number of feature nodes that were active, before any selection."""
    n_selected_features: int | None
    """Number of active feature nodes that were attributed."""
    kept_influence: float | None
    """Share of the influence of all nodes that the kept nodes hold, 0 to 1."""
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    labels: tuple[Label, ...] = ()
    supernodes: tuple[Supernode, ...] = field(default=())
    weights: str | None = None
    """What the weights of the edges are when they are not direct effects, such as `gradient`."""
    source: Source | None = None
    """Imported circuits: the file. Other circuits: None."""
    content: str | None = None
    """Imported circuits: hash of nodes and edges. The id of an imported circuit follows from this hash,
    because a file does not give all the settings from which the id of our own circuits follows."""
    head_parts: tuple[HeadPart, ...] = ()
    """The attention heads that carry most of each edge. This field and the next two are empty when no
    attention heads were computed."""
    head_totals: tuple[HeadTotal, ...] = ()
    """The influence that runs through each attention head."""
    qk_scores: tuple[QkScore, ...] = ()
    """Attention scores that were split by pairs of sources."""
    qk_tracing: str | None = None
    """Attention scores that another tool traced, as JSON; see `schema.formats.qk_tracing`."""
    target_logit: str | None = None
    """Imported circuits: `Node.key` of the logit node that the file marks as the target. It decides which of
    several equally probable logits is the answer. None when the file marks no logit."""

    pruned_features: tuple[tuple[int, int], ...] | None = None
    """(layer, index) of each feature that was attributed but kept at no position. None in this field or the
    next means unknown: then a feature that is not in the circuit may have been pruned, not selected or
    inactive."""
    unselected_features: tuple[tuple[int, int], ...] | None = None
    """(layer, index) of each feature that was active but attributed at no position."""
    derived: tuple[Derived, ...] = ()
    """What was derived from a pruned file and not read; see `schema.circuit.derived`. Sorted."""
    error_share_low: float | None = None
    """Derived error share: the least value that the file allows, 0 to 1. None when `error_share` is known."""
    error_share_high: float | None = None
    """Derived error share: the greatest value that the file allows, 0 to 1."""
    max_edges: int | None = None
    """Largest number of edges to keep, when edges were dropped for it."""
    n_left_out: int | None = None
    """Number of positions at the start whose features and errors were left out, because the transcoders were
    not trained on them. None in circuits that were made before this was recorded: then it is 1 when
    `special_first_token` is true, else 0."""
    continuation: str | None = None
    """The model's most probable continuation, as far as it was compared with an expected answer of several
    tokens. None when the first token decided."""

    @property
    def id(self) -> str:
        """Hash of everything that determines the circuit; for an imported circuit, hash of `content`."""
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
            max_edges=self.max_edges,
            n_left_out=self.n_left_out,
        )

    @property
    def answer(self) -> Node | None:
        """The most probable logit node, when it is known to be the model's next token; None otherwise.

        Among equally probable logits it is the one that the file marks as the target (`target_logit`).

        A target that somebody chose (given tokens, a difference of two tokens, or tokens at another position)
        need not include the next token. Then the most probable logit node counts only when its probability is
        above ½.
        """
        logits = [node for node in self.nodes if node.kind is NodeKind.LOGIT and node.probability is not None]
        if self.target is not None:
            last = len(self.prompt.tokens) - 1
            logits = [node for node in logits if node.position == last and node.index is not None]
        best = max(
            logits, key=lambda node: (node.probability or 0.0, node.key == self.target_logit), default=None
        )
        if best is None or self._salient_at(best.position) or (best.probability or 0.0) > 0.5:
            return best
        return None

    def _salient_at(self, position: int) -> bool:
        """Whether the targets include the most probable next tokens at a position; true for graph files."""
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
        """Whether the answer is an expected one; None when no answer is expected or the answer is unknown.

        The model's most probable continuation is compared with each expected answer over as many tokens as
        this answer has, apart from spaces around them.
        """
        if self.prompt.expected is None or self.answer is None or self.answer.token is None:
            return None
        said = self.answer.token if self.continuation is None else self.continuation
        right = (self.prompt.expected, *self.prompt.accepted)
        return said.strip() in {each.strip() for each in right}


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
    max_edges: int | None = None,
    n_left_out: int | None = None,
) -> str:
    """The id of the circuit that these inputs give.

    max_feature_nodes, max_edges: limits for which something was dropped. A limit that drops nothing gives the
    circuit of no limit. An id is therefore known before the circuit is computed, except for whether a limit
    drops something. Equal inputs give equal ids, so loading a circuit again changes nothing, and different
    circuits never share an id. n_left_out: counts when it is above 1, which `special_first_token` says not.
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
        *(() if max_edges is None else (max_edges,)),
        *([f"n_left_out {n_left_out}"] if (n_left_out or 0) > 1 else []),
    )


def label_id(feature_id: str, text: str, method: str, author: str) -> str:
    """The id of a label. The same text by the same method and author on one feature is the same label."""
    return stable_id(feature_id, text, method, author)
