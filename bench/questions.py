"""The questions of `bench/query_latency.py`: our Cypher, a naive query with the same answer, and GraphQL.

The naive queries read the detail (nodes and their effects), as in a first attempt. They return the rows of
the same first page.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from schema.questions.features import CIRCUITS_OF_FEATURE, FEATURES
from schema.questions.question import Question
from schema.questions.sets import SHARED_FEATURES, SIMILAR_CIRCUITS
from schema.questions.structure import RECURRING_EDGES

PAGE = 20


class Sample(NamedTuple):
    """Subjects of the questions, drawn again each time a question is asked."""

    features: list[str]
    """Features of one circuit, which is drawn uniformly. A feature is drawn as often as circuits have it."""
    circuits: list[str]
    """20 circuits of one family."""
    family: str
    others: list[str]
    """20 circuits of another family."""
    other_family: str


class Bolt(NamedTuple):
    """A question over Bolt."""

    name: str
    question: Question[Any]
    parameters: Callable[[Sample], dict[str, Any]]
    naive: str
    column: str
    """The field of the naive rows that is compared with the first field of our rows."""


BOLT = (
    Bolt(
        "circuits of a feature",
        CIRCUITS_OF_FEATURE,
        lambda s: {"keys": [s.features[0]], "skip": 0, "limit": PAGE},
        """
        MATCH (f:Feature)<-[:INSTANCE_OF]-(n:FeatureNode)<-[:HAS]-(c:Circuit)
        WHERE f.id IN $keys
        WITH c, sum(n.influence) AS influence
        RETURN c.id AS key, round(influence, 9) AS value
        ORDER BY influence DESC, key SKIP $skip LIMIT $limit
        """,
        "circuit",
    ),
    Bolt(
        "features shared by 20 circuits",
        SHARED_FEATURES,
        lambda s: {
            "inside": s.circuits,
            "outside": None,
            "min_circuits": 10,
            "max_outside": None,
            "order": "support",
            "p": {},
            "units": None,
            "skip": 0,
            "limit": PAGE,
        },
        """
        MATCH (c:Circuit)-[:HAS]->(n:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
        WHERE c.id IN $inside
        WITH f, c, sum(n.influence) AS influence
        WITH f, count(c) AS support, avg(influence) AS influence
        WHERE support >= $min_circuits
        RETURN f.id AS key, support AS value,
               COUNT { MATCH (f)<-[:INSTANCE_OF]-()<-[:HAS]-(o:Circuit) RETURN DISTINCT o } AS everywhere
        ORDER BY support DESC, influence DESC, key SKIP $skip LIMIT $limit
        """,
        "feature",
    ),
    Bolt(
        "features of a family",
        FEATURES,
        lambda s: {
            "search": None,
            "layer": None,
            "family": s.family,
            "families": [s.family],
            "transcoders": None,
            "min_circuits": 1,
            "order": "circuits",
            "skip": 0,
            "limit": PAGE,
        },
        """
        MATCH (y:Family {name: $family})<-[:IN_FAMILY]-()<-[:OF_PROMPT]-(c:Circuit)
              -[:HAS]->(:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
        WITH f, count(DISTINCT c) AS n
        RETURN f.id AS key, n AS value ORDER BY n DESC, key SKIP $skip LIMIT $limit
        """,
        "",
    ),
    Bolt(
        "most similar circuits",
        SIMILAR_CIRCUITS,
        lambda s: {
            "circuit": s.circuits[0],
            "metric": "jaccard",
            "among": None,
            "candidates": 200,
            "budget": 10_000,
            "skip": 0,
            "limit": PAGE,
        },
        """
        MATCH (:Circuit {id: $circuit})-[:BY]->(t:TranscoderSet)
        WITH toFloat(COUNT { (t)<-[:BY]-() }) AS n
        MATCH (a:Circuit {id: $circuit})-[:HAS]->(:FeatureNode)-[:INSTANCE_OF]->(f:Feature)
        WITH DISTINCT n, a, f, log(n / f.n_circuits) AS idf
        WITH n, a, collect([f, idf]) AS mine, sum(idf) AS all_a
        UNWIND mine AS each
        WITH n, a, all_a, each[0] AS f, each[1] AS idf
        MATCH (f)<-[:INSTANCE_OF]-(:FeatureNode)<-[:HAS]-(b:Circuit)
        WHERE b <> a
        WITH DISTINCT n, all_a, f, idf, b
        WITH n, all_a, b, sum(idf) AS common
        MATCH (b)-[:USES]->(g:Feature)
        WITH b, all_a, common, sum(log(n / g.n_circuits)) AS all_b
        RETURN b.id AS key, round(common / (all_a + all_b - common), 9) AS value
        ORDER BY value DESC, key SKIP $skip LIMIT $limit
        """,
        "circuit",
    ),
    Bolt(
        "recurring edges of a feature",
        RECURRING_EDGES,
        lambda s: {"keys": [s.features[0]], "direction": "out", "min_circuits": 1, "skip": 0, "limit": PAGE},
        """
        MATCH (f:Feature)<-[:INSTANCE_OF]-(n:FeatureNode)-[e:ATTRIBUTES]->(:FeatureNode)
              -[:INSTANCE_OF]->(g:Feature)
        WHERE f.id IN $keys
        MATCH (n)<-[:HAS]-(c:Circuit)
        WITH g, c, sum(e.weight) AS weight
        WITH g, count(c) AS n, avg(weight) AS mean
        RETURN g.id AS key, n AS value ORDER BY n DESC, abs(mean) DESC, key SKIP $skip LIMIT $limit
        """,
        "feature",
    ),
)


class Graph(NamedTuple):
    """A question over HTTP."""

    name: str
    text: str
    variables: Callable[[Sample], dict[str, Any]]


FEATURE = "feature { id labels { text } }"
"""The GraphQL fields that replace `FEATURE` in the questions below."""


def graph(name: str, arguments: str, text: str, variables: Callable[[Sample], dict[str, Any]]) -> Graph:
    declared = f"({arguments})" if arguments else ""
    return Graph(name, f"query{declared} {{ {text.replace('FEATURE', FEATURE)} }}", variables)


GRAPH = (
    graph("families", "", "families { name nPrompts nCircuits errorShare accuracy tags }", lambda s: {}),
    graph(
        "circuits of a family",
        "$y: [String!]",
        "circuits(filter: {families: $y}) { totalCount nodes { id answer prompt { text family } } }",
        lambda s: {"y": [s.family]},
    ),
    graph("circuits", "", "circuits { totalCount nodes { id prompt { text } } }", lambda s: {}),
    graph(
        "circuit",
        "$c: ID!",
        """circuit(id: $c) { id nNodes prompt { text tokens } supernodes { nodes { label } }
           supernodeEdges { weight }
           nodes { totalCount nodes { id influence } } features { nodes { influence FEATURE } }
           edges { totalCount nodes { weight source { id } target { id } } } }""",
        lambda s: {"c": s.circuits[0]},
    ),
    graph(
        "feature",
        "$f: ID!",
        """feature(id: $f) { id nCircuits nConsidered labels { text } families { family nCircuits share }
           circuits { totalCount nodes { influence circuit { id prompt { text } } } }
           drives { totalCount nodes { nCircuits feature { id } } }
           drivenBy { totalCount nodes { nCircuits feature { id } } } }""",
        lambda s: {"f": s.features[0]},
    ),
    graph(
        "features", "", "features(minCircuits: 2) { totalCount nodes { id labels { text } } }", lambda s: {}
    ),
    graph(
        "features of a family",
        "$y: String",
        "features(family: $y) { totalCount nodes { id nCircuits } }",
        lambda s: {"y": s.family},
    ),
    graph(
        "features by label",
        "",
        'features(search: "river") { totalCount nodes { id nCircuits labels { text } } }',
        lambda s: {},
    ),
    graph(
        "circuitsSharing",
        "$f: [ID!]!",
        """circuitsSharing(features: $f, mode: ANY) { totalCount considered { nCircuits }
           nodes { nFeatures influence circuit { id } uses { influence occurrences { position } } } }""",
        lambda s: {"f": s.features[:5]},
    ),
    graph(
        "sharedFeatures of 20 circuits",
        "$c: [ID!]",
        "sharedFeatures(circuits: $c) { totalCount nodes { nCircuits lift pValue qValue FEATURE } }",
        lambda s: {"c": s.circuits},
    ),
    graph(
        "sharedFeatures of a family",
        "$y: [String!]",
        "sharedFeatures(families: $y) { totalCount nodes { nCircuits lift pValue qValue FEATURE } }",
        lambda s: {"y": [s.family]},
    ),
    graph(
        "contrast of features, 20 and 20",
        "$a: [ID!], $b: [ID!]",
        """contrast(positive: {circuits: $a}, negative: {circuits: $b}) {
           features { totalCount nodes { auroc lift FEATURE } } }""",
        lambda s: {"a": s.circuits, "b": s.others},
    ),
    graph(
        "contrast of edges, 20 and 20",
        "$a: [ID!], $b: [ID!]",
        """contrast(positive: {circuits: $a}, negative: {circuits: $b}) {
           edges { totalCount nodes { auroc lift source { id } target { id } } } }""",
        lambda s: {"a": s.circuits, "b": s.others},
    ),
    graph(
        "contrast of supernodes, families",
        "$a: [String!], $b: [String!]",
        """contrast(positive: {families: $a}, negative: {families: $b}) {
           supernodes { totalCount nodes { auroc lift label } } }""",
        lambda s: {"a": [s.family], "b": [s.other_family]},
    ),
    graph(
        "contrast of features, families",
        "$a: [String!], $b: [String!]",
        """contrast(positive: {families: $a}, negative: {families: $b}) {
           features { totalCount nodes { auroc lift FEATURE } } }""",
        lambda s: {"a": [s.family], "b": [s.other_family]},
    ),
    graph(
        "contrast of edges, families",
        "$a: [String!], $b: [String!]",
        """contrast(positive: {families: $a}, negative: {families: $b}) {
           edges { totalCount nodes { auroc lift source { id } target { id } } } }""",
        lambda s: {"a": [s.family], "b": [s.other_family]},
    ),
    graph(
        "compareCircuits",
        "$a: ID!, $b: ID!",
        """compareCircuits(a: $a, b: $b) { featuresInBoth { totalCount nodes { difference FEATURE } }
           edgesFlipped { totalCount nodes { difference source { id } target { id } } } }""",
        lambda s: {"a": s.circuits[0], "b": s.circuits[1]},
    ),
    graph(
        "similarCircuits",
        "$c: ID!",
        """similarCircuits(circuit: $c) { totalCount
           nodes { similarity circuit { id } features { nodes { weight FEATURE } } } }""",
        lambda s: {"c": s.circuits[0]},
    ),
    graph(
        "recurringEdges",
        "",
        "recurringEdges { totalCount nodes { nCircuits mean source { id } target { id } } }",
        lambda s: {},
    ),
    graph(
        "recurringEdges of a family",
        "$y: [String!]",
        "recurringEdges(families: $y) { totalCount nodes { nCircuits mean source { id } target { id } } }",
        lambda s: {"y": [s.family]},
    ),
    graph(
        "paths",
        "$f: ID!, $c: [ID!]",
        """paths(from: {feature: $f}, to: {logit: "stone"}, inCircuits: {circuits: $c}) {
           totalCount nodes { product flow nodes { id } } }""",
        lambda s: {"f": s.features[0], "c": s.circuits},
    ),
    graph(
        "motifs of 20 circuits",
        "$c: [ID!]",
        """motifs(minSupport: 5, among: {circuits: $c}) { totalCount nodes { nCircuits product } }""",
        lambda s: {"c": s.circuits},
    ),
    graph("hubs by frequency", "", "hubs { totalCount nodes { frequency dense FEATURE } }", lambda s: {}),
    graph(
        "hubs by influence",
        "",
        "hubs(by: INFLUENCE) { totalCount nodes { influence FEATURE } }",
        lambda s: {},
    ),
    graph(
        "hubs by degree",
        "",
        "hubs(by: DEGREE) { totalCount nodes { drives drivenBy FEATURE } }",
        lambda s: {},
    ),
    graph(
        "hubs with specificity",
        "",
        "hubs { nodes { frequency specificity { tau family } } }",
        lambda s: {},
    ),
    graph("search", "", 'search(text: "river") { totalCount nodes { kind text nCircuits } }', lambda s: {}),
    graph(
        "supernodes",
        "",
        'supernodes(label: "say river") { totalCount nCircuits nConsidered nodes { label score } }',
        lambda s: {},
    ),
    graph(
        "errorAudit",
        "",
        "errorAudit { byFamily { family mean } byLayer { layer } untrusted { totalCount nodes { id } } }",
        lambda s: {},
    ),
    graph("runs", "", "runs { totalCount nodes { id nCircuits } }", lambda s: {}),
)
