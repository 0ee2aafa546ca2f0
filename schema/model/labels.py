"""The part of the graph model that says what features are: labels and examples."""

from schema.model.declare import NodeType, P, Vector

LABEL = NodeType(
    "Label",
    "What somebody or something says a feature is. Never overwritten: a new text is a new label.",
    (
        P("id", "string", "hash of feature, text, method and author"),
        P("text", "string", "the label"),
        P("method", "string", "how it was made, such as token-statistics-v1 or person"),
        P("author", "string", "by whom"),
        P("score", "float?", "how well it predicts activations, 0 … 1"),
        P("null_score", "float?", "what labels of other features of its layer score on this one"),
        P("rule", "string?", "JSON: where it says that the feature fires; what was scored"),
        P("asked", "string?", "what a language model was asked"),
        P("answered", "string?", "what it answered, whole"),
        P("vector", "list of floats?", "counts of its groups of letters, hashed: `atlas label`"),
    ),
    full_text=(("label_text", "text"),),
    vectors=(Vector("label_vector", "vector"),),
)

EXAMPLE = NodeType(
    "Example",
    "A context that a feature fires in, from `atlas examples` or a feature file.",
    (
        P("id", "string", "feature/hash of tokens and activations"),
        P("tokens", "list of strings", "of the context"),
        P("activations", "list of floats", "one for each token"),
        P("maximum", "float?", "the largest of them"),
    ),
)
