"""Keeps with a transcoder set how well it rebuilds and replaces the MLPs of its model."""

from dataclasses import dataclass
from statistics import median

import msgspec

from schema.circuit.records import Model, TranscoderSet
from schema.database import Database
from schema.loading.model_of_set import assign_model
from schema.loading.properties import MEASURED, properties_of
from schema.model.core import MODEL, TRANSCODER_SET


@dataclass(frozen=True)
class MeasuredLayer:
    """One layer of a transcoder set on texts, at all positions but the special first token."""

    layer: int
    fvu: float | None
    """Fraction of variance unexplained: the share of the variance of the MLP's outputs that the transcoders
    miss, 0 or more. None when the outputs do not vary."""
    fvu_ordinary: float | None
    """`fvu` without outliers."""
    outliers: int
    """Tokens whose output is larger than 5 times the median. A few of them can hold most of the variance."""
    l0: float
    """Mean number of active features of a token, 0 or more."""
    features: int
    """Features of the layer."""
    dead: int
    """Features that are active on no token."""
    density: float | None
    """Median over the other features of the share of tokens on which a feature is active, 0 to 1."""
    dense: int
    """Features that are active on at least a tenth of the tokens."""


@dataclass(frozen=True)
class MeasuredReplacement:
    """The next-token predictions of the model with the MLPs of some layers replaced."""

    name: str
    """`all`, a layer such as `3`, or layers such as `0-9`."""
    layers: list[int]
    """The replaced layers."""
    agreement: float | None
    """Share of tokens at which the most probable next token is the model's, 0 to 1."""
    kl: float | None
    """Mean Kullback–Leibler divergence from the model's prediction, in nats, 0 or more."""
    loss: float | None
    """Mean negative log probability of the token that follows, in nats."""
    model_loss: float | None
    """`loss` of the model itself."""
    loss_recovered: float | None
    """Share of the loss that is recovered: 0 is as bad as MLPs that write their mean output, 1 is as good as
    the model. None when writing means is no worse than the model."""


@dataclass(frozen=True)
class MeasuredSet:
    """How well a transcoder set rebuilds and replaces the MLPs of its model."""

    tokens: int
    """Tokens on which layers were measured."""
    contexts: int
    """Pieces of text."""
    layers: list[MeasuredLayer]
    agreement_tokens: int
    """Tokens on which predictions were compared."""
    replacements: list[MeasuredReplacement]

    @property
    def fvu(self) -> float | None:
        """The median FVU over the layers."""
        known = [layer.fvu for layer in self.layers if layer.fvu is not None]
        return median(known) if known else None

    @property
    def agreement(self) -> float | None:
        """The agreement when all layers are replaced."""
        return next((each.agreement for each in self.replacements if each.name == "all"), None)

    def to_text(self) -> str:
        """JSON, as the database stores it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_text(cls, text: str) -> "MeasuredSet":
        """Read what `to_text` wrote."""
        return msgspec.json.decode(text, type=cls)


def keep_measured(
    database: Database, transcoders: TranscoderSet, model: Model, measured: MeasuredSet
) -> None:
    """Store figures with a transcoder set, in place of earlier ones.

    A set that the database does not have yet is stored with its model.
    """
    assign_model(database, transcoders, model)
    database.write(
        _KEEP,
        {
            "transcoders": properties_of(TRANSCODER_SET, transcoders, **dict.fromkeys(MEASURED)),
            "model": properties_of(MODEL, model),
            "measured": {
                "measured": measured.to_text(), "fvu": measured.fvu, "agreement": measured.agreement
            },
        },
    )  # fmt: skip


_KEEP = """
MERGE (t:TranscoderSet {id: $transcoders.id}) ON CREATE SET t = $transcoders
SET t += $measured
WITH t WHERE NOT EXISTS { (t)-[:FOR]->(:Model) }
MERGE (m:Model {id: $model.id}) ON CREATE SET m = $model
MERGE (t)-[:FOR]->(m)
"""
