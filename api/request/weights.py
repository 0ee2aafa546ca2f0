"""Weights of questions, for the estimate of a query (`cost`) and for the slots of the database.

`bench/question_weights.py` measured them on 1 000 circuits and wrote this file.
"""

FIELD_MS: dict[str, int] = {
    "CircuitComparison.edgesFlipped": 20,
    "CircuitComparison.edgesInBoth": 40,
    "CircuitComparison.edgesOnlyInA": 30,
    "CircuitComparison.edgesOnlyInB": 40,
    "CircuitContrast.edges": 1650,
    "CircuitContrast.features": 40,
    "CircuitContrast.supernodes": 60,
    "ErrorAudit.byLayer": 50,
    "Feature.drivenBy": 70,
    "Feature.drives": 20,
    "Found.circuits": 120,
    "Query.circuits": 50,
    "Query.circuitsSharing": 50,
    "Query.contrast": 30,
    "Query.drivesLogit": 340,
    "Query.families": 40,
    "Query.features": 30,
    "Query.flowStages": 30,
    "Query.hubs": 30,
    "Query.motifs": 2260,
    "Query.nearestFeatures": 80,
    "Query.paths": 120,
    "Query.presence": 90,
    "Query.recurringEdges": 170,
    "Query.search": 40,
    "Query.sharedFeatures": 470,
    "Query.similarCircuits": 220,
    "Query.supernodes": 70,
    "Query.tokensOfFamily": 660,
}
"""GraphQL fields whose questions take the database long: CPU ms. The others count as nothing."""

HEAVY: frozenset[str] = frozenset(
    {
        "circuits_of_family",
        "contrast_edges",
        "drives_logit",
        "motifs",
        "shared_features",
    }
)
"""Questions that take the database at least 250 ms."""
