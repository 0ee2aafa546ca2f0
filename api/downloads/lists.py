"""Which lists of the schema can be downloaded, and the columns of each.

The names of columns are those of the tables that `atlas export` writes. Everything else of a list, its
arguments and how it is asked for, follows from the GraphQL field of the same name.
"""

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from api.downloads.formats import arrow_type
from schema.questions import core as queries
from schema.questions import sets as questions_sets
from schema.questions import structure as questions_structure
from schema.questions import words as questions_words
from schema.questions.question import Question

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
    questions: str
    """Names of the questions that answer it, one or another of them; blanks between."""
    row: type | None = None
    """The columns of its rows; None: the rows are ids."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Column of the row → column of the table."""
    details: tuple[Detail, ...] = ()
    spread: Callable[[Row], list[Row]] | None = None
    """One row of the answer → those of the table."""
    tested: bool = False
    """Whether p_value and q_value are added."""
    whole: bool = False
    """Whether the question answers with rows, not with a page of them."""

    @property
    def schema(self) -> pa.Schema:
        columns: dict[str, pa.DataType] = {}
        if self.row is None:
            columns["id"] = pa.string()
        else:
            columns |= {self.rename.get(name, name): kind for name, kind in _columns(self.row).items()}
        for detail in self.details:
            columns |= {detail.prefix + name: kind for name, kind in _columns(detail.row).items()}
        if self.tested:
            columns |= {"p_value": pa.float64(), "q_value": pa.float64()}
        return pa.schema(list(columns.items()))

    @property
    def plain(self) -> dict[str, str]:
        """Column of the row → column of the table; empty when rows have to be filled in or spread first."""
        if self.row is None or self.details or self.spread is not None:
            return {}
        return {name: self.rename.get(name, name) for name in _columns(self.row)}


def _columns(row: type) -> dict[str, pa.DataType]:
    return {name: arrow_type(hint) for name, hint in typing.get_type_hints(row).items() if name != "key"}


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
    Detail(queries.CIRCUITS_BY_ID, queries.CircuitRow),
    Detail(queries.PROMPTS_BY_ID, queries.PromptRow, "prompt_", "prompt"),
)
_NODES = (Detail(queries.NODES_BY_ID, queries.NodeRow),)
_SUPERNODES = (Detail(queries.SUPERNODES_BY_ID, queries.SupernodeRow),)
_FEATURES = (Detail(queries.FEATURES_BY_ID, queries.FeatureRow),)
_COMPARED = ("OnlyInA", "OnlyInB", "InBoth")
_WEIGHTS = {"both": "n_considered"}
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
        Download("circuits", "circuits", details=_CIRCUITS),
        Download("circuit.nodes", "nodes_of_circuit", details=_NODES),
        Download("circuit.edges", "edges_of_circuit", queries.EffectRow),
        Download("circuit.features", "features_of_circuit", queries.UseRow),
        Download("circuit.supernodes", "supernodes_of_circuit", details=_SUPERNODES),
        Download("circuit.supernodeEdges", "supernode_edges", queries.SupernodeEdgeRow, whole=True),
        Download("features", "features features_by_count", details=_FEATURES),
        Download("feature.circuits", "circuits_of_feature", queries.UseRow),
        Download("feature.families", "families_of_feature", queries.FamilyOfFeatureRow, whole=True),
        Download("circuitsSharing", "circuits_sharing", UseOfShared, spread=_uses),
        Download("sharedFeatures", "shared_features", questions_sets.SharedRow, rename=_SHARED, tested=True),
        *(
            Download(
                f"contrast.{part}", f"contrast_{part}", questions_sets.ContrastRow, rename=rename | _SIDES
            )
            for part, rename in (
                ("features", {"name": "feature"}),
                ("edges", {"name": "source"}),
                ("supernodes", {"name": "label"}),
            )
        ),
        *(
            Download(f"compareCircuits.features{part}", "compare_features", queries.ComparedFeatureRow)
            for part in _COMPARED
        ),
        *(
            Download(f"compareCircuits.edges{part}", "compare_edges", queries.ComparedEdgeRow)
            for part in (*_COMPARED, "Flipped")
        ),
        Download("similarCircuits", "similar_circuits", questions_sets.SimilarRow),
        Download("recurringEdges", "recurring_effects", questions_structure.RecurringRow, rename=_WEIGHTS),
        Download("paths", "paths", questions_structure.PathRow),
        Download("motifs", "motifs", questions_structure.MotifRow),
        Download("hubs", "hubs", questions_structure.HubRow),
        Download("search", "search", questions_words.FoundRow),
        Download("supernodes", "supernodes", details=_SUPERNODES),
        Download("families", "families", queries.FamilyRow, whole=True),
        Download("errorAudit.byFamily", "error_by_family", questions_words.FamilyErrorRow, whole=True),
        Download("errorAudit.byLayer", "error_by_layer", questions_words.LayerErrorRow, whole=True),
        Download("errorAudit.untrusted", "untrusted", details=_CIRCUITS),
        Download("runs", "runs", questions_words.MadeRow),
    )
}
"""By path."""
