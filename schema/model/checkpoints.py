"""Declarations of checkpoints: states of one training run, and which of their features correspond."""

from schema.model.declare import NodeType, P, RelationshipType

CHECKPOINT = NodeType(
    "Checkpoint",
    "A state of a training run with its own transcoder set, written by `atlas checkpoints load`. Its "
    "circuits are the circuits of that set.",
    (
        P("id", "string", "Hash of the transcoder set's id."),
        P("series", "string", "The training run: name of its folder."),
        P("step", "integer", "Training step, 0 or more."),
    ),
    indexes=(("series", "step"),),
)

CHECKPOINT_RELATIONSHIPS = (
    RelationshipType(
        "READ_BY",
        "Checkpoint",
        "TranscoderSet",
        "The transcoders with which the circuits of a checkpoint were made.",
        keeps="source",
    ),
    RelationshipType(
        "STARTED_FROM",
        "Checkpoint",
        "Checkpoint",
        "The next later checkpoint, from whose transcoders the training of a checkpoint's transcoders "
        "started. The properties are medians over the features that are active at both checkpoints on the "
        "same tokens.",
        (
            P(
                "cosine",
                "float",
                "Median cosine between what a feature writes at the two checkpoints, all layers together, "
                "-1 to 1.",
            ),
            P(
                "agreement",
                "float",
                "Median share, 0 to 1: tokens on which a feature is active at both checkpoints, of the "
                "tokens on which it is active at one or both.",
            ),
            P(
                "null_cosine",
                "float",
                "Median cosine between a feature and another feature of its layer at the other checkpoint, "
                "-1 to 1.",
            ),
            P(
                "null_agreement",
                "float",
                "Median agreement between a feature and another feature of its layer at the other "
                "checkpoint, 0 to 1.",
            ),
            P("n_features", "integer", "Number of features that are active at both checkpoints, 0 or more."),
        ),
    ),
    RelationshipType(
        "SAME_AS",
        "Feature",
        "Feature",
        "The feature with the same layer and index at the next later checkpoint at which a circuit has it.",
        (
            P(
                "cosine",
                "float",
                "Cosine between what the two features write, all layers together, -1 to 1.",
            ),
            P(
                "agreement",
                "float?",
                "Share, 0 to 1: tokens on which both features are active, of the tokens on which one or "
                "both are. Absent if neither is active.",
            ),
        ),
    ),
)
