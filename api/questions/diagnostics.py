"""`diagnostics`: what circuits claim of their features, against what ablating each of them showed."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Self

import strawberry
from strawberry import argument

from api.questions.considered import require_known
from api.request.batching import Info
from api.request.inputs import checked_list
from schema.evidence.interventions import BANDS, DIAGNOSTICS, DiagnosedRow

CELLS = ((True, True), (True, False), (False, True), (False, False))
"""Important, and an effect: in the order of the four counts."""


@strawberry.type(description="Features of like influence, or of like edge weight, in their circuits.")
class DiagnosticsBand:
    least_share: float | None = strawberry.field(
        description="Least share of the circuit's feature influence, or of its features' edge weights, 0 to "
        "1; the band ends below the one before. Null: features that were pruned away."
    )
    n_features: float = strawberry.field(
        description="Features of the diagnosed circuits in this band; by edge weight as estimated, each test "
        "standing for those of its band of influence."
    )
    n_tested: int = strawberry.field(description="Of these, drawn and ablated: the four counts below.")
    n_effective: int = strawberry.field(description="Of these, with an effect beyond random features.")
    true_positives: int = strawberry.field(description="Important in the graph, and an effect.")
    false_positives: int = strawberry.field(description="Important in the graph, and no effect.")
    false_negatives: int = strawberry.field(description="Not important in the graph, and an effect.")
    true_negatives: int = strawberry.field(description="Not important in the graph, and no effect.")
    mean_size: float = strawberry.field(description="Mean of the effects' absolute value, in logits.")

    @classmethod
    def of(cls, band: int, rows: Sequence[DiagnosedRow]) -> Self:
        """band: place in `BANDS`, or after them; rows: its own."""
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


@strawberry.type(description="Claims against measurements: how often they agree and disagree.")
class DiagnosticsTable:
    n_circuits: int = strawberry.field(description="Circuits that were diagnosed.")
    n_tested: int = strawberry.field(description="Features of circuits that were ablated: all four below.")
    true_positives: int = strawberry.field(description="Important in the graph, and an effect.")
    false_positives: int = strawberry.field(description="Important in the graph, and no effect.")
    false_negatives: int = strawberry.field(description="Not important in the graph, and an effect.")
    true_negatives: int = strawberry.field(description="Not important in the graph, and no effect.")
    precision: float | None = strawberry.field(
        description="Of the features that the graphs hold for important, the share that has an effect; as "
        "estimated for all features of the circuits, each test standing for those of its band. Null: none."
    )
    recall: float | None = strawberry.field(
        description="Of the features that have an effect, the share that the graphs hold for important; "
        "estimated likewise. Null: none."
    )
    bands: list[DiagnosticsBand] = strawberry.field(
        description="By share of the circuit's feature influence, the greatest first."
    )
    weight_bands: list[DiagnosticsBand] = strawberry.field(
        description="By edge weight, the greatest first: the sum of |weight| of a feature's effects on other "
        "nodes, as a share of that of all features of the circuit. All effects count, not only those on the "
        "answer: ablating takes away what goes through other features too. Tests kept "
        "without it are in none: `atlas diagnose --anew` measures again."
    )

    @classmethod
    def of(cls, rows: Sequence[DiagnosedRow]) -> Self:
        """rows: of one or more families."""
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


@strawberry.type(description="The table of one family.")
class FamilyDiagnostics(DiagnosticsTable):
    family: str | None = strawberry.field(
        default=None, description="Name of the family; null: prompts without one."
    )


@strawberry.type(description="What graphs claim of features, against interventions.")
class Diagnostics:
    all: DiagnosticsTable = strawberry.field(description="All families together.")
    families: list[FamilyDiagnostics] = strawberry.field(description="Family by family, by name.")


@strawberry.type
class DiagnosticsQuery:
    @strawberry.field(
        description="Are features that graphs hold for important important in the model? As `atlas diagnose` "
        "measured: each feature ablated at all positions, everything free to react, beside random features "
        "of the same layer that write as much. Circuits that were not diagnosed do not count."
    )
    async def diagnostics(
        self,
        info: Info,
        families: Annotated[
            list[str] | None,
            argument(description="Only circuits of these families. Unknown: an error (NOT_FOUND)."),
        ] = None,
        min_share: Annotated[
            float,
            argument(description="A feature is important with at least this share of all feature influence."),
        ] = 0.01,
        level: Annotated[
            float,
            argument(
                description="It has an effect when at most this share of random features has as much, itself "
                "counted."
            ),
        ] = 0.05,
    ) -> Diagnostics:
        families = checked_list(info.context.limits, "families", families)
        await require_known(info, families=families)
        rows = await info.context.loaders.ask(
            DIAGNOSTICS, families=families, min_share=min_share, level=level, edges=list(BANDS)
        )
        tables = []
        for name in dict.fromkeys(row.family for row in rows):
            table = FamilyDiagnostics.of([row for row in rows if row.family == name])
            table.family = name
            tables.append(table)
        return Diagnostics(all=DiagnosticsTable.of(rows), families=tables)
