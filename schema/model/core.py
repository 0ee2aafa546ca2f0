"""The graph model, declared once: every node label and relationship with its key, properties and indexes.

Constraints, indexes, the properties that loading writes and reads, the settings in exported graph JSON, the
columns of tables and of a bulk import, and `docs/graph-model.md` derive from these declarations. The tests
compare them with the content of a loaded database. People type these names in the Neo4j console.
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
    "A language model at one revision. Every checkpoint of a training run is a separate model.",
    (
        P("id", "string", "The name, and after an @ the first 12 characters of the revision if it is known."),
        P("name", "string", "Name of the model on the hub, or name of its folder."),
        P(
            "revision",
            "string?",
            "Commit of the hub repository, or a hash of the weights. Absent if unknown.",
        ),
        P("architecture", "string?", "Class of the model, such as LlamaForCausalLM. Absent if unknown."),
        P("n_layers", "integer?", "Number of transformer blocks, 1 or more. Absent if unknown."),
        P("d_model", "integer?", "Width of the residual stream, 1 or more. Absent if unknown."),
        P("vocab_size", "integer?", "Number of tokens in the vocabulary, 1 or more. Absent if unknown."),
        P(
            "training_step",
            "integer?",
            "Training step of the checkpoint, 0 or more. Absent unless it is a checkpoint.",
        ),
    ),
)

TRANSCODER_SET = NodeType(
    "TranscoderSet",
    "The transcoders that make a replacement model of one model.",
    (
        P("id", "string", "The name, and after an @ the first 12 characters of the revision if it is known."),
        P("name", "string", "Name of the transcoders on the hub, or name of their folder."),
        P("revision", "string?", "Commit of the hub repository, or a hash of the files. Absent if unknown."),
        P("kind", "string?", "clt (cross-layer) or plt (per-layer). Absent if unknown."),
        P("activation", "string?", "Activation function: relu, jumprelu or topk. Absent if unknown."),
        P("input_hook", "string?", "Place in the model that the encoders read. Absent if unknown."),
        P("output_hook", "string?", "Place in the model that the decoders write to. Absent if unknown."),
        P("n_features", "integer?", "Number of features of one layer, 1 or more. Absent if unknown."),
        P(
            "neuronpedia",
            "string?",
            "Model and source set under which Neuronpedia has the features, such as gemma-2-2b/clt-hp. "
            "Absent if no graph file says it.",
        ),
        P(
            "neuronpedia_attention",
            "string?",
            "The same for the features of attention. Absent if no graph file says it.",
        ),
        P(
            "fvu",
            "float?",
            "Fraction of variance unexplained: the share of the variance of an MLP's outputs that the "
            "transcoders miss, 0 or more; the median over layers. Absent unless `atlas transcoders measure` "
            "wrote it.",
        ),
        P(
            "agreement",
            "float?",
            "Share of tokens at which the model with all MLPs replaced by the transcoders has the same most "
            "probable next token as the model, 0 to 1. Absent unless `atlas transcoders measure` wrote it.",
        ),
        P(
            "measured",
            "string?",
            "JSON: what `atlas transcoders measure` found for each layer and for replaced layers. Absent "
            "unless it wrote it.",
        ),
    ),
)

FEATURE = NodeType(
    "Feature",
    "A feature of a transcoder set: one node for all prompts. It is stored because a circuit has it. A "
    "feature that is not stored was in no loaded circuit, which does not mean that it was inactive.",
    (
        P("id", "string", "The id of the set, the layer and the index, separated by slashes."),
        P("layer", "integer", "Layer of the feature, 0 to n_layers - 1."),
        P(
            "index",
            "integer",
            "Index of the feature in its layer, 0 or more. In files of other tools it can exceed 2^31.",
        ),
        P("component", "string?", "attention for a feature of attention. Absent for a feature of an MLP."),
        P("n_circuits", "integer", "Number of circuits that have the feature, 0 or more."),
        P(
            "n_measured",
            "integer",
            "Number of these circuits in which the influence of the feature is known, 0 to n_circuits.",
        ),
        P(
            "influence",
            "float",
            "Sum of the feature's influence over these n_measured circuits, 0 or more. In one circuit the "
            "influence is the sum over positions (see USES).",
        ),
        P(
            "degree",
            "integer",
            "Number of DRIVES relationships that begin or end at the feature, 0 or more.",
        ),
        P(
            "promotes",
            "list of strings?",
            "Tokens whose logits the feature raises most, the strongest first. Absent unless `atlas "
            "examples` or a feature file gave them.",
        ),
        P(
            "suppresses",
            "list of strings?",
            "Tokens whose logits the feature lowers most, the strongest first. Absent unless `atlas "
            "examples` or a feature file gave them.",
        ),
        P(
            "density",
            "float?",
            "Share of a corpus's tokens on which the feature is active, 0 to 1. Absent unless `atlas "
            "examples` or a feature file gave it.",
        ),
        P(
            "direction",
            "list of floats?",
            "Unit vector of what the feature writes to the residual stream, summed over all layers and "
            "compressed to 256 numbers. Absent unless `atlas label` wrote it.",
        ),
        P(
            "direction_of",
            "string?",
            "Id of the feature's set, by which a search over directions is limited. Absent without a "
            "direction.",
        ),
    ),
    indexes=(("layer", "index"), ("n_circuits",), ("influence",), ("degree",)),
    vectors=(Vector("feature_direction", "direction", "direction_of"),),
)

PROMPT = NodeType(
    "Prompt",
    "A prompt as one tokenizer sees it. The properties come from the first load of the prompt; later loads "
    "only add tags.",
    (
        P(
            "id",
            "string",
            "Hash of the text and the token ids, or of the text and the tokens if the ids are unknown.",
        ),
        P("text", "string", "Text of the prompt as it was given."),
        P(
            "tokens",
            "list of strings",
            "The text of each token, with its leading space, including the special first token if there is "
            "one. Bytes of a character that the tokenizer splits are the character and its "
            "part, such as 日[1/3].",
        ),
        P(
            "token_ids",
            "list of integers?",
            "Vocabulary id of each token, 0 or more. Absent if a file does not give them.",
        ),
        P("expected", "string?", "The expected answer, of one token or several. Absent if none was given."),
        P("accepted", "list of strings?", "Further answers that are right too. Absent if there are none."),
        P(
            "pair",
            "string?",
            "Name that the two members of a minimal pair share. Absent for a prompt without a pair.",
        ),
        P(
            "split",
            "string?",
            "train if the prompt is in the model's training corpus, held-out if it is not. Absent if "
            "unknown.",
        ),
    ),
    indexes=(("pair",),),
    full_text=(("prompt_text", "text"),),
)

FAMILY = NodeType(
    "Family",
    "A prompt family: prompts with one kind of task, such as arithmetic.",
    (P("name", "string", "Name of the family."),),
    "name",
)
TAG = NodeType("Tag", "A free tag of prompts.", (P("name", "string", "Text of the tag."),), "name")

RUN = NodeType(
    "Run",
    "Arguments and versions of one call of `atlas ingest` or `atlas import`. Repeating the command resumes "
    "the run.",
    (
        P("id", "string", "Hash of settings and versions."),
        P("settings", "string", "Arguments of the command, as a JSON object."),
        P("versions", "string", "Version of each package that computes, as a JSON object."),
        P(
            "started_at",
            "datetime?",
            "Time in UTC when the run first began. Absent if a version of the atlas without a ledger wrote "
            "it.",
        ),
        P(
            "ended_at",
            "datetime?",
            "Time in UTC when the run last reached its end. Absent while it works, and after it was stopped.",
        ),
    ),
)

ENTRY = NodeType(
    "Entry",
    "A line of a run's ledger: the outcome of one input. An import writes it in the transaction that loads "
    "the input. An ingest has lines only for the prompts that gave no circuit when it last ended.",
    (
        P("id", "string", "Hash of the run's id and the key."),
        P("key", "string", "Hash of the input's content, or another text that identifies it in every call."),
        P("name", "string", "Name of the file or line for people."),
        P("outcome", "string", "loaded, present (the circuit was stored already) or refused."),
        P("reason", "string?", "Why the input was refused. Absent unless the outcome is refused."),
    ),
)

LEASE = NodeType(
    "Lease",
    "A process at work: it loads circuits of runs, or deletes them, and keeps others from the opposite. "
    "The lease of a process that was killed ends at `until`.",
    (
        P("id", "string", "Random digits."),
        P("doing", "string", "loading or deleting."),
        P("process", "string", "Number of the process, and name of its machine."),
        P("runs", "list of strings", "Ids of the runs. A run may not be stored yet."),
        P("until", "datetime", "Time in UTC when the lease ends unless the process renews it."),
    ),
)

CIRCUIT = NodeType(
    "Circuit",
    "A pruned attribution graph of one prompt and one target. It holds the denominators of every count over "
    "prompts: a feature that a circuit lacks was inactive, not selected (see n_active_features and "
    "n_selected_features) or pruned (see the thresholds and kept_influence).",
    (
        P(
            "id",
            "string",
            "Hash of model, set, dtype, tokens, target, limits and thresholds. For an imported circuit, "
            "hash of set and content.",
        ),
        P(
            "target",
            "string?",
            "What was attributed, such as salient-logits(10, 0.95). Absent if a file does not say it.",
        ),
        P("target_position", "integer", "Position of the target in the prompt, from 0."),
        P(
            "node_threshold",
            "float?",
            "Share of the influence that the kept nodes had to hold, 0 to 1. Absent if unknown.",
        ),
        P(
            "edge_threshold",
            "float?",
            "Share of the influence that the kept edges had to hold, 0 to 1. Absent if unknown.",
        ),
        P(
            "max_feature_nodes",
            "integer?",
            "Largest number of feature nodes to attribute, 1 or more. Absent if all active features were "
            "attributed, or if it is unknown.",
        ),
        P(
            "max_edges",
            "integer?",
            "Largest number of edges to keep, 1 or more. Absent if no edge was dropped for such a limit.",
        ),
        P("dtype", "string?", "Number format of the computation, such as float32. Absent if unknown."),
        P(
            "special_first_token",
            "boolean?",
            "Whether the prompt begins with a special token, whose features and errors were left out. "
            "Absent if unknown.",
        ),
        P(
            "n_left_out",
            "integer?",
            "Number of positions at the start whose features and errors were left out, because the "
            "transcoders were not trained on them. Absent in imported circuits and those of version 0.1.0.",
        ),
        P(
            "replacement_score",
            "float?",
            "Share of the end-to-end influence that runs through features and not through errors, 0 to 1. "
            "Absent if unknown.",
        ),
        P(
            "completeness_score",
            "float?",
            "Share of the nodes' inputs that does not come from errors, weighted by influence, 0 to 1. "
            "Absent if unknown.",
        ),
        P(
            "error_share",
            "float?",
            "Share of the errors in the influence of all features and errors before pruning, 0 to 1. If it "
            "is derived: among the kept features and errors. Absent if unknown.",
        ),
        P(
            "error_share_low",
            "float?",
            "The error share if all pruned influence belongs to features, 0 to 1. Absent unless "
            "error_share is derived.",
        ),
        P(
            "error_share_high",
            "float?",
            "The error share if all pruned influence belongs to errors, 0 to 1. Absent unless "
            "error_share is derived.",
        ),
        P(
            "derived",
            "list of strings?",
            "What was derived from a pruned file, because the file does not give it: any of influence (of "
            "nodes; a share of all influence), share (of edges; among the kept inputs), error_share, "
            "replacement_score and completeness_score (of the kept graph). USES, the sums by layer and "
            "stage_flows follow from influence and share. Absent if nothing was derived.",
        ),
        P(
            "n_active_features",
            "integer?",
            "Number of features that were active, counted at each position, before any selection. Absent if "
            "unknown.",
        ),
        P(
            "n_selected_features",
            "integer?",
            "Number of these features that were attributed, 0 to n_active_features. Absent if unknown.",
        ),
        P(
            "kept_influence",
            "float?",
            "Share of the influence of all nodes that the kept nodes hold, 0 to 1. Absent if unknown.",
        ),
        P(
            "pruned_features",
            "list of integers?",
            "Features that were attributed but kept at no position, each as index * 1024 + layer, "
            "ascending. Absent if unknown.",
        ),
        P(
            "unselected_features",
            "list of integers?",
            "Features that were active but attributed at no position, each as index * 1024 + layer, "
            "ascending. Absent if unknown. If both lists are present, a feature that is in neither list and "
            "that the circuit does not use was inactive.",
        ),
        P(
            "layer_features",
            "list of floats?",
            "Influence of the feature nodes, summed by layer from layer 0, each 0 or more. Nodes of unknown "
            "influence do not count. Absent if the influence of all features or of all errors is unknown.",
        ),
        P(
            "layer_errors",
            "list of floats?",
            "Influence of the error nodes, summed by layer from layer 0, each 0 or more. Nodes of unknown "
            "influence do not count. Absent if the influence of all features or of all errors is unknown.",
        ),
        P(
            "stage_flows",
            "list of floats?",
            "Influence that each stage (early, middle and late third of the layers, logits) gets from each "
            "source (tokens, early, middle, late, errors, other, pruned), as 28 numbers, stage by stage. "
            "The influence of each node is split by the shares of its inputs. Absent unless every "
            "influence, every share and the number of layers are known.",
        ),
        P("n_nodes", "integer", "Number of kept nodes, 0 or more."),
        P("n_edges", "integer", "Number of kept edges, 0 or more."),
        P(
            "answer",
            "string?",
            "The model's next token: the token of the most probable logit node. Absent if the targets need "
            "not include the next token.",
        ),
        P("answer_probability", "float?", "Probability of the answer, 0 to 1. Absent if unknown."),
        P(
            "correct",
            "boolean?",
            "Whether the answer is an expected one, apart from spaces: the first token, or `continuation` if "
            "an expected answer has several tokens. Absent if no answer is expected or the answer is "
            "unknown.",
        ),
        P(
            "continuation",
            "string?",
            "The model's most probable continuation, as far as it was compared with an expected answer of "
            "several tokens. Absent if the first token decided.",
        ),
        P(
            "weights",
            "string?",
            "What the weights of the edges are, such as gradient. Absent if they are direct effects.",
        ),
        P(
            "content",
            "string?",
            "Imported circuits: SHA-256 of prompt, nodes and edges, as 64 hexadecimal digits. Absent for "
            "circuits that the atlas computed.",
        ),
        P(
            "qk_tracing",
            "string?",
            "Imported circuits: attention scores that the other tool traced, as a JSON object with "
            "`qk_tracing_results` by node and `qk_only_nodes`. Absent if the file has none.",
        ),
        P(
            "target_logit",
            "string?",
            "Imported circuits: the logit node that the file marks as the target, as "
            "kind:layer:position:index. Among equally probable logits it is the answer. Absent if the file "
            "marks none.",
        ),
        P(
            "tool",
            "string?",
            "Imported circuits: tool in whose format the file was, such as neuronpedia. Absent for other "
            "circuits, like the properties below.",
        ),
        P("slug", "string?", "Imported circuits: name of the graph in its file."),
        P(
            "scan",
            "string?",
            "Imported circuits: `scan` of the file, which names the transcoders or the model.",
        ),
        P(
            "source_set",
            "string?",
            "Imported circuits: Neuronpedia's name for the transcoders. Absent if the file does not give it.",
        ),
        P(
            "attention_source_set",
            "string?",
            "Imported circuits: Neuronpedia's name for the features of attention. Absent if the file does "
            "not give it.",
        ),
        P(
            "creator",
            "string?",
            "Imported circuits: name of the graph's creator. Absent if the file does not give it.",
        ),
        P(
            "description",
            "string?",
            "Imported circuits: description of the graph. Absent if the file does not give it.",
        ),
        P(
            "title",
            "string?",
            "Imported circuits: title of the graph (title_prefix or title). Absent if the file does not give "
            "it.",
        ),
        P(
            "creator_url",
            "string?",
            "Imported circuits: address of the graph's creator. Absent if the file does not give it.",
        ),
        P(
            "source_urls",
            "list of strings?",
            "Imported circuits: addresses of the features, such as "
            "https://neuronpedia.org/gemma-2-2b/clt-hp. Absent if the file does not give them.",
        ),
        P(
            "create_time_ms",
            "integer?",
            "Imported circuits: time at which the graph was made, in milliseconds since 1970. Absent if the "
            "file does not give it.",
        ),
        P(
            "generator",
            "string?",
            "Imported circuits: name and version of the program that made the graph. Absent if the file does "
            "not give it.",
        ),
        P(
            "file_metadata",
            "string?",
            "Imported circuits: `metadata` of the file, unchanged, as a JSON object. Absent if the file is "
            "not graph JSON, or if it is too large.",
        ),
        P(
            "file_view",
            "string?",
            "Imported circuits: `qParams` of the file, unchanged, as a JSON object. Absent if the file has "
            "none, or if it is too large.",
        ),
        P(
            "file_layout",
            "string?",
            "Imported circuits: order of nodes and links, forms of ids and unknown keys of the file, packed "
            "for exports. Absent if the file is not graph JSON, or if it is too large.",
        ),
    ),
    indexes=(("slug",), ("creator",), ("tool",)),
)

NODE = NodeType(
    "Node",
    "A node of a circuit. It also has exactly one of the labels FeatureNode, ErrorNode, TokenNode, "
    "LogitNode and OtherNode.",
    (
        P("id", "string", "The id of the circuit, a slash, and kind:layer:position:index."),
        P(
            "layer",
            "integer",
            "Layer: -1 for tokens, 0 to n_layers - 1 for features and errors, n_layers for logits.",
        ),
        P("position", "integer", "Position in the prompt, from 0. The special first token counts."),
        P("position_from_end", "integer", "Number of tokens after this position, 0 for the last token."),
        P(
            "influence",
            "float?",
            "Raw influence on the target logits in the unpruned graph, 0 or more. If the circuit's influence "
            "is derived: the node's share of all influence, 0 to 1. For a logit: its probability. Absent if "
            "unknown.",
        ),
        P(
            "cumulative",
            "float?",
            "Share of all influence that is held by the nodes that are at least as influential, 0 to 1. A "
            "small value means an important node. Absent for logits and if unknown.",
        ),
        P(
            "component",
            "string?",
            "attention for features and errors of attention; for an OtherNode, what it is. Absent for an "
            "MLP, tokens and logits.",
        ),
        P("pinned", "boolean?", "true if somebody pinned the node in a viewer. Absent otherwise."),
        P(
            "influence_is_bound",
            "boolean?",
            "true if the influence is derived and only an upper bound, because pruned nodes stood before the "
            "node in the order of influence. Absent otherwise, and also where the file does not show that "
            "nodes are missing there: then the influence is an upper bound without this mark.",
        ),
    ),
    indexes=(("pinned",),),
)
FEATURE_NODE = NodeType(
    "FeatureNode",
    "A feature that is active at one position.",
    (
        P("index", "integer", "Index of the feature in its layer, 0 or more."),
        P("activation", "float?", "Activation of the feature at this position. Absent if unknown."),
    ),
    None,
    "Node",
)
ERROR_NODE = NodeType(
    "ErrorNode",
    "The part of one layer's output at one position that the transcoders do not reconstruct.",
    (),
    None,
    "Node",
)
TOKEN_NODE = NodeType(
    "TokenNode",
    "The embedding of one token of the prompt.",
    (
        P("index", "integer?", "Vocabulary id of the token, 0 or more. Absent if unknown."),
        P("token", "string?", "Text of the token. Absent if unknown."),
    ),
    None,
    "Node",
)
LOGIT_NODE = NodeType(
    "LogitNode",
    "An output token, or another target.",
    (
        P("index", "integer?", "Vocabulary id of the token, 0 or more. Absent for other targets."),
        P("token", "string?", "Text of the token or target. Absent if unknown."),
        P("probability", "float?", "Probability that the model gives the token, 0 to 1. Absent if unknown."),
    ),
    None,
    "Node",
)
OTHER_NODE = NodeType(
    "OtherNode",
    "A source of another kind in another tool's graph, such as a bias. Its component says what it is.",
    (),
    None,
    "Node",
)

SUPERNODE = NodeType(
    "Supernode",
    "A group of nodes of one circuit that play one role. Methods group features; people and viewers can "
    "also group tokens and logits.",
    (
        P("id", "string", "Hash of circuit, label, members, method, author and the supernodes it replaces."),
        P("label", "string", "Name of the group."),
        P("position", "integer?", "Position of the members, from 0. Absent if they have several positions."),
        P("method", "string", "How the group was made, such as person or viewer."),
        P("author", "string", "Name of the person or program that made the group."),
        P("score", "float?", "Score that the method gave the group. Absent if the method gives no score."),
        P(
            "made_at",
            "datetime?",
            "Time in UTC when a person made the group over the API. Absent for other groups.",
        ),
    ),
)
CONCEPT = NodeType(
    "Concept",
    "The common meaning of supernodes with the same label in many circuits.",
    (P("label", "string", "The label of the supernodes."),),
    "label",
)

HEAD = NodeType(
    "Head",
    "An attention head of a model.",
    (
        P("id", "string", "The id of the model, the layer and the number, separated by slashes."),
        P("layer", "integer", "Layer of the head, from 0."),
        P("number", "integer", "Number of the head in its layer, from 0."),
    ),
    indexes=(("layer", "number"),),
)

MIGRATION = NodeType(
    "Migration",
    "A change of the schema or the data that was applied to this database.",
    (
        P("version", "integer", "Number of the migration, from 1."),
        P("name", "string", "What the migration did."),
        P("applied_at", "datetime", "Time in UTC when the migration was applied."),
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
    LEASE,
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
    RelationshipType(
        "FOR", "TranscoderSet", "Model", "The model that the transcoders replace.", keeps="target"
    ),
    RelationshipType("IN", "Feature", "TranscoderSet", "The set that a feature belongs to."),
    RelationshipType("LABELS", "Label", "Feature", "The feature that a label describes.", keeps="source"),
    RelationshipType(
        "EXAMPLE_OF", "Example", "Feature", "The feature that is active in an example.", keeps="source"
    ),
    RelationshipType(
        "IN_FAMILY", "Prompt", "Family", "The family of a prompt. A prompt has at most one.", keeps="target"
    ),
    RelationshipType(
        "TAGGED", "Prompt", "Tag", "A tag of a prompt. A prompt can have any number.", keeps="target"
    ),
    RelationshipType("OF_PROMPT", "Circuit", "Prompt", "The prompt of a circuit.", keeps="target"),
    RelationshipType("BY", "Circuit", "TranscoderSet", "The transcoders with which a circuit was made."),
    RelationshipType("FROM_RUN", "Circuit", "Run", "The run that loaded a circuit."),
    RelationshipType(
        "LISTS",
        "Run",
        "Entry",
        "The ledger of a run: its inputs, or those that gave no circuit.",
        part=True,
    ),
    RelationshipType(
        "GAVE", "Entry", "Circuit", "The circuit that an input gave. A refused input gave none."
    ),
    RelationshipType("HAS", "Circuit", "Node", "A node of a circuit.", part=True),
    RelationshipType("HAS", "Circuit", "Supernode", "A supernode of a circuit.", part=True),
    RelationshipType(
        "INSTANCE_OF", "FeatureNode", "Feature", "The feature that is active at the position of the node."
    ),
    RelationshipType(
        "ATTRIBUTES",
        "Node",
        "Node",
        "An edge: the signed direct effect of one node on another.",
        (
            P(
                "weight",
                "float",
                "Signed effect on the target's pre-activation or logit. It includes the activation of the "
                "source.",
            ),
            P(
                "share",
                "float?",
                "|weight| divided by the sum of |weight| over all inputs of the target in the unpruned "
                "graph, 0 to 1. If the circuit's shares are derived: over the kept inputs, so it is an upper "
                "bound. Absent if unknown.",
            ),
            P(
                "heads",
                "list of strings?",
                "The attention heads that carry most of the effect, each as layer/number, the strongest "
                "first. Absent if no heads were computed.",
            ),
            P(
                "head_weights",
                "list of floats?",
                "The signed part of the weight that each of these heads carries. Absent if heads is absent.",
            ),
        ),
    ),
    RelationshipType("OF_MODEL", "Head", "Model", "The model that a head belongs to.", keeps="target"),
    RelationshipType(
        "RUNS_THROUGH",
        "Circuit",
        "Head",
        "The influence that runs through an attention head, summed over all edges that cross its layer.",
        (
            P(
                "net",
                "float",
                "Sum of the influence in which a part counts as negative if its sign is opposite to its "
                "edge's.",
            ),
            P("gross", "float", "Sum of the influence in which every part counts as positive, 0 or more."),
            P(
                "effect",
                "float?",
                "Change of the answer's logit minus the mean logit of the vocabulary when the output of the "
                "head is set to 0. Absent unless `atlas ablate` measured it.",
            ),
        ),
        keeps="target",
    ),
    RelationshipType("GROUPS", "Supernode", "Node", "A member of a supernode."),
    RelationshipType("MEANS", "Supernode", "Concept", "The meaning of a supernode.", keeps="target"),
    *AGGREGATE_RELATIONSHIPS,
    *CHECKPOINT_RELATIONSHIPS,
    *PARTITION_RELATIONSHIPS,
    *CAUSAL_RELATIONSHIPS,
    *JOB_RELATIONSHIPS,
    *PEOPLE_RELATIONSHIPS,
)


AWAIT_INDEXES = "CALL db.awaitIndexes(7200)"
"""Waits until Neo4j has filled all indexes, for at most two hours: six million relationships took longer than
five minutes on a busy machine."""


def schema_statements() -> list[str]:
    """The Cypher that creates every constraint and index: one statement each, which can run again."""
    return [statement for each in (*NODES, *RELATIONSHIPS) for statement in each.schema()]
