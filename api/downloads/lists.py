"""Which lists of the schema can be downloaded, and the columns of each.

The names of columns are those of the tables that `atlas export` writes. Everything else of a list, its
arguments and how it is asked for, follows from the GraphQL field of the same name.
"""

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from schema.exports.arrow import arrow_type
from schema.questions.audit import FamilyErrorRow, LayerErrorRow
from schema.questions.circuits import (
    CIRCUITS_BY_ID,
    PROMPTS_BY_ID,
    CircuitRow,
    ComparedEdgeRow,
    ComparedFeatureRow,
    FamilyRow,
    PromptRow,
)
from schema.questions.features import FEATURES_BY_ID, FamilyOfFeatureRow, FeatureRow, UseRow
from schema.questions.graph import NODES_BY_ID, EffectRow, NodeRow
from schema.questions.question import Question
from schema.questions.runs import MadeRow
from schema.questions.search import FoundRow
from schema.questions.sets import ContrastRow, SharedRow, SimilarRow
from schema.questions.structure import HubRow, LogitDriverRow, MotifRow, PathRow, RecurringRow
from schema.questions.supernodes import SUPERNODES_BY_ID, SupernodeEdgeRow, SupernodeRow

Row = dict[str, Any]


@dataclass(frozen=True)
class Detail:
    """A question by id that fills in what a list of ids leaves open."""

    question: Question[Any]
    row: type
    prefix: str = ""
    """Before the names of its columns."""
    by: str = "id"
    """The column that holds the ids asked for."""


@dataclass(frozen=True)
class Download:
    """One list of the schema as a table."""

    path: str
    """Of the GraphQL field, such as `contrast.features`."""
    row: type | None = None
    """The columns of its rows; None: the rows are ids."""
    nested: frozenset[str] = frozenset()
    """Columns of the row that hold records, which the table leaves out."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Column of the row → column of the table."""
    details: tuple[Detail, ...] = ()
    spread: Callable[[Row], list[Row]] | None = None
    """One row of the answer → those of the table."""
    tested: bool = False
    """Whether p_value and q_value are added."""
    features: tuple[str, ...] = ()
    """Columns with ids of features, to which `labels=true` adds labels and links."""

    @property
    def schema(self) -> pa.Schema:
        columns: dict[str, pa.DataType] = {}
        if self.row is None:
            columns["id"] = pa.string()
        else:
            own = _columns(self.row, self.nested)
            columns |= {self.rename.get(name, name): kind for name, kind in own.items()}
        for detail in self.details:
            columns |= {detail.prefix + name: kind for name, kind in _columns(detail.row).items()}
        if self.tested:
            columns |= {"p_value": pa.float64(), "q_value": pa.float64()}
        return pa.schema(list(columns.items()))

    @property
    def labelled(self) -> pa.Schema:
        """The schema with the columns that `labels=true` adds."""
        added = (name for column in self.features for name in label_columns(column))
        return pa.schema([*self.schema, *(pa.field(name, pa.string()) for name in added)])

    @property
    def plain(self) -> dict[str, str]:
        """Column of the row → column of the table; empty when rows have to be filled in or spread first."""
        if self.row is None or self.details or self.spread is not None:
            return {}
        return {name: self.rename.get(name, name) for name in _columns(self.row, self.nested)}


def _columns(row: type, without: frozenset[str] = frozenset()) -> dict[str, pa.DataType]:
    hints = typing.get_type_hints(row)
    return {name: arrow_type(hint) for name, hint in hints.items() if name not in {"key", *without}}


def label_columns(column: str) -> tuple[str, str]:
    """The columns of the label and of the Neuronpedia page that belong to a column of features."""
    prefix = "" if column in ("id", "feature") else f"{column}_"
    return f"{prefix}label", f"{prefix}neuronpedia_url"


class UseOfShared(typing.NamedTuple):
    """What one of the features asked for does in one circuit."""

    circuit: str
    n_features: int
    circuit_influence: float | None
    feature: str
    influence: float | None
    activation: float | None
    positions: list[int]


def _uses(row: Row) -> list[Row]:
    of_circuit = {"n_features": len(row["uses"]), "circuit_influence": row["influence"]}
    return [{**use, **of_circuit} for use in row["uses"]]


_CIRCUITS = (
    Detail(CIRCUITS_BY_ID, CircuitRow),
    Detail(PROMPTS_BY_ID, PromptRow, "prompt_", "prompt"),
)
_NODES = (Detail(NODES_BY_ID, NodeRow),)
_SUPERNODES = (Detail(SUPERNODES_BY_ID, SupernodeRow),)
_FEATURES = (Detail(FEATURES_BY_ID, FeatureRow),)
_COMPARED = ("OnlyInA", "OnlyInB", "InBoth")
_WEIGHTS = {"both": "n_considered"}
_DRIVERS = {"mean": "mean_weight", "sum": "sum_weight", "share": "mean_share"}
_SIDES = {
    "with_positive": "n_circuits_positive",
    "n_positive": "n_considered_positive",
    "with_negative": "n_circuits_negative",
    "n_negative": "n_considered_negative",
}
_SHARED = {
    "support": "n_circuits",
    "n_inside": "n_considered",
    "influence": "mean_influence",
    "support_outside": "n_circuits_outside",
    "n_outside": "n_considered_outside",
}

DOWNLOADS = {
    each.path: each
    for each in (
        Download("circuits", details=_CIRCUITS),
        Download("circuit.nodes", details=_NODES, features=("feature",)),
        Download("circuit.edges", EffectRow),
        Download("circuit.features", UseRow, features=("feature",)),
        Download("circuit.supernodes", details=_SUPERNODES),
        Download("circuit.supernodeEdges", SupernodeEdgeRow),
        Download("features", details=_FEATURES, features=("id",)),
        Download("feature.circuits", UseRow, features=("feature",)),
        Download("feature.families", FamilyOfFeatureRow),
        Download("circuitsSharing", UseOfShared, spread=_uses, features=("feature",)),
        Download("sharedFeatures", SharedRow, rename=_SHARED, tested=True, features=("feature",)),
        *(
            Download(f"contrast.{part}", ContrastRow, rename=rename | _SIDES, features=features)
            for part, rename, features in (
                ("features", {"name": "feature"}, ("feature",)),
                ("edges", {"name": "source"}, ("source", "target")),
                ("supernodes", {"name": "label"}, ()),
            )
        ),
        *(
            Download(f"compareCircuits.features{part}", ComparedFeatureRow, features=("feature",))
            for part in _COMPARED
        ),
        *(Download(f"compareCircuits.edges{part}", ComparedEdgeRow) for part in (*_COMPARED, "Flipped")),
        Download("similarCircuits", SimilarRow),
        Download("recurringEdges", RecurringRow, rename=_WEIGHTS, features=("source", "target")),
        Download("paths", PathRow),
        Download("motifs", MotifRow, features=("first", "second", "third")),
        Download("hubs", HubRow, features=("feature",)),
        Download("drivesLogit", LogitDriverRow, rename=_DRIVERS, features=("feature",)),
        Download("search", FoundRow),
        Download("supernodes", details=_SUPERNODES),
        Download("families", FamilyRow, nested=frozenset({"settings"})),
        Download("errorAudit.byFamily", FamilyErrorRow),
        Download("errorAudit.byLayer", LayerErrorRow),
        Download("errorAudit.untrusted", details=_CIRCUITS),
        Download("runs", MadeRow),
    )
}
"""By path."""
