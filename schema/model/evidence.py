"""Declarations of causal evidence: hypotheses, claims, the interventions that tested them, and ablations."""

from schema.model.declare import NodeType, P, RelationshipType

_P_VALUE = (
    "p-value, above 0 and at most 1: (1 + the number of draws of random features whose effect is at least "
    "as large in the predicted direction) / (1 + the number of draws)."
)
_CENTRED = "the logit of the token minus the mean logit of the vocabulary"

HYPOTHESIS = NodeType(
    "Hypothesis",
    "What somebody expects from an intervention, registered before the test. It is tested once, and the "
    "result is kept whatever it is.",
    (
        P("id", "string", "Hash of everything that was registered."),
        P("question", "string", "The question in words."),
        P("edits", "list of strings", "The edits of features, such as `ablate 3/17@5`."),
        P(
            "prediction",
            "string",
            "lowers or raises: the predicted change of the logit of each prompt's expected token.",
        ),
        P("prompts", "list of strings", "Texts of the held-out prompts that test the hypothesis."),
        P("tokens", "list of strings", "The expected token of each of these prompts."),
        P(
            "formed_on",
            "list of strings",
            "Texts of the prompts on which the hypothesis was formed. None of them tests it.",
        ),
        P("model", "string", "Folder or hub name of the model."),
        P("transcoders", "string", "Folder or hub name of the transcoders."),
        P(
            "first_token",
            "string?",
            "What is put first in each prompt, as --first-token takes it. Absent for the model's own token.",
        ),
        P("registered_at", "datetime", "Time in UTC when the hypothesis was registered, before its test."),
        P("tested_at", "datetime?", "Time in UTC when the hypothesis was tested. Absent before the test."),
        P(
            "mean_effect",
            "float?",
            f"Mean over prompts of the measured change of {_CENTRED}. Absent before the test.",
        ),
        P(
            "null_mean",
            "float?",
            "Mean change for random features, averaged over draws. Absent before the test.",
        ),
        P("draws", "integer?", "Number of draws of random features, 1 or more. Absent before the test."),
        P("p", "float?", f"{_P_VALUE} Absent before the test."),
    ),
)

CLAIM = NodeType(
    "Claim",
    "The effect of edits on the answers of circuits, as the graphs predict it and as it was measured: one "
    "call of `atlas intervene --keep`, with everything that is needed to repeat it.",
    (
        P("id", "string", "Hash of everything that was asked."),
        P(
            "edits",
            "list of strings",
            "The edits as they were asked. {LABEL|METHOD} stands for the features of supernodes.",
        ),
        P("transcoders", "string", "Id of the transcoder set."),
        P("model_path", "string", "Folder or hub name of the model, or bundled."),
        P("transcoders_path", "string", "Folder or hub name of the transcoders, or bundled."),
        P("circuits", "list of strings", "Ids of the circuits that were measured."),
        P(
            "family",
            "string?",
            "Name of the family of which all circuits were asked. Absent if single circuits were named.",
        ),
        P(
            "freeze",
            "string",
            "What kept its values during the intervention: nothing, attention or everything.",
        ),
        P(
            "constrained",
            "string?",
            "Layers whose MLPs kept their outputs, such as 0-3. Absent if no MLP was constrained.",
        ),
        P(
            "writes",
            "string?",
            "Layers to which the edits wrote, such as 4-7. Absent if they wrote to all layers.",
        ),
        P("draws", "integer", "Number of draws of random features, 1 or more."),
        P("seed", "integer", "Seed of the draws."),
        P(
            "predicted",
            "float?",
            "Mean over circuits of the change that the graphs predict, in logits. Absent if no graph has "
            "the edited features.",
        ),
        P(
            "effect",
            "float",
            "Mean over circuits of the measured change of the answer's logit minus the mean logit.",
        ),
        P("null_mean", "float", "Mean change for random features, averaged over draws."),
        P(
            "null_sd",
            "float",
            "Standard deviation over draws of the mean change for random features, 0 or more.",
        ),
        P("p", "float", _P_VALUE),
        P("measured_at", "datetime", "Time in UTC when the claim was measured."),
    ),
)

INTERVENTION = NodeType(
    "Intervention",
    "The measured effect of edits on one prompt: for a hypothesis, for a claim, or for the diagnosis of a "
    "circuit. These nodes are the ledger of all measurements.",
    (
        P(
            "id",
            "string",
            "The id of the hypothesis, claim or circuit, a slash, and what distinguishes the intervention "
            "from the others.",
        ),
        P("prompt", "string", "Text of the prompt."),
        P("token", "string", "The token whose logit was measured."),
        P("edits", "list of strings", "The edits of features, such as `ablate 3/17@5`."),
        P("effect", "float", f"Measured change of {_CENTRED}."),
        P(
            "null_mean",
            "float",
            "Mean effect of random features of the same layers that write vectors of the same size.",
        ),
        P("null_sd", "float", "Standard deviation of the effect of random features over draws, 0 or more."),
        P("n_null", "integer", "Number of draws of random features, 0 or more."),
        P(
            "n_edited",
            "integer",
            "Number of activations that the edits changed. 0 means that the features were inactive.",
        ),
        P("seed", "integer", "Seed of the draws."),
        P(
            "predicted",
            "float?",
            "Change that the pruned graph predicts, in logits. Absent if the graph does not have the "
            "features.",
        ),
        P(
            "p",
            "float?",
            "p-value, above 0 and at most 1: (1 + the number of draws with at least as large an absolute "
            "effect) / (1 + the number of draws). Absent for interventions of a hypothesis.",
        ),
        P(
            "share",
            "float?",
            "Diagnoses: share of the feature in the influence of all features of the circuit, 0 to 1. "
            "Absent for other interventions and if the graph does not have the feature.",
        ),
        P(
            "weight",
            "float?",
            "Diagnoses: sum of |weight| over the feature's effects on other nodes of the circuit, 0 or more. "
            "Absent for other interventions and if the graph does not have the feature.",
        ),
        P(
            "weight_share",
            "float?",
            "Diagnoses: weight divided by its sum over all features of the circuit, 0 to 1. Absent for "
            "other interventions and if the graph does not have the feature.",
        ),
        P(
            "stands_for",
            "float?",
            "Diagnoses: number of the circuit's features in the same band of influence, divided by the "
            "number of them that were measured; 1 or more. Absent for other interventions.",
        ),
    ),
)

COMPONENT_EFFECTS = NodeType(
    "ComponentEffects",
    "What happens to the answer of one circuit when the attention or the MLP of a layer is set to 0, "
    "measured by `atlas ablate`. The effects of single heads are properties of RUNS_THROUGH. The lists have "
    "one element for each layer, from layer 0.",
    (
        P("id", "string", "The id of the circuit, a slash, and components."),
        P("token", "string", "The token whose logit was measured: the most probable target of the circuit."),
        P(
            "attention",
            "list of floats",
            f"Change of {_CENTRED}, when the output of the layer's attention is set to 0.",
        ),
        P("mlp", "list of floats", f"Change of {_CENTRED}, when the output of the layer's MLP is set to 0."),
        P(
            "through_heads",
            "list of floats",
            "Influence that all heads of the layer carry together. A part counts as negative if its sign is "
            "opposite to its edge's.",
        ),
        P(
            "crossing",
            "list of floats",
            "Influence of all kept edges that cross the attention of the layer, 0 or more.",
        ),
    ),
)

CAUSAL_NODES = (HYPOTHESIS, CLAIM, INTERVENTION, COMPONENT_EFFECTS)
CAUSAL_RELATIONSHIPS = (
    RelationshipType(
        "TESTED_BY",
        "Hypothesis",
        "Intervention",
        "A test of a hypothesis: one for each held-out prompt.",
        part=True,
    ),
    RelationshipType(
        "MEASURED_BY", "Claim", "Intervention", "A measurement of a claim: one for each circuit.", part=True
    ),
    RelationshipType(
        "DIAGNOSED_BY",
        "Circuit",
        "Intervention",
        "The ablation of one feature of a diagnosed circuit.",
        part=True,
    ),
    RelationshipType("ON", "Intervention", "Circuit", "The circuit that predicted the effect."),
    RelationshipType(
        "ABLATED",
        "Circuit",
        "ComponentEffects",
        "The effects of the layers' components on the answer of a circuit.",
        part=True,
    ),
    RelationshipType(
        "EDITS", "Intervention", "Feature", "An edited feature, if a circuit of the database has it."
    ),
    RelationshipType(
        "CHANGED",
        "Intervention",
        "Node",
        "The effect of a claim's edits on a node of the circuit. It is stored for the logits, and for the "
        "features with the largest predicted changes.",
        (
            P(
                "predicted",
                "float?",
                "Change that the pruned graph predicts. Absent if the graph does not have the edited "
                "features.",
            ),
            P(
                "measured",
                "float",
                "Measured change: of a logit minus the mean logit of the vocabulary, or of a feature's "
                "pre-activation.",
            ),
        ),
    ),
)
