"""Models and the transcoder sets that replace their MLPs."""

import strawberry

from api.types.rows import columns
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

    @classmethod
    def of(cls, row: TranscodersRow) -> "TranscoderSet":
        values = columns(row, without=("neuronpedia_attention",))
        values["neuronpedia"] = pages(row).mlp
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
