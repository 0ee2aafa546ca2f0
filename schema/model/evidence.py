"""Nodes of causal evidence: hypotheses, the interventions that tested them, and ablated components."""

from schema.model.declare import NodeType, P, RelationshipType

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

CLAIM = NodeType(
    "Claim",
    "What edits do to the answers of circuits, as the graphs predict it and as it was measured: one call of "
    "`atlas intervene --keep`, with everything needed to run it again.",
    (
        P("id", "string", "hash of everything that was asked"),
        P(
            "edits",
            "list of strings",
            "kind and edit as asked; {LABEL|METHOD} stands for the features of supernodes",
        ),
        P("transcoders", "string", "id of the set"),
        P("model_path", "string", "folder or hub name of the model, or bundled"),
        P("transcoders_path", "string", "the same of the transcoders"),
        P("circuits", "list of strings", "ids of the circuits"),
        P("family", "string?", "when all circuits of a family were asked for"),
        P("freeze", "string", "what was held: nothing, attention or everything"),
        P("constrained", "string?", "layers whose MLPs were held, such as 0-3"),
        P("writes", "string?", "layers that the edits wrote to; absent: all"),
        P("draws", "integer", "how often random features were drawn"),
        P("seed", "integer", "of the draws"),
        P(
            "predicted",
            "float?",
            "mean change that the graphs predict; absent: they do not have the features",
        ),
        P("effect", "float", "mean measured change of the answers' centred logits"),
        P("null_mean", "float", "the same of random features"),
        P("null_sd", "float", "its standard deviation over draws"),
        P("p", "float", "share of draws that do as much in the predicted direction, itself counted"),
        P("measured_at", "datetime", "when"),
    ),
)

INTERVENTION = NodeType(
    "Intervention",
    "One prompt under edits, measured: for a hypothesis, a claim, or the diagnosis of a circuit. The ledger "
    "of all that was measured.",
    (
        P("id", "string", "hypothesis, claim or circuit, and what tells it from their others"),
        P("prompt", "string", "its text"),
        P("token", "string", "whose logit was measured"),
        P("edits", "list of strings", "kind and edit"),
        P("effect", "float", "measured change of the token's logit, less the mean over the vocabulary"),
        P("null_mean", "float", "mean effect of random features of the same layers, writing as much"),
        P("null_sd", "float", "its standard deviation over draws"),
        P("n_null", "integer", "draws"),
        P("n_edited", "integer", "activations that the edits changed; 0: the features were silent"),
        P("seed", "integer", "of the draws"),
        P("predicted", "float?", "the change that the pruned graph predicts; absent: it lacks the features"),
        P("p", "float?", "share of draws with as large an effect, either way, itself counted"),
        P("share", "float?", "diagnosis: of the circuit's feature influence; absent: the graph lacks it"),
        P("weight", "float?", "diagnosis: sum of |weight| of the feature's effects on others in the circuit"),
        P("weight_share", "float?", "diagnosis: of that sum over all features; absent: the graph lacks it"),
        P("stands_for", "float?", "diagnosis: features of the circuit's band, over those of them measured"),
    ),
)

COMPONENT_EFFECTS = NodeType(
    "ComponentEffects",
    "What setting the attention or the MLP of each layer to 0 does to the answer of one circuit, by "
    "`atlas ablate`; the effects of single heads are at RUNS_THROUGH. Lists go by layer, from 0.",
    (
        P("id", "string", "circuit/components"),
        P("token", "string", "whose logit was measured: the circuit's most probable target"),
        P(
            "attention",
            "list of floats",
            "change of the token's logit, less the mean over the vocabulary, without the layer's attention",
        ),
        P("mlp", "list of floats", "the same without its MLP"),
        P("through_heads", "list of floats", "influence that the layer's heads carry, net, all together"),
        P("crossing", "list of floats", "influence of all kept edges that cross the layer's attention"),
    ),
)

CAUSAL_NODES = (HYPOTHESIS, CLAIM, INTERVENTION, COMPONENT_EFFECTS)
CAUSAL_RELATIONSHIPS = (
    RelationshipType("TESTED_BY", "Hypothesis", "Intervention", "One for each held-out prompt."),
    RelationshipType("MEASURED_BY", "Claim", "Intervention", "One for each circuit."),
    RelationshipType("DIAGNOSED_BY", "Circuit", "Intervention", "One feature of it ablated."),
    RelationshipType("ON", "Intervention", "Circuit", "The circuit that predicted the effect."),
    RelationshipType(
        "ABLATED", "Circuit", "ComponentEffects", "What its layers' components do to its answer."
    ),
    RelationshipType("EDITS", "Intervention", "Feature", "A feature that it edits, if any circuit has it."),
    RelationshipType(
        "CHANGED",
        "Intervention",
        "Node",
        "What a claim's edits did to a node of the circuit: its logits, and the features with the largest "
        "predicted changes.",
        (
            P("predicted", "float?", "by the pruned graph; absent: it lacks the edited features"),
            P("measured", "float", "of logits less the vocabulary's mean, of features' pre-activations"),
        ),
    ),
)
