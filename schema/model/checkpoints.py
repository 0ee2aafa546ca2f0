"""Declarations of checkpoints: states of one training run, and which of their features are the same."""

from schema.model.declare import NodeType, P, RelationshipType

CHECKPOINT = NodeType(
    "Checkpoint",
    "A state of a training run, with the transcoders that read it, as `atlas checkpoints load` found it. Its "
    "circuits are those of its transcoder set.",
    (
        P("id", "string", "hash of the transcoder set's id"),
        P("series", "string", "the training run: the name of its folder"),
        P("step", "integer", "of training"),
    ),
    indexes=(("series", "step"),),
)

CHECKPOINT_RELATIONSHIPS = (
    RelationshipType(
        "READ_BY", "Checkpoint", "TranscoderSet", "The transcoders that its circuits were made with."
    ),
    RelationshipType(
        "STARTED_FROM",
        "Checkpoint",
        "Checkpoint",
        "The next later checkpoint, whose transcoders its own were started from. Medians over the features "
        "that fire at both, on the same tokens.",
        (
            P("cosine", "float", "of what a feature writes, all layers together"),
            P("agreement", "float", "tokens that it fires on at both, of those at one of them"),
            P("null_cosine", "float", "the same with another feature of the layer"),
            P("null_agreement", "float", "the same with another feature of the layer"),
            P("n_features", "integer", "features that fire at both"),
        ),
    ),
    RelationshipType(
        "SAME_AS",
        "Feature",
        "Feature",
        "The feature of the same layer and index at the next later checkpoint at which a circuit has it.",
        (
            P("cosine", "float", "of what the two write, all layers together"),
            P("agreement", "float?", "tokens on which both fire, of those on which one does; absent: none"),
        ),
    ),
)
