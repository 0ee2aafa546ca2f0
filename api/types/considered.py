"""The denominator of an answer: the circuits that were looked at, and their settings."""

from collections.abc import Iterable
from dataclasses import replace

import strawberry

from api.types.rows import columns
from schema.questions.circuits import SettingsRow


@strawberry.type(name="Settings", description="A combination of settings under which circuits were made.")
class CircuitSettings:
    transcoders: strawberry.ID = strawberry.field(description="Id of the transcoder set.")
    target: str | None = strawberry.field(description="What was attributed, for example the salient logits.")
    node_threshold: float | None = strawberry.field(
        description="Share of influence that pruning kept of the nodes."
    )
    edge_threshold: float | None = strawberry.field(
        description="Share of influence that pruning kept of the edges."
    )
    max_feature_nodes: int | None = strawberry.field(
        description="Most features attributed from; null: no limit."
    )
    dtype: str | None = strawberry.field(description="Number format of the computation.")
    n_circuits: int = strawberry.field(description="Circuits considered that have these settings.")

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal settings."""
        thresholds = (self.node_threshold, self.edge_threshold, self.max_feature_nodes)
        return (self.transcoders, self.target, *thresholds, self.dtype)


@strawberry.type(description="The denominator of an answer: which circuits were looked at.")
class Considered:
    n_circuits: int = strawberry.field(description="How many circuits were looked at.")
    mixed_settings: bool = strawberry.field(
        description="True when they differ in transcoder set or thresholds: a feature that is absent may "
        "only have been pruned under stricter settings, or not exist in the other set."
    )
    settings: list[CircuitSettings] = strawberry.field(
        description="Their settings, those of most circuits first."
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
