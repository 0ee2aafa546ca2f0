"""`diagnostics`: what circuits claim of their features, against what ablating the features showed."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Self

import strawberry
from strawberry import argument

from api.questions.considered import require_known, set_ids
from api.request.batching import Info
from api.request.inputs import SetNames, checked_list
from schema.evidence.interventions import BANDS, DIAGNOSTICS, DiagnosedRow

CELLS = ((True, True), (True, False), (False, True), (False, False))
"""(important in the graph, has an effect), in the order of the four counts."""


@strawberry.type(
    description="Features with a similar influence, or a similar edge weight, in their circuits."
)
class DiagnosticsBand:
    least_share: float | None = strawberry.field(
        description="Smallest share of the circuit's feature influence, or of its features' edge weights, 0 "
        "to 1. The band ends below the band before it. Null for the features that were pruned away."
    )
    n_features: float = strawberry.field(
        description="Features of the diagnosed circuits in this band. In bands by edge weight this is an "
        "estimate, in which each test stands for the features of its band by influence."
    )
    n_tested: int = strawberry.field(
        description="Features of the band that were ablated: the sum of the four counts."
    )
    n_effective: int = strawberry.field(description="Ablated features with an effect beyond random features.")
    true_positives: int = strawberry.field(description="Important in the graph, and an effect.")
    false_positives: int = strawberry.field(description="Important in the graph, and no effect.")
    false_negatives: int = strawberry.field(description="Not important in the graph, and an effect.")
    true_negatives: int = strawberry.field(description="Not important in the graph, and no effect.")
    mean_size: float = strawberry.field(description="Mean absolute effect, in logits, 0 or more.")

    @classmethod
    def of(cls, band: int, rows: Sequence[DiagnosedRow]) -> Self:
        """band: place in `BANDS`, or after its end; rows: those of this band, at least one."""
        tp, fp, fn, tn = (
            sum(row.n for row in rows if (row.important, row.effective) == cell) for cell in CELLS
        )
        n = tp + fp + fn + tn
        return cls(
            least_share=(*BANDS, 0.0, None)[band],
            n_features=sum(row.stands_for for row in rows),
            n_tested=n,
            n_effective=tp + fn,
            true_positives=tp,
            false_positives=fp,
            false_negatives=fn,
            true_negatives=tn,
            mean_size=sum(row.size for row in rows) / n,
        )


@strawberry.type(description="How often what graphs claim and what was measured agree and disagree.")
class DiagnosticsTable:
    n_circuits: int = strawberry.field(description="Number of circuits that were diagnosed.")
    n_tested: int = strawberry.field(
        description="Ablated features of these circuits: the sum of the four counts."
    )
    true_positives: int = strawberry.field(description="Important in the graph, and an effect.")
    false_positives: int = strawberry.field(description="Important in the graph, and no effect.")
    false_negatives: int = strawberry.field(description="Not important in the graph, and an effect.")
    true_negatives: int = strawberry.field(description="Not important in the graph, and no effect.")
    precision: float | None = strawberry.field(
        description="Share of the important features that have an effect, 0 to 1. An estimate for all "
        "features of the circuits, in which each test stands for the features of its band. Null when there "
        "are none."
    )
    recall: float | None = strawberry.field(
        description="Share of the features with an effect that are important in their graph, 0 to 1, "
        "estimated in the same way. Null when there are none."
    )
    bands: list[DiagnosticsBand] = strawberry.field(
        description="Bands by share of the circuit's feature influence, the largest share first."
    )
    weight_bands: list[DiagnosticsBand] = strawberry.field(
        description="Bands by edge weight, the largest share first. The edge weight is the sum of |weight| "
        "of a feature's effects on other nodes, as a share of that sum over all features of the circuit. All "
        "effects count, not only those on the answer, because ablating a feature also takes away what goes "
        "through other features. Tests that were kept without an edge weight are left out; `atlas diagnose "
        "--anew` measures them again."
    )

    @classmethod
    def of(cls, rows: Sequence[DiagnosedRow]) -> Self:
        """rows: those of one or more families."""
        cells, weights = dict.fromkeys(CELLS, 0), dict.fromkeys(CELLS, 0.0)
        by_influence: dict[int, list[DiagnosedRow]] = defaultdict(list)
        by_weight: dict[int, list[DiagnosedRow]] = defaultdict(list)
        for row in rows:
            cells[row.important, row.effective] += row.n
            weights[row.important, row.effective] += row.stands_for
            by_influence[row.band].append(row)
            if row.weight_band is not None:
                by_weight[row.weight_band].append(row)
        claimed, shown = (
            weights[True, True] + weights[True, False],
            weights[True, True] + weights[False, True],
        )
        return cls(
            n_circuits=sum({row.family: row.n_circuits for row in rows}.values()),
            n_tested=sum(cells.values()),
            true_positives=cells[True, True],
            false_positives=cells[True, False],
            false_negatives=cells[False, True],
            true_negatives=cells[False, False],
            precision=weights[True, True] / claimed if claimed else None,
            recall=weights[True, True] / shown if shown else None,
            bands=[DiagnosticsBand.of(band, mine) for band, mine in sorted(by_influence.items())],
            weight_bands=[DiagnosticsBand.of(band, mine) for band, mine in sorted(by_weight.items())],
        )


@strawberry.type(
    description="How often what graphs claim and what was measured agree, in the circuits of one family."
)
class FamilyDiagnostics(DiagnosticsTable):
    family: str | None = strawberry.field(
        default=None, description="Name of the family; null for prompts without a family."
    )


@strawberry.type(description="What graphs claim of features, against what ablating the features showed.")
class Diagnostics:
    all: DiagnosticsTable = strawberry.field(description="All families together.")
    families: list[FamilyDiagnostics] = strawberry.field(description="One table for each family, by name.")


@strawberry.type
class DiagnosticsQuery:
    @strawberry.field(
        description="Are the features that graphs call important important in the model? `atlas diagnose` "
        "ablates each feature at all positions, with everything free to react, beside random features of the "
        "same layer that write as much. Circuits that were not diagnosed do not count."
    )
    async def diagnostics(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
        transcoders: SetNames = None,
        min_share: Annotated[
            float,
            argument(
                description="Share of the circuit's feature influence from which a feature counts as "
                "important, 0 to 1."
            ),
        ] = 0.01,
        level: Annotated[
            float,
            argument(
                description="A feature has an effect when its p-value is at most this level, 0 to 1. The "
                "p-value is the share of random features with as large an effect, the feature itself "
                "counted as one."
            ),
        ] = 0.05,
    ) -> Diagnostics:
        families = checked_list(info.context.limits, "families", families)
        sets, _ = await asyncio.gather(set_ids(info, transcoders), require_known(info, families=families))
        rows = await info.context.loaders.ask(
            DIAGNOSTICS,
            families=families,
            transcoders=sets,
            min_share=min_share,
            level=level,
            edges=list(BANDS),
        )
        tables = []
        for name in dict.fromkeys(row.family for row in rows):
            table = FamilyDiagnostics.of([row for row in rows if row.family == name])
            table.family = name
            tables.append(table)
        return Diagnostics(all=DiagnosticsTable.of(rows), families=tables)
