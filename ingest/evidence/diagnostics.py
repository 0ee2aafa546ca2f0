"""Attribution diagnostics: what a circuit claims of its features, against what ablating each of them shows.

Steps, for each circuit
1. Bands: its features by their share of its feature influence (`schema.evidence.interventions.BANDS`), those
   below, and those that were pruned away. From each band some are drawn; each stands for as many as there
   are in the band over those drawn.
2. Each is set to 0 at all positions, everything being free to react; the effect is the change of the answer's
   logit, less the mean over the vocabulary.
3. The same with random features of the same layer and positions that write vectors of the same length
   (`ingest.evidence.effects.Matched`), DRAWS times; p is the share of these with as large an effect.
4. Its edge weight: the sum of |weight| of its effects on other nodes, all positions, and the share of that
   sum over all features. Not only of its effect on the answer: what it does through others is ablated too.

A circuit is one transaction: stopped at any moment, the same command goes on where it was.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import fmean, pstdev

from rich.console import Console
from rich.progress import track

from ingest.circuits.convert import transcoders_record
from ingest.engine.errors import EngineError
from ingest.engine.intervention.intervene import Case
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.evidence.effects import Aim, Matched, absolute, activations, effects, node_place, p_value
from schema.circuit.flow import FlowRow
from schema.circuit.predictions import predicted_change
from schema.database import Database
from schema.errors import InputError
from schema.evidence.interventions import (
    BANDS,
    MEASURABLE,
    TO_DIAGNOSE,
    Kept,
    MeasurableRow,
    ToDiagnoseRow,
    keep_diagnosis,
)
from schema.questions.flow import FLOW_OF_CIRCUIT
from schema.questions.question import ask

DRAWS = 19
"""Of random features: the smallest p is 1 / 20."""
PER_BAND = 2
SEED = 0
TOGETHER = 20
"""Circuits that are read together."""
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class DiagnoseSettings:
    """Which circuits, and how many of their features."""

    model: Path
    transcoders: Path
    families: Sequence[str] | None = None
    """None: all circuits of the set, those without a family too."""
    limit: int | None = None
    """Circuits of each family, the first by id; None: all."""
    per_band: int = PER_BAND
    draws: int = DRAWS
    seed: int = SEED
    anew: bool = False
    """Whether circuits that were diagnosed already are measured again."""


@dataclass
class Diagnosed:
    """What one call did."""

    circuits: int = 0
    features: int = 0
    present: int = 0
    """Circuits that were diagnosed already."""
    problems: list[Exception] = field(default_factory=list)
    """One for each circuit that could not be."""

    def sentence(self) -> str:
        failed = f", {len(self.problems)} could not be" if self.problems else ""
        return (
            f"{self.features} features of {self.circuits} circuits ablated beside random ones, "
            f"{self.present} circuits were diagnosed already{failed}."
        )


def diagnose(database: Database, settings: DiagnoseSettings, *, console: Console) -> Diagnosed:
    """Diagnose what is missing. Raises InputError when no circuit fits, EngineError, DatabaseError."""
    model = ReplacementModel.load(settings.model, settings.transcoders)
    set_id = transcoders_record(model).id
    families = None if settings.families is None else list(settings.families)
    found: list[ToDiagnoseRow] = ask(
        database,
        TO_DIAGNOSE,
        timeout_s=TIMEOUT_S,
        transcoders=set_id,
        families=families,
        limit=settings.limit,
    )
    if not found:
        named = "" if families is None else f" of the families {', '.join(map(repr, families))}"
        raise InputError(
            f"The database has no circuit{named} that was made with {set_id}",
            next_step="run `atlas ingest` with it first, or name other families",
        )
    todo = [row.circuit for row in found if settings.anew or not row.done]
    done = Diagnosed(present=len(found) - len(todo))
    matched = Matched(model)
    for place in track(range(len(todo)), "circuits", console=console):
        if place % TOGETHER == 0:
            keys = todo[place : place + TOGETHER]
            rows = {row.key: row for row in ask(database, MEASURABLE, timeout_s=TIMEOUT_S, keys=keys)}
            flows = {row.key: row for row in ask(database, FLOW_OF_CIRCUIT, timeout_s=TIMEOUT_S, keys=keys)}
        key = todo[place]
        if key not in rows:  # deleted meanwhile
            continue
        try:
            tests = diagnosis(model, matched, rows[key], flows[key], settings)
        except (EngineError, InputError) as error:
            done.problems.append(error)
            continue
        keep_diagnosis(database, key, [(test, f"{set_id}/{layer}/{index}") for test, (layer, index) in tests])
        done.circuits += 1
        done.features += len(tests)
    return done


def diagnosis(
    model: ReplacementModel, matched: Matched, row: MeasurableRow, flow: FlowRow, settings: DiagnoseSettings
) -> list[tuple[Kept, tuple[int, int]]]:
    """The tests of one circuit, each with layer and index of its feature.

    Raises InputError for a circuit without influences or an answer, or with other tokens; EngineError.
    """
    encoded, aim = checked(model, row)
    chosen = _chosen(row, settings)
    dense = activations(model, encoded)
    weights = edge_weights(flow)
    all_weights = sum(weights.values())
    cases: list[Case] = []
    places = []
    for (layer, index), _, _ in chosen:
        edits = absolute(model, [f"ablate {layer}/{index}@all"], encoded, dense)
        random = Random(f"{settings.seed} {row.key} {layer} {index}")
        drawn = [matched.draw(edits, dense, random) for _ in range(settings.draws)]
        places.append((len(cases), len(edits)))
        cases += [Case(encoded.ids, each) for each in (edits, *drawn)]
    measured = effects(model, cases, [aim] * len(cases))
    tests = []
    for ((layer, index), share, stands_for), (start, n_edited) in zip(chosen, places, strict=True):
        effect, *null = measured[start : start + 1 + settings.draws]
        mine = {
            node.id: 0.0
            for node in flow.nodes
            if (place := node_place(node.id)) and (place[0], place[2]) == (layer, index)
        }
        weight = None if share is None else weights.get((layer, index), 0.0)
        test = Kept(
            id=f"{row.key}/diagnosis/{layer}/{index}",
            prompt=row.text,
            token=row.token or model.decode(aim.token),
            edits=[f"ablate {layer}/{index}@all"],
            effect=effect,
            null_mean=fmean(null),
            null_sd=pstdev(null),
            n_null=settings.draws,
            n_edited=n_edited,
            seed=settings.seed,
            predicted=predicted_change(flow, str(row.logit), mine) if mine else None,
            p=p_value(effect, null),
            share=share,
            weight=weight,
            weight_share=None if weight is None or not all_weights else weight / all_weights,
            stands_for=stands_for,
        )
        tests.append((test, (layer, index)))
    return tests


def edge_weights(flow: FlowRow) -> Mapping[tuple[int, int], float]:
    """Layer and index of each feature that has effects → the sum of their |weight|."""
    places = {node.id: node_place(node.id) for node in flow.nodes}
    found: dict[tuple[int, int], float] = defaultdict(float)
    for source, weight in zip(flow.sources, flow.weights, strict=True):
        if (place := places[source]) is not None:
            found[place[0], place[2]] += abs(weight)
    return found


def checked(model: ReplacementModel, row: MeasurableRow) -> tuple[Encoded, Aim]:
    """The circuit's prompt and answer. Raises InputError when they are not this model's, PromptError."""
    if row.token_id is None or row.token_ids is None:
        raise InputError(
            f"Circuit {row.key} has no answer that is one token, or no token ids",
            next_step="diagnose circuits that `atlas ingest` made with the default target",
        )
    encoded = model.encode(row.token_ids)
    if list(encoded.ids) != row.token_ids or encoded.special_first_token != bool(row.special_first_token):
        raise InputError(
            f"Circuit {row.key} treats the first token otherwise than interventions do",
            next_step="ingest its prompt again, with --first-token left-out",
        )
    return encoded, Aim(row.token_id, row.target_position)


def _chosen(
    row: MeasurableRow, settings: DiagnoseSettings
) -> list[tuple[tuple[int, int], float | None, float]]:
    """Features drawn from each band: (layer, index), share of influence (None: pruned away), stands for."""
    total = sum(use.influence or 0.0 for use in row.uses)
    if not total:
        raise InputError(
            f"Circuit {row.key} has no features of known influence",
            next_step="ingest its prompt instead of importing its graph",
        )
    bands: dict[int, list[tuple[tuple[int, int], float | None]]] = defaultdict(list)
    for use in row.uses:
        share = (use.influence or 0.0) / total
        bands[sum(share < least for least in BANDS)].append(((use.layer, use.number), share))
    for feature in sorted(row.pruned or ()):
        bands[len(BANDS) + 1].append((feature, None))
    random = Random(f"{settings.seed} {row.key}")
    found = []
    for _, band in sorted(bands.items()):
        drawn = random.sample(band, min(settings.per_band, len(band)))
        found += [(feature, share, len(band) / len(drawn)) for feature, share in drawn]
    return found
