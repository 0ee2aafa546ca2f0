"""Models and the transcoder sets that replace their MLPs."""

import strawberry

from api.types.rows import columns
from schema.questions.runs import TranscodersRow


@strawberry.type(
    description="A language model at one revision; each checkpoint of a training run is a model."
)
class Model:
    id: strawberry.ID = strawberry.field(description="Name and revision.")
    name: str = strawberry.field(description="Name on the hub, or of the folder.")
    revision: str | None = strawberry.field(description="Commit, or a hash of the weights.")
    architecture: str | None = strawberry.field(
        description="Class of the model, for example `LlamaForCausalLM`."
    )
    n_layers: int | None = strawberry.field(description="Layers: features are in layers 0 to nLayers - 1.")
    d_model: int | None = strawberry.field(description="Width of the residual stream.")
    vocab_size: int | None = strawberry.field(description="Number of tokens it knows.")
    training_step: int | None = strawberry.field(description="Training step of a checkpoint, when known.")


@strawberry.type(description="The transcoders that make a replacement model of one model.")
class TranscoderSet:
    id: strawberry.ID = strawberry.field(description="Name and revision.")
    name: str = strawberry.field(description="Name on the hub, or of the folder.")
    revision: str | None = strawberry.field(description="Commit, or a hash of the files.")
    kind: str | None = strawberry.field(description="`clt` (cross-layer) or `plt` (per-layer).")
    activation: str | None = strawberry.field(description="`relu`, `jumprelu` or `topk`.")
    input_hook: str | None = strawberry.field(description="Where the transcoders read.")
    output_hook: str | None = strawberry.field(description="Where they write.")
    n_features: int | None = strawberry.field(description="Width of the dictionary of one layer.")
    n_circuits: int = strawberry.field(description="Circuits in the database that were made with this set.")
    model: Model = strawberry.field(description="The model that they replace.")

    @classmethod
    def of(cls, row: TranscodersRow) -> "TranscoderSet":
        values = columns(row)
        model = {
            name.removeprefix("model_"): values.pop(name)
            for name in list(values)
            if name.startswith("model_")
        }
        return cls(
            id=strawberry.ID(row.key), n_circuits=values.pop("circuits"), model=Model(**model), **values
        )
