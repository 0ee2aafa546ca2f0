"""Weights of questions, for the estimate of a query (`cost`) and for the slots of the database.

`bench/question_weights.py` measured them on 1 000 circuits and wrote this file.
"""

FIELD_MS: dict[str, int] = {
    "Circuit.tokenAttribution": 20,
    "CircuitComparison.edgesFlipped": 20,
    "CircuitComparison.edgesInBoth": 30,
    "CircuitComparison.edgesOnlyInA": 30,
    "CircuitComparison.edgesOnlyInB": 60,
    "CircuitContrast.edges": 1420,
    "CircuitContrast.features": 30,
    "CircuitContrast.supernodes": 50,
    "ContrastFeature.feature": 30,
    "ErrorAudit.byFamily": 20,
    "ErrorAudit.byLayer": 60,
    "Feature.drivenBy": 60,
    "Feature.drives": 20,
    "FeatureUse.occurrences": 20,
    "Found.circuits": 110,
    "Query.circuits": 150,
    "Query.circuitsSharing": 30,
    "Query.contrast": 30,
    "Query.drivesLogit": 140,
    "Query.families": 40,
    "Query.features": 20,
    "Query.flowStages": 20,
    "Query.modules": 20,
    "Query.motifs": 1760,
    "Query.nearestFeatures": 50,
    "Query.paths": 90,
    "Query.presence": 40,
    "Query.recurringEdges": 100,
    "Query.search": 30,
    "Query.sharedFeatures": 470,
    "Query.similarCircuits": 170,
    "Query.supernodes": 60,
    "Query.tokensOfFamily": 420,
}
"""GraphQL fields whose questions take the database long: CPU ms. The others count as nothing."""

HEAVY: frozenset[str] = frozenset(
    {
        "circuits_of_family",
        "contrast_edges",
        "motifs",
        "shared_features",
    }
)
"""Questions that take the database at least 250 ms."""
