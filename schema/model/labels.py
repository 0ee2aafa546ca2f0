"""Declarations of what is known about features: labels and examples."""

from schema.model.declare import NodeType, P, Vector

LABEL = NodeType(
    "Label",
    "A description of a feature by a person or a program. A new text of a person, a tool or a file is a new "
    "label. A feature has one label of each method of the atlas and of each language model: an ingest keeps "
    "the first, and `atlas label` replaces its own.",
    (
        P("id", "string", "Hash of feature, text, method and author."),
        P("text", "string", "Text of the label."),
        P("method", "string", "How the label was made, such as token-statistics-v1, person or viewer."),
        P("author", "string", "Name of the person or program that wrote the label."),
        P(
            "score",
            "float?",
            "How well the label predicts where the feature is active, 0 to 1. Absent if it was not scored.",
        ),
        P(
            "scorer",
            "string?",
            "The test that gave an imported label its score, such as eleuther_fuzz. Absent for labels "
            "without a score, and for scores of `atlas label`.",
        ),
        P(
            "null_score",
            "float?",
            "Mean score on this feature of the labels of other features of its layer, 0 to 1. Absent if it "
            "was not scored.",
        ),
        P(
            "rule",
            "string?",
            "Where the label says that the feature is active, as JSON. The score is the score of this rule. "
            "Absent for labels without a rule.",
        ),
        P("asked", "string?", "What a language model was asked. Absent for labels of other methods."),
        P("answered", "string?", "The complete answer of the language model. Absent for other methods."),
        P(
            "vector",
            "list of floats?",
            "Hashed counts of the groups of letters in the text, as a unit vector of 256 numbers. Absent "
            "unless `atlas label` wrote it.",
        ),
    ),
    full_text=(("label_text", "text"),),
    vectors=(Vector("label_vector", "vector"),),
)

EXAMPLE = NodeType(
    "Example",
    "A text on which a feature is active, from `atlas examples` or a feature file.",
    (
        P("id", "string", "The id of the feature, a slash, and a hash of tokens and activations."),
        P("tokens", "list of strings", "The tokens of the text."),
        P("activations", "list of floats", "Activation of the feature at each token."),
        P("maximum", "float?", "The largest of these activations. Absent if there are no tokens."),
    ),
)
