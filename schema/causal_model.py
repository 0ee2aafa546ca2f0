"""Nodes of causal evidence: hypotheses, and the interventions that tested them."""

from schema.declare import NodeType, P, RelationshipType

HYPOTHESIS = NodeType(
    "Hypothesis",
    "What somebody expects an intervention to do, written down before its test. Tested once, kept whatever "
    "comes out.",
    (
        P("id", "string", "hash of everything that was registered"),
        P("question", "string", "in words"),
        P("edits", "list of strings", "kind and edit, such as `ablate 3/17@5`"),
        P("prediction", "string", "lowers or raises: the logit of each prompt's expected token"),
        P("prompts", "list of strings", "held-out prompts that test it"),
        P("tokens", "list of strings", "the expected token of each"),
        P("formed_on", "list of strings", "prompts it was formed on; none of them tests it"),
        P("model", "string", "folder or hub name"),
        P("transcoders", "string", "folder or hub name"),
        P("registered_at", "datetime", "when; its test came later"),
        P("tested_at", "datetime?", "absent: not tested yet, as in what follows"),
        P("mean_effect", "float?", "mean change of the centred logits"),
        P("null_mean", "float?", "the same of random features"),
        P("draws", "integer?", "how often random features were drawn"),
        P("p", "float?", "share of draws that do as much in the predicted direction, itself counted"),
    ),
)

INTERVENTION = NodeType(
    "Intervention",
    "One prompt under the edits of a hypothesis.",
    (
        P("id", "string", "hypothesis/number"),
        P("prompt", "string", "its text"),
        P("token", "string", "whose logit was measured"),
        P("edits", "list of strings", "kind and edit"),
        P("effect", "float", "measured change of the token's logit, less the mean over the vocabulary"),
        P("null_mean", "float", "mean effect of random features of the same layers, writing as much"),
        P("null_sd", "float", "its standard deviation over draws"),
        P("n_null", "integer", "draws"),
        P("n_edited", "integer", "activations that the edits changed; 0: the features were silent"),
        P("seed", "integer", "of the draws"),
    ),
)

CAUSAL_NODES = (HYPOTHESIS, INTERVENTION)
CAUSAL_RELATIONSHIPS = (
    RelationshipType("TESTED_BY", "Hypothesis", "Intervention", "One for each held-out prompt."),
)
