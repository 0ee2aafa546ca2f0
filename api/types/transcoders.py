"""Models and the transcoder sets that replace their MLPs."""

from dataclasses import asdict

import strawberry

from api.types.rows import columns
from schema.annotations.measured import MeasuredSet
from schema.circuit.neuronpedia_pages import Pages, pages_of
from schema.questions.runs import TranscodersRow


@strawberry.type(
    description="A language model at one revision. Each checkpoint of a training run is a model of its own."
)
class Model:
    id: strawberry.ID = strawberry.field(description="Id: name and revision.")
    name: str = strawberry.field(description="Name on the model hub, or name of the folder.")
    revision: str | None = strawberry.field(
        description="Commit on the hub, or a hash of the weights. Null when unknown."
    )
    architecture: str | None = strawberry.field(
        description="Class of the model, for example `LlamaForCausalLM`. Null when unknown."
    )
    n_layers: int | None = strawberry.field(
        description="Number of layers. Features are in layers 0 to nLayers - 1. Null when unknown."
    )
    d_model: int | None = strawberry.field(description="Width of the residual stream. Null when unknown.")
    vocab_size: int | None = strawberry.field(
        description="Number of tokens in the vocabulary. Null when unknown."
    )
    training_step: int | None = strawberry.field(
        description="Training step of a checkpoint. Null for models that are not checkpoints."
    )


@strawberry.type(
    description="One layer of a transcoder set on texts, at all positions but the special first token."
)
class LayerFigures:
    layer: int = strawberry.field(description="Layer, from 0.")
    fvu: float | None = strawberry.field(
        description="Fraction of variance unexplained: the share of the variance of the MLP's outputs that "
        "the transcoders miss, 0 or more. Null when the outputs do not vary."
    )
    fvu_ordinary: float | None = strawberry.field(
        description="`fvu` without outliers. Null when the outputs do not vary."
    )
    outliers: int = strawberry.field(
        description="Tokens whose output is larger than 5 times the median. A few of them can hold most of "
        "the variance."
    )
    l0: float = strawberry.field(description="Mean number of active features of a token, 0 or more.")
    features: int = strawberry.field(description="Number of features of the layer.")
    dead: int = strawberry.field(description="Features that are active on no token.")
    density: float | None = strawberry.field(
        description="Median over the other features of the share of tokens on which a feature is active, 0 "
        "to 1. Null when all features are dead."
    )
    dense: int = strawberry.field(description="Features that are active on at least a tenth of the tokens.")


@strawberry.type(
    description="The next-token predictions of the model when the MLPs of some layers are replaced by "
    "transcoders, which read the stream that they change."
)
class ReplacementFigures:
    name: str = strawberry.field(description="`all`, a layer such as `3`, or layers such as `0-9`.")
    layers: list[int] = strawberry.field(description="The replaced layers.")
    agreement: float | None = strawberry.field(
        description="Share of tokens at which the most probable next token is the model's, 0 to 1. Null "
        "without tokens."
    )
    kl: float | None = strawberry.field(
        description="Mean Kullback–Leibler divergence from the model's prediction, in nats, 0 or more. Null "
        "without tokens."
    )
    loss: float | None = strawberry.field(
        description="Mean negative log probability of the token that follows, in nats. Null without tokens."
    )
    model_loss: float | None = strawberry.field(
        description="`loss` of the model itself. Null without tokens."
    )
    loss_recovered: float | None = strawberry.field(
        description="Share of the loss that is recovered: 0 is as bad as MLPs that write their mean output, "
        "1 is as good as the model. Null when writing means is no worse than the model."
    )


@strawberry.type(
    description="How well transcoders rebuild what the MLPs write, and how well they replace the MLPs, as "
    "`atlas transcoders measure` found on texts. This is not the replacement score of a circuit, whose "
    "errors carry the model's own activations."
)
class MeasuredTranscoders:
    tokens: int = strawberry.field(description="Tokens on which the layers were measured.")
    contexts: int = strawberry.field(description="Pieces of text.")
    fvu: float | None = strawberry.field(
        description="Median over the layers of the fraction of variance unexplained. Null when unknown."
    )
    agreement: float | None = strawberry.field(
        description="Share of tokens at which the model with all MLPs replaced has the model's most probable "
        "next token, 0 to 1. Null when unknown."
    )
    layers: list[LayerFigures] = strawberry.field(description="Figures of each layer, in order.")
    agreement_tokens: int = strawberry.field(description="Tokens on which predictions were compared.")
    replacements: list[ReplacementFigures] = strawberry.field(
        description="Figures of all layers together, of groups of layers, and of single layers."
    )

    @classmethod
    def of(cls, found: MeasuredSet) -> "MeasuredTranscoders":
        return cls(
            tokens=found.tokens,
            contexts=found.contexts,
            fvu=found.fvu,
            agreement=found.agreement,
            layers=[LayerFigures(**asdict(each)) for each in found.layers],
            agreement_tokens=found.agreement_tokens,
            replacements=[ReplacementFigures(**asdict(each)) for each in found.replacements],
        )


@strawberry.type(description="A transcoder set: it turns one model into its replacement model.")
class TranscoderSet:
    id: strawberry.ID = strawberry.field(description="Id: name and revision.")
    name: str = strawberry.field(description="Name on the model hub, or name of the folder.")
    revision: str | None = strawberry.field(
        description="Commit on the hub, or a hash of the files. Null when unknown."
    )
    kind: str | None = strawberry.field(
        description="Kind of the transcoders: `clt` (cross-layer) or `plt` (per-layer). Null when unknown."
    )
    activation: str | None = strawberry.field(
        description="Activation function: `relu`, `jumprelu` or `topk`. Null when unknown."
    )
    input_hook: str | None = strawberry.field(
        description="Place in the model that the transcoders read. Null when unknown."
    )
    output_hook: str | None = strawberry.field(
        description="Place in the model that the transcoders write. Null when unknown."
    )
    n_features: int | None = strawberry.field(
        description="Number of features in the dictionary of one layer. Null when unknown."
    )
    n_circuits: int = strawberry.field(
        description="Number of circuits in the database that were made with this transcoder set."
    )
    model: Model = strawberry.field(description="The model whose MLPs the transcoders replace.")
    neuronpedia: str | None = strawberry.field(
        description="Model and source set under which neuronpedia.org has the features, such as "
        "`gemma-2-2b/clt-hp`. Null when neither a graph file nor the table of published sets says it."
    )
    measured: MeasuredTranscoders | None = strawberry.field(
        description="How well the transcoders stand for the MLPs. Null before `atlas transcoders measure`."
    )

    @classmethod
    def of(cls, row: TranscodersRow) -> "TranscoderSet":
        values = columns(row, without=("neuronpedia_attention",))
        values["neuronpedia"] = pages(row).mlp
        if row.measured is not None:
            values["measured"] = MeasuredTranscoders.of(MeasuredSet.from_text(row.measured))
        model = {
            name.removeprefix("model_"): values.pop(name)
            for name in list(values)
            if name.startswith("model_")
        }
        return cls(
            id=strawberry.ID(row.key), n_circuits=values.pop("circuits"), model=Model(**model), **values
        )


def pages(row: TranscodersRow) -> Pages:
    """Where Neuronpedia has the features of a set."""
    return pages_of(row.name, row.neuronpedia, row.neuronpedia_attention)
