"""Questions about modules: communities of features that a command found before."""

from datetime import datetime
from typing import Any, NamedTuple

from schema.questions.question import Question, Record


class PartitionRow(NamedTuple):
    """How and when modules were found."""

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
    """What a module carries in one family."""

    family: str
    n_features: int
    n_considered: int
    influence: float
    share: float | None


class MemberRow(NamedTuple):
    feature: str
    strength: float


class ModuleRow(NamedTuple):
    id: str
    number: int
    n_features: int
    within: float
    families: list[ModuleFamilyRow]
    strongest: list[MemberRow]


class ModuleRows(NamedTuple):
    """A page of modules."""

    total: int
    rows: list[ModuleRow]
    partition: PartitionRow | None
    """None when there is none such."""


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
