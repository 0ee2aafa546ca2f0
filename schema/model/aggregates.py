"""Declarations of aggregates over circuits.

Every load and every deletion updates the aggregates, and `atlas check` compares them with the stored nodes
and edges. `schema.loading.aggregates` has their arithmetic.
"""

from schema.model.declare import P, RelationshipType

_EFFECT = (
    P("n_circuits", "integer", "Number of circuits that have the effect, 1 or more."),
    P("n_positive", "integer", "Number of these circuits in which the effect is above 0."),
    P("n_negative", "integer", "Number of these circuits in which the effect is below 0."),
    P("mean", "float", "Mean of the effect over these circuits, in units of the target's pre-activation."),
    P(
        "m2",
        "float",
        "Sum of the squared deviations from the mean, 0 or more. The next load continues from it.",
    ),
    P("sd", "float", "Standard deviation over these circuits, 0 or more: sqrt(m2 / n_circuits)."),
    P(
        "sign_consistency",
        "float",
        "The larger of n_positive and n_negative, divided by n_circuits: 0.5 to 1, and less only if effects "
        "are exactly 0.",
    ),
    P(
        "pair",
        "integer",
        "Number made of the layers and indices of both features, 0 to 2^62 - 1. Loading finds the "
        "relationship by this number, so its speed does not depend on how many effects a feature has. "
        "Different pairs can have the same number.",
    ),
)

AGGREGATE_RELATIONSHIPS = (
    RelationshipType(
        "USES",
        "Circuit",
        "Feature",
        "Aggregate: a feature in a circuit, over all its positions.",
        (
            P(
                "influence",
                "float?",
                "Influence of the feature's nodes, summed over positions, 0 or more. Absent if no node has "
                "one.",
            ),
            P(
                "activation",
                "float?",
                "Largest activation over positions. Absent if no node has an activation.",
            ),
            P(
                "positions",
                "list of integers",
                "Positions at which the feature is active and kept, from 0, ascending.",
            ),
        ),
        aggregate=True,
    ),
    RelationshipType(
        "FOUND_IN",
        "Feature",
        "Family",
        "Aggregate: how many circuits of a family have a feature. The denominator is n_circuits of COVERS.",
        (
            P("n_circuits", "integer", "Number of circuits of the family that have the feature, 1 or more."),
            P(
                "n_measured",
                "integer",
                "Number of these circuits in which the influence of the feature is known, 0 to n_circuits.",
            ),
            P(
                "influence",
                "float",
                "Sum of the feature's influence over these n_measured circuits, 0 or more.",
            ),
        ),
        aggregate=True,
    ),
    RelationshipType(
        "COVERS",
        "TranscoderSet",
        "Family",
        "Aggregate: the circuits of a family that were made with a transcoder set.",
        (P("n_circuits", "integer", "Number of these circuits, 1 or more."),),
        aggregate=True,
    ),
    RelationshipType(
        "DRIVES",
        "Feature",
        "Feature",
        "Aggregate: the effect of one feature on another over all circuits that have the effect. In each "
        "circuit the effect is the sum over positions. A circuit without the effect does not count as 0.",
        _EFFECT,
        aggregate=True,
        indexes=(("pair",), ("n_circuits", "sign_consistency")),
    ),
    RelationshipType(
        "DRIVES_IN",
        "Feature",
        "Feature",
        "Aggregate: like DRIVES, over the circuits of one family. There is one for each family with the "
        "effect.",
        (*_EFFECT, P("family", "string", "Name of the family.")),
        aggregate=True,
        indexes=(("pair", "family"), ("family", "n_circuits", "sign_consistency")),
    ),
)
