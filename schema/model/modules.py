"""Declarations of communities of the feature graph: partitions, their modules, the features in them."""

from schema.model.declare import NodeType, P, RelationshipType

PARTITION = NodeType(
    "Partition",
    "Communities of one transcoder set's features, as `atlas modules compute` found them at one time: later "
    "loads do not change it, computing again adds another.",
    (
        P("id", "string", "hash of set, settings and the effects that were looked at"),
        P("method", "string", "algorithm and library"),
        P("seed", "integer", "of the random numbers"),
        P("resolution", "float", "1: plain modularity; more: smaller modules"),
        P("min_circuits", "integer", "effects of at least so many circuits count"),
        P("n_features", "integer", "features that have such an effect; only these are in a module"),
        P("n_effects", "integer", "such effects"),
        P("n_modules", "integer", "modules found"),
        P("modularity", "float", "weighted, at this resolution"),
        P(
            "null_mean",
            "float?",
            "mean modularity of rewired graphs, in which every feature keeps its degree",
        ),
        P("null_sd", "float?", "standard deviation over these graphs"),
        P("n_null", "integer", "how many"),
        P("computed_at", "datetime", "when"),
    ),
)

MODULE = NodeType(
    "Module",
    "A community of features: they act on each other more than chance would have it.",
    (
        P("id", "string", "partition/number"),
        P("number", "integer", "from 0, the largest first"),
        P("n_features", "integer", "its members"),
        P("within", "float", "share of its members' effects, by weight, that stay among them"),
    ),
)

PARTITION_NODES = (PARTITION, MODULE)

PARTITION_RELATIONSHIPS = (
    RelationshipType("PARTITIONS", "Partition", "TranscoderSet", "The set whose features it groups."),
    RelationshipType("PART_OF", "Module", "Partition", "The partition that it is one part of."),
    RelationshipType(
        "MEMBER_OF",
        "Feature",
        "Module",
        "At most one module of each partition.",
        (P("strength", "float", "weight of its effects on and from other members"),),
    ),
)
