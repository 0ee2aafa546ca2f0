"""Questions about modules: communities of features that `atlas modules compute` found."""

from datetime import datetime
from typing import Any, NamedTuple

from schema.questions.question import Question, Record


class PartitionRow(NamedTuple):
    """One computation of modules: its settings, its result and its time."""

    id: str
    transcoders: str
    method: str
    seed: int
    resolution: float
    min_circuits: int
    n_features: int
    n_effects: int
    n_modules: int
    modularity: float
    null_mean: float | None
    null_sd: float | None
    n_null: int
    computed_at: datetime


class ModuleFamilyRow(NamedTuple):
    """Influence that a module carries in one family."""

    family: str
    n_features: int
    n_considered: int
    influence: float | None
    """None when it is unknown in all circuits."""
    share: float | None


class MemberRow(NamedTuple):
    """A feature of a module."""

    feature: str
    """Id of the feature."""
    strength: float
    """Summed weight of its effects inside the module."""


class ModuleRow(NamedTuple):
    """A community of features."""

    id: str
    number: int
    n_features: int
    within: float
    """Share of the weight of the members' effects that stays inside the module, 0 to 1."""
    families: list[ModuleFamilyRow]
    strongest: list[MemberRow]


class ModuleRows(NamedTuple):
    """A page of modules."""

    total: int
    rows: list[ModuleRow]
    partition: PartitionRow | None
    """None when the database has no such computation."""


def _modules(record: Record) -> ModuleRows:
    made: dict[str, Any] | None = record["partition"]
    return ModuleRows(
        record["total"],
        [
            ModuleRow(
                **{
                    **row,
                    "families": [ModuleFamilyRow(**each) for each in row["families"]],
                    "strongest": [MemberRow(**each) for each in row["strongest"]],
                }
            )
            for row in record["rows"]
        ],
        None if made is None else PartitionRow(**{**made, "computed_at": made["computed_at"].to_native()}),
    )


MODULES: Question[ModuleRows] = Question("modules", _modules)
