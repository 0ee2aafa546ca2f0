"""The denominator of an answer: the circuits that were looked at, and their settings."""

from collections.abc import Iterable
from dataclasses import replace

import strawberry

from api.types.rows import columns
from schema.questions.circuits import SettingsRow


@strawberry.type(name="Settings", description="A combination of settings under which circuits were made.")
class CircuitSettings:
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
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
    dtype: str | None = strawberry.field(
        description="Number format of the computation, for example `float32`."
    )
    n_circuits: int = strawberry.field(description="Number of circuits considered that have these settings.")

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal settings."""
        thresholds = (self.node_threshold, self.edge_threshold, self.max_feature_nodes)
        return (self.transcoders, self.target, *thresholds, self.dtype)


@strawberry.type(description="The denominator of an answer: the circuits that the question looked at.")
class Considered:
    n_circuits: int = strawberry.field(description="Number of circuits that the question looked at.")
    mixed_settings: bool = strawberry.field(
        description="Whether the circuits differ in transcoder set or thresholds. A feature "
        "that is absent may then have been pruned under stricter settings, or may not exist "
        "in the other transcoder set."
    )
    settings: list[CircuitSettings] = strawberry.field(
        description="The settings of the circuits. Those of the most circuits come first."
    )
    ids: strawberry.Private[list[str]]
    """Empty when they were not asked for."""

    @classmethod
    def of(cls, rows: Iterable[SettingsRow]) -> "Considered":
        rows = list(rows)
        settings = [CircuitSettings(**columns(row, without=("circuits",))) for row in rows]
        return cls._of(settings, [circuit for row in rows for circuit in row.circuits])

    @classmethod
    def _of(cls, settings: list[CircuitSettings], ids: list[str]) -> "Considered":
        return cls(
            n_circuits=sum(each.n_circuits for each in settings),
            mixed_settings=len(settings) > 1,
            settings=settings,
            ids=ids,
        )

    def without(self, part: "Considered") -> "Considered":
        """The number of these circuits that are not in `part`, which is a part of them; no ids.

        Those of transcoder sets that `part` has no circuit of are left out.
        """
        gone = {each.key: each.n_circuits for each in part.settings}
        sets = {each.transcoders for each in part.settings}
        left = [
            replace(each, n_circuits=each.n_circuits - gone.get(each.key, 0))
            for each in self.settings
            if each.transcoders in sets
        ]
        left.sort(key=lambda each: -each.n_circuits)
        return Considered._of([each for each in left if each.n_circuits], [])
