"""The graph model, declared once: every node label and relationship with its key, properties and indexes.

Constraints, indexes and `docs/graph-model.md` derive from these declarations; the tests compare them with
what a loaded database holds. Names are what people type in the Neo4j console.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Property:
    """One property of a node or relationship. A property whose value is unknown is absent, never 0 or ""."""

    name: str
    type: str
    about: str
    always: bool = True
    """Whether every node or relationship of the kind has it."""


def P(name: str, type_: str, about: str) -> Property:
    return Property(name, type_.rstrip("?"), about, always=not type_.endswith("?"))


@dataclass(frozen=True)
class NodeType:
    """One label."""

    label: str
    about: str
    properties: tuple[Property, ...]
    key: str | None = "id"
    """The property that is unique; None for labels that refine another (`refines`)."""
    refines: str | None = None
    """The label that nodes of this one carry too."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Properties with a range index; each entry is one index."""
    full_text: tuple[tuple[str, str], ...] = ()
    """(name of the index, property) of full-text indexes."""

    def schema(self) -> Iterator[str]:
        """The Cypher that creates the constraint and indexes; may run again."""
        name = self.label.lower()
        if self.key is not None:
            yield (
                f"CREATE CONSTRAINT {name}_{self.key} IF NOT EXISTS "
                f"FOR (n:{self.label}) REQUIRE n.{self.key} IS UNIQUE"
            )
        for names in self.indexes:
            # The suffix keeps its name off those of full-text indexes: IF NOT EXISTS goes by name, too.
            index, fields = "_".join((name, *names, "range")), ", ".join(f"n.{field}" for field in names)
            yield f"CREATE INDEX {index} IF NOT EXISTS FOR (n:{self.label}) ON ({fields})"
        for index, field in self.full_text:
            yield f"CREATE FULLTEXT INDEX {index} IF NOT EXISTS FOR (n:{self.label}) ON EACH [n.{field}]"


@dataclass(frozen=True)
class RelationshipType:
    """One relationship type between two labels."""

    type: str
    source: str
    target: str
    about: str
    properties: tuple[Property, ...] = ()


MODEL = NodeType(
    "Model",
    "A language model at one revision; every checkpoint of a training run is a model of its own.",
    (
        P("id", "string", "name@revision"),
        P("name", "string", "as on the hub, or the folder's name"),
        P("revision", "string?", "commit of the hub repository, or a hash of the weights"),
        P("architecture", "string?", "such as LlamaForCausalLM"),
        P("n_layers", "integer?", "transformer blocks"),
        P("d_model", "integer?", "width of the residual stream"),
        P("vocab_size", "integer?", "tokens of the vocabulary"),
        P("training_step", "integer?", "of a checkpoint"),
    ),
)

TRANSCODER_SET = NodeType(
    "TranscoderSet",
    "The transcoders that make a replacement model of one model.",
    (
        P("id", "string", "name@revision"),
        P("name", "string", "as on the hub, or the folder's name"),
        P("revision", "string?", "commit of the hub repository, or a hash of the files"),
        P("kind", "string?", "clt (cross-layer) or plt (per-layer)"),
        P("activation", "string?", "relu, jumprelu or topk"),
        P("input_hook", "string?", "what the encoders read"),
        P("output_hook", "string?", "what the decoders write"),
        P("n_features", "integer?", "dictionary width of one layer"),
    ),
)

FEATURE = NodeType(
    "Feature",
    "A feature of a transcoder set: one node for all prompts. It is here because a circuit has it; "
    "a feature that is not here was never seen in a loaded circuit, which is not the same as inactive.",
    (
        P("id", "string", "set/layer/index"),
        P("layer", "integer", "0 … n_layers-1"),
        P("index", "integer", "in the dictionary of its layer; other tools' numbers can pass 2^31"),
        P("component", "string?", "attention, for features of attention; absent: of an MLP"),
    ),
    indexes=(("layer", "index"),),
)

PROMPT = NodeType(
    "Prompt",
    "A prompt as one tokenizer sees it. What the first load said of it stays; later loads only add tags.",
    (
        P("id", "string", "hash of text and token ids"),
        P("text", "string", "as given"),
        P("tokens", "list of strings", "decoded tokens, the special first token included"),
        P("token_ids", "list of integers?", "vocabulary ids"),
        P("expected", "string?", "the expected next token"),
        P("pair", "string?", "shared by the members of a minimal pair"),
        P("split", "string?", "train or held-out, with respect to the model's corpus"),
    ),
    indexes=(("pair",),),
    full_text=(("prompt_text", "text"),),
)

FAMILY = NodeType(
    "Family", "A kind of task, such as arithmetic.", (P("name", "string", "of the family"),), "name"
)
TAG = NodeType("Tag", "A free tag of prompts.", (P("name", "string", "the tag"),), "name")

RUN = NodeType(
    "Run",
    "One call of `atlas ingest`: what was asked, with which versions.",
    (
        P("id", "string", "hash of settings and versions"),
        P("settings", "string", "JSON"),
        P("versions", "string", "JSON"),
    ),
)

CIRCUIT = NodeType(
    "Circuit",
    "A pruned attribution graph of one prompt and one target. The denominators of every cross-prompt count "
    "are here: a feature can be absent because it was inactive, not selected (see n_active_features and "
    "n_selected_features), or pruned (see the thresholds and kept_influence).",
    (
        P("id", "string", "hash of model, set, dtype, tokens, target and thresholds"),
        P("target", "string?", "what was attributed"),
        P("target_position", "integer", "position of the target, 0-based"),
        P("node_threshold", "float?", "share of influence that the kept nodes were to hold"),
        P("edge_threshold", "float?", "the same for edges"),
        P("max_feature_nodes", "integer?", "limit on features that were attributed; absent: no limit"),
        P("dtype", "string?", "of the computation"),
        P("special_first_token", "boolean?", "whether features and errors at the first token were left out"),
        P("replacement_score", "float?", "share of end-to-end influence through features, not errors"),
        P("completeness_score", "float?", "share of each node's input through features and tokens"),
        P("error_share", "float?", "share of feature and error influence that is the errors'"),
        P("n_active_features", "integer?", "features that were active, before any selection"),
        P("n_selected_features", "integer?", "of these, the ones that were attributed"),
        P("kept_influence", "float?", "share of all node influence that the kept nodes hold"),
        P("n_nodes", "integer", "nodes kept"),
        P("n_edges", "integer", "edges kept"),
        P("answer", "string?", "the most probable logit's token"),
        P("answer_probability", "float?", "its probability"),
        P("correct", "boolean?", "whether it is the expected token; absent when none is known"),
        P("weights", "string?", "what the edges' weights are when not direct effects, such as gradient"),
        P("content", "string?", "imported: hash of nodes and edges"),
        P("tool", "string?", "imported: whose format the file had"),
        P("slug", "string?", "imported: the graph's name in its file"),
        P("scan", "string?", "imported: as in its file"),
        P("source_set", "string?", "imported: Neuronpedia's name of the transcoders"),
        P("attention_source_set", "string?", "imported: the same for features of attention"),
        P("creator", "string?", "imported: by whom, as the file says"),
        P("description", "string?", "imported: as the file says"),
    ),
)

NODE = NodeType(
    "Node",
    "A node of a circuit; carries one of the labels FeatureNode, ErrorNode, TokenNode, LogitNode and "
    "OtherNode too.",
    (
        P("id", "string", "circuit/kind:layer:position:index"),
        P("layer", "integer", "tokens -1; features and errors 0 … n_layers-1; logits n_layers"),
        P("position", "integer", "in the prompt, 0-based, the special first token included"),
        P("position_from_end", "integer", "0 for the last token"),
        P(
            "influence",
            "float?",
            "raw influence on the target in the unpruned graph; absent when a file lacks it",
        ),
        P(
            "cumulative",
            "float?",
            "share of all influence held by nodes at least as influential (small: important)",
        ),
        P("component", "string?", "attention; of other nodes: what they are; absent: an MLP"),
        P("pinned", "boolean?", "true when somebody pinned it in a viewer"),
    ),
)
FEATURE_NODE = NodeType(
    "FeatureNode",
    "One feature, active at one position.",
    (P("index", "integer", "of the feature"), P("activation", "float?", "its activation")),
    None,
    "Node",
)
ERROR_NODE = NodeType(
    "ErrorNode", "What the transcoders of one layer miss at one position.", (), None, "Node"
)
TOKEN_NODE = NodeType(
    "TokenNode",
    "The embedding of one token of the prompt.",
    (P("index", "integer?", "vocabulary id"), P("token", "string?", "its text")),
    None,
    "Node",
)
LOGIT_NODE = NodeType(
    "LogitNode",
    "An output token, or another target.",
    (
        P("index", "integer?", "vocabulary id"),
        P("token", "string?", "its text"),
        P("probability", "float?", "the model's probability"),
    ),
    None,
    "Node",
)
OTHER_NODE = NodeType(
    "OtherNode",
    "A source in another tool's graph that is none of these, such as a bias; its component says what.",
    (),
    None,
    "Node",
)

SUPERNODE = NodeType(
    "Supernode",
    "Features of one circuit that play one role.",
    (
        P("id", "string", "hash of circuit, label, position, members, method and author"),
        P("label", "string", "what it is called"),
        P("position", "integer?", "when all members stand at one"),
        P("method", "string", "how it was made"),
        P("author", "string", "by whom"),
        P("score", "float?", "of the method"),
    ),
    full_text=(("supernode_label", "label"),),
)
CONCEPT = NodeType(
    "Concept", "What supernodes of many circuits mean.", (P("label", "string", "their label"),), "label"
)

LABEL = NodeType(
    "Label",
    "What somebody or something says a feature is. Never overwritten: a new text is a new label.",
    (
        P("id", "string", "hash of feature, text, method and author"),
        P("text", "string", "the label"),
        P("method", "string", "how it was made, such as token-statistics-v1 or person"),
        P("author", "string", "by whom"),
        P("score", "float?", "how well it predicts activations, 0 … 1"),
        P("null_score", "float?", "what a label of another feature scores"),
    ),
    full_text=(("label_text", "text"),),
)

MIGRATION = NodeType(
    "Migration",
    "A change of the schema or the data that this database has seen.",
    (
        P("version", "integer", "1, 2, 3 …"),
        P("name", "string", "what it did"),
        P("applied_at", "datetime", "when"),
    ),
    "version",
)

NODES = (
    MODEL,
    TRANSCODER_SET,
    FEATURE,
    LABEL,
    PROMPT,
    FAMILY,
    TAG,
    RUN,
    CIRCUIT,
    NODE,
    FEATURE_NODE,
    ERROR_NODE,
    TOKEN_NODE,
    LOGIT_NODE,
    OTHER_NODE,
    SUPERNODE,
    CONCEPT,
    MIGRATION,
)

RELATIONSHIPS = (
    RelationshipType("FOR", "TranscoderSet", "Model", "The model that the transcoders replace."),
    RelationshipType("IN", "Feature", "TranscoderSet", "The set that a feature belongs to."),
    RelationshipType("LABELS", "Label", "Feature", "The feature that a label is about."),
    RelationshipType("IN_FAMILY", "Prompt", "Family", "At most one."),
    RelationshipType("TAGGED", "Prompt", "Tag", "Any number."),
    RelationshipType("OF_PROMPT", "Circuit", "Prompt", "The prompt of a circuit."),
    RelationshipType("BY", "Circuit", "TranscoderSet", "The transcoders that a circuit was made with."),
    RelationshipType("FROM_RUN", "Circuit", "Run", "The run that loaded it."),
    RelationshipType("HAS", "Circuit", "Node", "Its nodes."),
    RelationshipType("HAS", "Circuit", "Supernode", "Its supernodes."),
    RelationshipType("INSTANCE_OF", "FeatureNode", "Feature", "The feature that is active."),
    RelationshipType(
        "ATTRIBUTES",
        "Node",
        "Node",
        "A signed direct effect.",
        (
            P("weight", "float", "effect on the target's pre-activation or logit, the activation folded in"),
            P("share", "float?", "|weight| over the sum of |weight| of all inputs in the unpruned graph"),
        ),
    ),
    RelationshipType("GROUPS", "Supernode", "FeatureNode", "Its members."),
    RelationshipType("MEANS", "Supernode", "Concept", "What it stands for."),
    RelationshipType(
        "USES",
        "Circuit",
        "Feature",
        "Aggregate: a feature in a circuit, free of position.",
        (
            P("influence", "float?", "sum over positions; absent when no position has one"),
            P("activation", "float?", "maximum over positions"),
            P("positions", "list of integers", "where it is active and kept, ascending"),
        ),
    ),
    RelationshipType(
        "DRIVES",
        "Feature",
        "Feature",
        "Aggregate over circuits: the effect of one feature on another, in each circuit summed over "
        "positions. Circuits without the effect do not count as zero.",
        (
            P("n_circuits", "integer", "circuits that have the effect"),
            P("n_positive", "integer", "of these, circuits where it is above 0"),
            P("n_negative", "integer", "of these, circuits where it is below 0"),
            P("mean", "float", "over these circuits"),
            P("m2", "float", "sum of squared deviations from the mean, from which the next load goes on"),
            P("sd", "float", "sqrt(m2 / n_circuits)"),
            P("sign_consistency", "float", "the larger of n_positive and n_negative over n_circuits"),
        ),
    ),
)


def schema_statements() -> list[str]:
    """The Cypher that creates every constraint and index, one statement each; may run again."""
    return [statement for node in NODES for statement in node.schema()]


def markdown() -> str:
    """The content of `docs/graph-model.md`."""
    lines = ["# The graph model", "", "<!-- Written by schema/model.py; do not edit. -->", ""]
    lines += [
        "An optional property is absent when its value is unknown: absent is never zero.",
        "",
        "## Nodes",
        "",
    ]
    for node in NODES:
        also = f" (a {node.refines})" if node.refines else ""
        lines += [f"### `:{node.label}`{also}", "", node.about, ""]
        if node.properties:
            lines += _table(node.properties, node.key)
        indexed = [f"`{', '.join(names)}`" for names in node.indexes]
        indexed += [f"full text `{index}` over `{field}`" for index, field in node.full_text]
        if indexed:
            lines += [f"Indexed: {'; '.join(indexed)}.", ""]
    lines += ["## Relationships", ""]
    for relationship in RELATIONSHIPS:
        pattern = f"(:{relationship.source})-[:{relationship.type}]->(:{relationship.target})"
        lines += [f"### `{pattern}`", "", relationship.about, ""]
        if relationship.properties:
            lines += _table(relationship.properties, None)
    return "\n".join(lines).rstrip() + "\n"


def _table(properties: tuple[Property, ...], key: str | None) -> list[str]:
    rows = ["| property | type | |", "|---|---|---|"]
    for each in properties:
        kind = each.type if each.always else f"{each.type}, optional"
        about = each.about.replace("|", "\\|")
        rows.append(f"| `{each.name}` | {kind} | {about}{' (unique)' if each.name == key else ''} |")
    return [*rows, ""]
