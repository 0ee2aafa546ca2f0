"""`atlas diagnose`: what circuits claim of their features, against what ablating each feature shows.

Steps, for each circuit
1. Bands: the features by their share of the circuit's feature influence
   (`schema.evidence.interventions.BANDS`), the features below, and the features that were pruned away. From
   each band some features are drawn; each stands for as many as the band has for each one drawn.
2. Each drawn feature is set to 0 at all positions, with everything free to react. The effect is the change of
   the answer's logit, less the mean over the vocabulary.
3. `draws` times the same with random features of the same layer and positions that write vectors of the same
   length; p is the share of draws with as large an effect (`ingest.evidence.effects`).
4. The edge weight of the feature: the sum of |weight| of its effects on other nodes, over all positions, and
   its share of that sum over all features. All effects count, not only those on the answer, because ablating
   a feature also takes away what it does through other nodes.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean, pstdev
from typing import NamedTuple

from rich.console import Console

from ingest.circuits.convert import transcoders_record
from ingest.engine.errors import EngineError
from ingest.engine.intervention.intervene import Case
from ingest.engine.intervention.matched import MatchedFeatures
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.answers import encoded_answer
from ingest.evidence.effects import absolute, activations, effects, node_place, p_value
from ingest.evidence.walk import (
    TIMEOUT_S,
    CircuitMeasurement,
    MeasuredParts,
    WalkSettings,
    WalkSummary,
    walk,
)
from schema.circuit.flow import FlowRow
from schema.circuit.predictions import Predictor
from schema.counted import counted
from schema.database import Database
from schema.errors import InputError
from schema.evidence.interventions import (
    BANDS,
    MEASURABLE,
    TO_DIAGNOSE,
    InterventionRecord,
    MeasurableRow,
    keep_diagnosis,
)
from schema.questions.flow import FLOW_OF_CIRCUIT
from schema.questions.question import ask

DRAWS = 19
"""Draws of random features: the smallest p is 1 / 20."""
PER_BAND = 2
SEED = 0


@dataclass(frozen=True)
class DiagnoseSettings(WalkSettings):
    """Which circuits are diagnosed, and how many of their features."""

    per_band: int = PER_BAND
    """Features drawn from each band of a circuit, at least 1."""
    draws: int = DRAWS
    """Draws of random features beside each feature, at least 1."""
    seed: int = SEED
    """Seed of the draws of features and of random features."""


class MeasuredFeature(NamedTuple):
    """One ablated feature of a circuit."""

    record: InterventionRecord
    layer: int
    number: int
    """Index in the dictionary of its layer."""


@dataclass(frozen=True)
class MeasuredFeatures(MeasuredParts):
    """The ablated features of one circuit."""

    circuit: str
    """Id of the circuit."""
    transcoders: str
    """Id of the transcoder set."""
    features: Sequence[MeasuredFeature]

    @property
    def n_parts(self) -> int:
        return len(self.features)

    def keep(self, database: Database) -> None:
        tests = [(each.record, f"{self.transcoders}/{each.layer}/{each.number}") for each in self.features]
        keep_diagnosis(database, self.circuit, tests)


class FeatureMeasurement(CircuitMeasurement):
    """Ablates features of circuits beside random features."""

    circuits = TO_DIAGNOSE
    together = 20
    lacking = ""
    next_step = "run `atlas ingest` with this transcoder set first, or name other families"

    def __init__(self, database: Database, model: ReplacementModel, settings: DiagnoseSettings) -> None:
        self._database = database
        self._model = model
        self._settings = settings
        self._matched = MatchedFeatures(model)
        self._set_id = transcoders_record(model).id

    def measure(self, keys: Sequence[str]) -> Iterator[MeasuredParts | EngineError | InputError]:
        for row in ask(self._database, MEASURABLE, timeout_s=TIMEOUT_S, keys=keys):
            # A circuit may have half a million effects, so one is in memory at a time.
            flows = ask(self._database, FLOW_OF_CIRCUIT, timeout_s=TIMEOUT_S, keys=[row.key])
            if not flows:  # deleted meanwhile
                continue
            try:
                tests = diagnosis(self._model, self._matched, row, flows[0], self._settings)
                yield MeasuredFeatures(row.key, self._set_id, tests)
            except (EngineError, InputError) as error:
                yield error


def diagnose(database: Database, settings: DiagnoseSettings, *, console: Console) -> WalkSummary:
    """Diagnose the circuits that are missing.

    Raises InputError when no circuit fits, EngineError, DatabaseError.
    """
    model = settings.load_model()
    return walk(database, model, FeatureMeasurement(database, model, settings), settings, console=console)


def diagnosis(
    model: ReplacementModel,
    matched: MatchedFeatures,
    row: MeasurableRow,
    flow: FlowRow,
    settings: DiagnoseSettings,
) -> list[MeasuredFeature]:
    """The tests of one circuit.

    Raises InputError for a circuit without influences or an answer, or with other tokens; EngineError.
    """
    encoded, aim = encoded_answer(model, row)
    # 1
    chosen = _chosen(row, settings)
    dense = activations(model, encoded)
    cases: list[Case] = []
    places = []
    for each in chosen:
        edits = absolute(model, [each.edit], encoded, dense)
        random = Random(f"{settings.seed} {row.key} {each.layer} {each.number}")
        drawn = [matched.draw(edits, dense, random) for _ in range(settings.draws)]
        places.append((len(cases), len(edits)))
        cases += [Case(encoded, mine) for mine in (edits, *drawn)]
    # 2, 3
    measured = effects(model, cases, [aim] * len(cases))
    # 4
    weights = edge_weights(flow)
    all_weights = sum(weights.values())
    predictor = Predictor(flow)
    tests = []
    for each, (start, n_edited) in zip(chosen, places, strict=True):
        effect, *null = measured[start : start + 1 + settings.draws]
        mine = {
            node.id: 0.0
            for node in flow.nodes
            if (place := node_place(node.id)) and (place[0], place[2]) == (each.layer, each.number)
        }
        weight = None if each.share is None else weights.get((each.layer, each.number), 0.0)
        record = InterventionRecord(
            id=f"{row.key}/diagnosis/{each.layer}/{each.number}",
            prompt=row.text,
            token=row.token or model.decode(aim.token),
            edits=[each.edit],
            effect=effect,
            null_mean=fmean(null),
            null_sd=pstdev(null),
            n_null=settings.draws,
            n_edited=n_edited,
            seed=settings.seed,
            predicted=predictor.change(str(row.logit), mine) if mine else None,
            p=p_value(effect, null),
            share=each.share,
            weight=weight,
            weight_share=None if weight is None or not all_weights else weight / all_weights,
            stands_for=each.stands_for,
        )
        tests.append(MeasuredFeature(record, each.layer, each.number))
    return tests


def edge_weights(flow: FlowRow) -> Mapping[tuple[int, int], float]:
    """(layer, index) of each feature that has effects → the sum of |weight| of these effects."""
    places = {node.id: node_place(node.id) for node in flow.nodes}
    found: dict[tuple[int, int], float] = defaultdict(float)
    for source, weight in zip(flow.sources, flow.weights, strict=True):
        if (place := places[source]) is not None:
            found[place[0], place[2]] += abs(weight)
    return found


class _ChosenFeature(NamedTuple):
    """A feature drawn from its band."""

    layer: int
    number: int
    """Index in the dictionary of its layer."""
    share: float | None
    """Share of the circuit's feature influence; None when the feature was pruned away."""
    stands_for: float
    """Features of the band for each one drawn."""

    @property
    def edit(self) -> str:
        return f"ablate {self.layer}/{self.number}@all"


def _chosen(row: MeasurableRow, settings: DiagnoseSettings) -> list[_ChosenFeature]:
    """Features drawn from each band. Raises InputError unless all influences are known, and one is not 0."""
    known = [use.influence for use in row.uses if use.influence is not None]
    total = sum(known)
    if len(known) < len(row.uses):
        raise InputError(
            f"Circuit {row.key} has {counted(len(row.uses) - len(known), 'feature')} of unknown influence",
            next_step="ingest its prompt instead of importing its graph",
        )
    if not total:
        raise InputError(
            f"Circuit {row.key} has no feature with influence: errors and tokens carry all of it",
            next_step="ingest its prompt with a higher --node-threshold, or with better transcoders; `atlas "
            "transcoders measure` says how good they are",
        )
    bands: dict[int, list[tuple[int, int, float | None]]] = defaultdict(list)
    for use, influence in zip(row.uses, known, strict=True):
        share = influence / total
        bands[sum(share < least for least in BANDS)].append((use.layer, use.number, share))
    for layer, index in sorted(row.pruned or ()):
        bands[len(BANDS) + 1].append((layer, index, None))
    random = Random(f"{settings.seed} {row.key}")
    found = []
    for _, band in sorted(bands.items()):
        drawn = random.sample(band, min(settings.per_band, len(band)))
        found += [_ChosenFeature(*feature, len(band) / len(drawn)) for feature in drawn]
    return found
