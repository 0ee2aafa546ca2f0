"""The graph model, declared once: every node label and relationship with its key, properties and indexes.

Constraints, indexes, the columns of a bulk import and `docs/graph-model.md` derive from these declarations;
the tests compare them with what a loaded database holds. Names are what people type in the Neo4j console.
"""

from schema.model.aggregates import AGGREGATE_RELATIONSHIPS
from schema.model.checkpoints import CHECKPOINT, CHECKPOINT_RELATIONSHIPS
from schema.model.declare import NodeType, P, RelationshipType, Vector
from schema.model.evidence import CAUSAL_NODES, CAUSAL_RELATIONSHIPS
from schema.model.jobs import JOB_NODES, JOB_RELATIONSHIPS
from schema.model.labels import EXAMPLE, LABEL
from schema.model.modules import PARTITION_NODES, PARTITION_RELATIONSHIPS
from schema.model.people import PEOPLE_NODES, PEOPLE_RELATIONSHIPS

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
        P("n_circuits", "integer", "aggregate: circuits that use it"),
        P("n_measured", "integer", "aggregate: of these, circuits in which its influence is known"),
        P("influence", "float", "aggregate: its influence summed over these"),
        P("degree", "integer", "aggregate: features that it drives, and those that it is driven by"),
        P(
            "promotes",
            "list of strings?",
            "tokens whose logits it raises most, from `atlas examples` or a file",
        ),
        P("suppresses", "list of strings?", "tokens whose logits it lowers most, from the same"),
        P("density", "float?", "share of a corpus's tokens that it fires on, from the same"),
        P(
            "direction",
            "list of floats?",
            "what it writes, all layers summed, as a unit vector: `atlas label`",
        ),
        P("direction_of", "string?", "id of its set, where it has a direction"),
    ),
    indexes=(("layer", "index"), ("n_circuits",), ("influence",), ("degree",)),
    vectors=(Vector("feature_direction", "direction", "direction_of"),),
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
    "What `atlas ingest` or `atlas import` was asked, with which versions; the same again goes on with it.",
    (
        P("id", "string", "hash of settings and versions"),
        P("settings", "string", "JSON"),
        P("versions", "string", "JSON"),
        P("started_at", "datetime?", "when it first began; absent in databases older than the ledger"),
        P("ended_at", "datetime?", "when it last came to its end; absent: it was stopped, or goes on"),
    ),
)

ENTRY = NodeType(
    "Entry",
    "A line of a run's ledger: what became of one input, written in the transaction that loads it.",
    (
        P("id", "string", "run/key"),
        P("key", "string", "hash of the input's content, or another name that stays with it"),
        P("name", "string", "of the file or line, for people"),
        P("outcome", "string", "loaded, present (the circuit was there already) or refused"),
        P("reason", "string?", "why it was refused"),
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
        P(
            "pruned_features",
            "list of integers?",
            "features that were attributed and kept at no position, each as index * 1024 + layer, ascending",
        ),
        P(
            "unselected_features",
            "list of integers?",
            "features that were active and attributed at no position, numbered in the same way. When both "
            "lists are there, a feature in neither and without USES was inactive",
        ),
        P(
            "layer_features",
            "list of floats?",
            "influence of its feature nodes, summed by layer from 0; nodes of unknown influence left out",
        ),
        P("layer_errors", "list of floats?", "the same of its error nodes"),
        P(
            "stage_flows",
            "list of floats?",
            "what each stage of it (early, middle and late thirds of the layers, logits) gets from each "
            "source (tokens, early, middle, late, errors, other, pruned), stage by stage: the influence of "
            "the stage's nodes split by the shares of their inputs. Absent unless all of these are known",
        ),
        P("n_nodes", "integer", "nodes kept"),
        P("n_edges", "integer", "edges kept"),
        P("answer", "string?", "the most probable logit's token"),
        P("answer_probability", "float?", "its probability"),
        P("correct", "boolean?", "whether it is the expected token; absent when none is known"),
        P("weights", "string?", "what the edges' weights are when not direct effects, such as gradient"),
        P("content", "string?", "imported: hash of nodes and edges"),
        P(
            "qk_tracing",
            "string?",
            "imported: what the other tool traced of attention scores, as it came: JSON with "
            "`qk_tracing_results` by node and `qk_only_nodes`",
        ),
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
    "Nodes of one circuit that play one role: features; people and viewers group tokens and logits, too.",
    (
        P("id", "string", "hash of circuit, label, members, method, author and what it replaces"),
        P("label", "string", "what it is called"),
        P("position", "integer?", "when all members stand at one"),
        P("method", "string", "how it was made"),
        P("author", "string", "by whom"),
        P("score", "float?", "of the method"),
        P("made_at", "datetime?", "when a person made it over the API"),
    ),
)
CONCEPT = NodeType(
    "Concept", "What supernodes of many circuits mean.", (P("label", "string", "their label"),), "label"
)

HEAD = NodeType(
    "Head",
    "An attention head of a model.",
    (
        P("id", "string", "model/layer/number"),
        P("layer", "integer", "its layer, from 0"),
        P("number", "integer", "its number in the layer, from 0"),
    ),
    indexes=(("layer", "number"),),
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
    ENTRY,
    CIRCUIT,
    NODE,
    FEATURE_NODE,
    ERROR_NODE,
    TOKEN_NODE,
    LOGIT_NODE,
    OTHER_NODE,
    SUPERNODE,
    CONCEPT,
    EXAMPLE,
    HEAD,
    CHECKPOINT,
    *PARTITION_NODES,
    *CAUSAL_NODES,
    *JOB_NODES,
    *PEOPLE_NODES,
    MIGRATION,
)

RELATIONSHIPS = (
    RelationshipType("FOR", "TranscoderSet", "Model", "The model that the transcoders replace."),
    RelationshipType("IN", "Feature", "TranscoderSet", "The set that a feature belongs to."),
    RelationshipType("LABELS", "Label", "Feature", "The feature that a label is about."),
    RelationshipType("EXAMPLE_OF", "Example", "Feature", "The feature that fires in it."),
    RelationshipType("IN_FAMILY", "Prompt", "Family", "At most one."),
    RelationshipType("TAGGED", "Prompt", "Tag", "Any number."),
    RelationshipType("OF_PROMPT", "Circuit", "Prompt", "The prompt of a circuit."),
    RelationshipType("BY", "Circuit", "TranscoderSet", "The transcoders that a circuit was made with."),
    RelationshipType("FROM_RUN", "Circuit", "Run", "The run that loaded it."),
    RelationshipType("LISTS", "Run", "Entry", "Its ledger."),
    RelationshipType("GAVE", "Entry", "Circuit", "What the input became; absent for refused inputs."),
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
            P(
                "heads",
                "list of strings?",
                "layer/number of the heads that carry most of it, the strongest first",
            ),
            P("head_weights", "list of floats?", "the parts of the weight that they carry"),
        ),
    ),
    RelationshipType("OF_MODEL", "Head", "Model", "The model that a head belongs to."),
    RelationshipType(
        "RUNS_THROUGH",
        "Circuit",
        "Head",
        "The influence that runs through a head, over all edges that cross its layer.",
        (
            P("net", "float", "parts against their edge's sign count as negative"),
            P("gross", "float", "every part counts as positive"),
            P("effect", "float?", "of the head giving 0, on the answer's centred logit: `atlas ablate`"),
        ),
    ),
    RelationshipType("GROUPS", "Supernode", "Node", "Its members."),
    RelationshipType("MEANS", "Supernode", "Concept", "What it stands for."),
    *AGGREGATE_RELATIONSHIPS,
    *CHECKPOINT_RELATIONSHIPS,
    *PARTITION_RELATIONSHIPS,
    *CAUSAL_RELATIONSHIPS,
    *JOB_RELATIONSHIPS,
    *PEOPLE_RELATIONSHIPS,
)


def schema_statements() -> list[str]:
    """The Cypher that creates every constraint and index, one statement each; may run again."""
    return [statement for each in (*NODES, *RELATIONSHIPS) for statement in each.schema()]
