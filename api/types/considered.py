"""The denominator of an answer: the circuits that were looked at, and their settings."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import strawberry
from strawberry.utils.str_converters import to_camel_case

from api.request.inputs import COUNTED_BY, CountBy
from api.types.rows import columns
from schema.questions.circuits import SettingsRow

SETTINGS = (
    "model",
    "transcoders",
    "target",
    "node_threshold",
    "edge_threshold",
    "max_feature_nodes",
    "max_edges",
    "dtype",
    "tool",
    "derived",
)
"""The settings that circuits can differ in, by their names in `Settings` and `CircuitSettings`."""


@strawberry.type(description="A setting in which circuits differ.")
class MixedSetting:
    setting: str = strawberry.field(
        description="Name of the setting: a field of `Settings`, such as `nodeThreshold`."
    )
    values: list[str | None] = strawberry.field(
        description="The values that occur, as text in ascending order. Null stands for unknown, "
        "for no limit (`maxFeatureNodes`, `maxEdges`), for the atlas itself (`tool`) or for nothing "
        "(`derived`)."
    )


def mixed_of(settings: Iterable[Any]) -> list[MixedSetting]:
    """The settings in which these combinations of settings differ.

    settings: objects with the attributes `SETTINGS`.
    """
    combinations = list(settings)
    found = []
    for name in SETTINGS:
        values = [getattr(each, name) for each in combinations]
        distinct = {tuple(value) if isinstance(value, list) else value for value in values}
        if len(distinct) > 1:
            known = sorted(value for value in distinct if value is not None)
            texts = [", ".join(value) if isinstance(value, tuple) else str(value) for value in known]
            none: list[None] = [None] if None in distinct else []
            found.append(MixedSetting(setting=to_camel_case(name), values=[*texts, *none]))
    return found


@strawberry.type(name="Settings", description="A combination of settings under which circuits were made.")
class CircuitSettings:
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    model: strawberry.ID = strawberry.field(description="Id of the model.")
    target: str | None = strawberry.field(
        description="The target of the attribution, for example `salient-logits(10, 0.95)`."
    )
    node_threshold: float | None = strawberry.field(
        description="Share of the nodes' influence that pruning was told to keep, 0 to 1. Null when unknown."
    )
    edge_threshold: float | None = strawberry.field(
        description="Share of the edges' influence that pruning was told to keep, 0 to 1. Null when unknown."
    )
    max_feature_nodes: int | None = strawberry.field(
        description="Largest number of features that were attributed from. Null when there was "
        "no limit or it is unknown."
    )
    max_edges: int | None = strawberry.field(
        description="Largest number of edges that were kept. Null when no edge was dropped for such a limit."
    )
    dtype: str | None = strawberry.field(
        description="Number format of the computation, for example `float32`."
    )
    tool: str | None = strawberry.field(
        description="Tool in whose format the circuits were imported, for example `neuronpedia`. "
        "Null for circuits that the atlas computed."
    )
    derived: list[str] | None = strawberry.field(
        description="What was derived from the kept graph, because a file does not give it, "
        "for example `influence`. Null when nothing was derived."
    )
    n_circuits: int = strawberry.field(description="Number of circuits considered that have these settings.")

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal settings."""
        values = (getattr(self, name) for name in SETTINGS)
        return tuple(tuple(value) if isinstance(value, list) else value for value in values)


@strawberry.type(description="The denominator of an answer: the circuits that the question looked at.")
class Considered:
    n_circuits: int = strawberry.field(description="Number of circuits that the question looked at.")
    mixed_settings: bool = strawberry.field(
        description="Whether the circuits differ in any of their `settings`; `mixed` names them. A feature "
        "that is absent may then have been pruned under stricter settings, or may not exist "
        "in the other transcoder set."
    )
    mixed: list[MixedSetting] = strawberry.field(
        description="The settings in which the circuits differ, with their values. Empty when they are equal."
    )
    settings: list[CircuitSettings] = strawberry.field(
        description="The settings of the circuits. Those of the most circuits come first."
    )
    counted_by: CountBy = strawberry.field(
        description=f"{COUNTED_BY} CIRCUITS in questions without this argument."
    )
    n_units: int = strawberry.field(
        description="Number of units that were counted: circuits, prompts or clusters, see `countedBy`."
    )
    ids: strawberry.Private[list[str]]
    """Empty when they were not asked for."""

    @property
    def sets(self) -> list[str]:
        """Ids of the transcoder sets of these circuits."""
        return sorted({each.transcoders for each in self.settings})

    @classmethod
    def of(cls, rows: Iterable[SettingsRow]) -> "Considered":
        rows = list(rows)
        settings = [CircuitSettings(**columns(row, without=("circuits",))) for row in rows]
        return cls._of(settings, [circuit for row in rows for circuit in row.circuits])

    @classmethod
    def _of(cls, settings: list[CircuitSettings], ids: list[str]) -> "Considered":
        n_circuits = sum(each.n_circuits for each in settings)
        return cls(
            n_circuits=n_circuits,
            counted_by=CountBy.CIRCUITS,
            n_units=n_circuits,
            mixed_settings=len(settings) > 1,
            mixed=mixed_of(settings),
            settings=settings,
            ids=ids,
        )

    def without(self, part: "Considered") -> "Considered":
        """The number of these circuits that are not in `part`, which is a part of them; no ids.

        Those of transcoder sets that `part` has no circuit of are left out.
        """
        gone = {each.key: each.n_circuits for each in part.settings}
        left = [
            replace(each, n_circuits=each.n_circuits - gone.get(each.key, 0))
            for each in self.settings
            if each.transcoders in part.sets
        ]
        left.sort(key=lambda each: -each.n_circuits)
        return Considered._of([each for each in left if each.n_circuits], [])
