"""What is summed up over circuits: kept up by every load and delete, and checkable against the detail."""

from schema.model.declare import P, RelationshipType

_EFFECT = (
    P("n_circuits", "integer", "circuits that have the effect"),
    P("n_positive", "integer", "of these, circuits where it is above 0"),
    P("n_negative", "integer", "of these, circuits where it is below 0"),
    P("mean", "float", "over these circuits"),
    P("m2", "float", "sum of squared deviations from the mean, from which the next load goes on"),
    P("sd", "float", "sqrt(m2 / n_circuits)"),
    P("sign_consistency", "float", "the larger of n_positive and n_negative over n_circuits"),
    P(
        "pair",
        "integer",
        "made of layers and indices of both features; loading finds it by this, however many effects either "
        "of them has. Other pairs can have the same",
    ),
)

AGGREGATE_RELATIONSHIPS = (
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
        aggregate=True,
    ),
    RelationshipType(
        "FOUND_IN",
        "Feature",
        "Family",
        "Aggregate: how often circuits of a family use a feature. The denominator is `n_circuits` of COVERS.",
        (
            P("n_circuits", "integer", "circuits of the family that use it"),
            P("n_measured", "integer", "of these, circuits in which its influence is known"),
            P("influence", "float", "its influence summed over these"),
        ),
        aggregate=True,
    ),
    RelationshipType(
        "COVERS",
        "TranscoderSet",
        "Family",
        "Aggregate: circuits of a family that were made with a set.",
        (P("n_circuits", "integer", "how many"),),
        aggregate=True,
    ),
    RelationshipType(
        "DRIVES",
        "Feature",
        "Feature",
        "Aggregate over circuits: the effect of one feature on another, in each circuit summed over "
        "positions. Circuits without the effect do not count as zero.",
        _EFFECT,
        aggregate=True,
        indexes=(("pair",), ("n_circuits", "sign_consistency")),
    ),
    RelationshipType(
        "DRIVES_IN",
        "Feature",
        "Feature",
        "Aggregate: DRIVES over the circuits of one family; one for each family that has the effect.",
        (*_EFFECT, P("family", "string", "name of the family")),
        aggregate=True,
        indexes=(("pair", "family"), ("family", "n_circuits", "sign_consistency")),
    ),
)
