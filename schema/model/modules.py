"""Declarations of communities in the graph of features: partitions, their modules, and the members."""

from schema.model.declare import NodeType, P, RelationshipType

PARTITION = NodeType(
    "Partition",
    "A partition of one transcoder set's features into communities, computed by `atlas modules compute`. "
    "Later loads do not change it. Computing again adds another partition.",
    (
        P("id", "string", "Hash of the set, the settings and the effects that were used."),
        P("method", "string", "Name of the algorithm and its library."),
        P("seed", "integer", "Seed of the random numbers."),
        P(
            "resolution",
            "float",
            "Resolution of the modularity, above 0. 1 is the usual modularity; a larger value gives smaller "
            "modules.",
        ),
        P(
            "min_circuits",
            "integer",
            "Only effects that occur in at least this many circuits were used, 1 or more.",
        ),
        P(
            "n_features",
            "integer",
            "Number of features with such an effect, 0 or more. Only these features are in modules.",
        ),
        P("n_effects", "integer", "Number of such effects, 0 or more."),
        P("n_modules", "integer", "Number of modules, 0 or more."),
        P("modularity", "float", "Weighted modularity of the partition at this resolution, at most 1."),
        P(
            "null_mean",
            "float?",
            "Mean modularity of randomly rewired graphs in which every feature keeps its degree. Absent if "
            "none were computed.",
        ),
        P(
            "null_sd",
            "float?",
            "Standard deviation of the modularity over the rewired graphs, 0 or more. Absent if none were "
            "computed.",
        ),
        P("n_null", "integer", "Number of rewired graphs, 0 or more."),
        P("computed_at", "datetime", "Time in UTC when the partition was computed."),
    ),
)

MODULE = NodeType(
    "Module",
    "A community: features that act on each other more than chance explains.",
    (
        P("id", "string", "The id of the partition, a slash, and the number."),
        P("number", "integer", "Number of the module in its partition, from 0. The largest module is 0."),
        P("n_features", "integer", "Number of members, 1 or more."),
        P(
            "within",
            "float",
            "Share of the weight of the members' effects that stays inside the module, 0 to 1.",
        ),
    ),
)

PARTITION_NODES = (PARTITION, MODULE)

PARTITION_RELATIONSHIPS = (
    RelationshipType(
        "PARTITIONS",
        "Partition",
        "TranscoderSet",
        "The set whose features a partition groups.",
        keeps="source",
    ),
    RelationshipType(
        "PART_OF", "Module", "Partition", "The partition to which a module belongs.", keeps="source"
    ),
    RelationshipType(
        "MEMBER_OF",
        "Feature",
        "Module",
        "The module of a feature. A feature is in at most one module of each partition.",
        (
            P(
                "strength",
                "float",
                "Sum of the weights of the feature's effects on and from other members, 0 or more.",
            ),
        ),
    ),
)
