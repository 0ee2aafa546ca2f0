"""Claims of the ledger: what edits do to the answers of circuits, measured beside the graphs' predictions.

Steps
1. In each circuit: the effect of the edits on the answer, which is the change of its logit, less the mean
   over the vocabulary.
2. `draws` times the effect of random features of the same layers and positions that write vectors of the same
   length (`ingest.evidence.effects`).
3. What the pruned graph predicts for the answer, for the other logits, and for the features downstream;
   beside it the measured change, which for features is that of the pre-activation.
4. p = (1 + draws whose mean over the circuits is as far in the predicted direction) / (1 + draws). When the
   graphs predict nothing, a draw counts when it is as far in either direction.

Source of 4: Phipson & Smyth (2010), permutation p-values should never be zero.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, pstdev

import orjson
import torch

from ingest.engine.errors import EngineError
from ingest.engine.intervention.edits import Edit
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, intervene, pre_activations
from ingest.engine.intervention.matched import MatchedFeatures
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.evidence.answers import encoded_answer
from ingest.evidence.effects import (
    Aim,
    HeldParts,
    absolute,
    activations,
    compared,
    effects,
    node_place,
    p_value,
)
from ingest.evidence.interventions import layers
from ingest.evidence.model_names import model_name, transcoders_name
from schema.circuit.flow import FlowRow
from schema.circuit.predictions import Predictor
from schema.counted import counted
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.evidence.claims import ClaimOutcome, ClaimStatement
from schema.evidence.interventions import MEASURABLE, InterventionRecord, MeasurableRow
from schema.evidence.statements import ChangedNode, MeasuredCircuit
from schema.questions.flow import FLOW_OF_CIRCUIT
from schema.questions.question import ask

FEATURES = 10
"""Features of a circuit whose changes are kept: those with the largest predicted changes."""
TIMEOUT_S = 120.0


def requested(text: str, transcoders: str, model_path: Path, transcoders_path: Path) -> ClaimStatement:
    """The claim that a job asks for.

    text: JSON with the fields of a claim that do not name the model; transcoders: id of the worker's set.
    """
    found = orjson.loads(text)
    return ClaimStatement(
        **{**found, "edits": tuple(found["edits"]), "circuits": tuple(found["circuits"])},
        transcoders=transcoders,
        model_path=model_name(model_path),
        transcoders_path=transcoders_name(transcoders_path),
    )


def held_parts(claim: ClaimStatement, n_layers: int) -> HeldParts:
    """What is held while a claim is measured. Raises SettingError."""
    return HeldParts(
        Freeze(claim.freeze),
        layers(claim.constrained, "constrained", n_layers) or range(0),
        layers(claim.writes, "writes", n_layers),
    )


def measure(
    database: Database,
    model: ReplacementModel,
    claim: ClaimStatement,
    edits: Sequence[str],
    *,
    step: Callable[[], None] = lambda: None,
) -> tuple[ClaimOutcome, list[MeasuredCircuit]]:
    """What the edits do in each circuit of the claim, in order; the database is only read.

    edits: those of the claim as edits of features (`ingest.evidence.named_edits`); step: called after each
    circuit. Raises InputError, which names the circuit, for edits that do not fit a circuit; InputError for
    features that are silent in all circuits; NotFoundError for a circuit that was deleted; EngineError.
    """
    if not claim.circuits:
        raise InputError("The claim is about no circuit", next_step="name circuits, a family or a prompt")
    held, matched = held_parts(claim, model.n_layers), MatchedFeatures(model)
    tested, nulls = [], []
    for key in claim.circuits:
        rows = ask(database, MEASURABLE, timeout_s=TIMEOUT_S, keys=[key])
        flows = ask(database, FLOW_OF_CIRCUIT, timeout_s=TIMEOUT_S, keys=[key])
        if not rows or not flows:
            raise NotFoundError(f"The database has no circuit {key}", next_step="see `atlas stats`")
        try:
            mine, null = _circuit(model, matched, claim, edits, rows[0], flows[0], held)
        except (EngineError, InputError) as error:
            raise InputError(f"Circuit {key}: {error.what}", next_step=error.next_step) from error
        tested.append(mine)
        nulls.append(null)
        step()
    if not any(each.record.n_edited for each in tested):
        raise InputError(
            f"The edits change nothing in {counted(len(tested), 'circuit')}: the features are silent there",
            next_step="edit features that the circuits have, or plant them",
        )
    return _outcome([each.record for each in tested], nulls), tested


def _outcome(records: Sequence[InterventionRecord], nulls: Sequence[Sequence[float]]) -> ClaimOutcome:
    # 4
    predictions = [each.predicted for each in records if each.predicted is not None]
    predicted = fmean(predictions) if predictions else None
    direction = 0 if not predicted else 1 if predicted > 0 else -1
    return ClaimOutcome(predicted, *compared([each.effect for each in records], nulls, direction))


def _circuit(
    model: ReplacementModel,
    matched: MatchedFeatures,
    claim: ClaimStatement,
    texts: Sequence[str],
    row: MeasurableRow,
    flow: FlowRow,
    held: HeldParts,
) -> tuple[MeasuredCircuit, list[float]]:
    """One circuit under the edits, and the effect of each draw of random features."""
    encoded, aim = encoded_answer(model, row)
    dense = activations(model, encoded)
    edits = absolute(model, texts, encoded, dense)
    random = Random(f"{claim.seed} {row.key}")
    drawn = [matched.draw(edits, dense, random) for _ in range(claim.draws)]
    # 1, 2
    cases = [Case(encoded, each) for each in (edits, *drawn)]
    effect, *null = effects(model, cases, [aim] * len(cases), held)
    # 3
    factors = _factors(flow, edits, dense)
    predictor = Predictor(flow) if factors else None

    def predicted(node: str) -> float | None:
        return None if predictor is None else predictor.change(node, factors)

    record = InterventionRecord(
        id=f"{claim.id}/{row.key}",
        prompt=row.text,
        token=row.token or model.decode(aim.token),
        edits=list(texts),
        effect=effect,
        null_mean=fmean(null),
        null_sd=pstdev(null),
        n_null=claim.draws,
        n_edited=len(edits),
        seed=claim.seed,
        predicted=predicted(str(row.logit)),
        p=p_value(effect, null),
    )
    features = sorted({f"{claim.transcoders}/{edit.layer}/{edit.feature}" for edit in edits})
    changes = _changes(model, encoded, edits, flow, predicted, aim, held)
    return MeasuredCircuit(record, row.key, features, changes), null


def _factors(flow: FlowRow, edits: Sequence[Edit], dense: torch.Tensor) -> dict[str, float]:
    """Id of each edited node of the graph → new activation over the old one."""
    values = {(edit.layer, edit.position, edit.feature): edit.value for edit in edits}
    found = {}
    for node in flow.nodes:
        place = node_place(node.id)
        if place in values:
            layer, position, feature = place
            found[node.id] = values[place] / float(dense[position, layer, feature])
    return found


def _changes(
    model: ReplacementModel,
    encoded: Encoded,
    edits: Sequence[Edit],
    flow: FlowRow,
    predicted: Callable[[str], float | None],
    aim: Aim,
    held: HeldParts,
) -> list[ChangedNode]:
    """The changes of the circuit's logits, and of the features with the largest predicted changes.

    predicted: id of a node → predicted change; None when nothing is predicted: then the features are those
    with the largest measured changes.
    """
    outcome = intervene(
        model, encoded, edits, freeze=held.freeze, constrained=held.constrained, writes=held.writes
    )
    change = (outcome.logits - outcome.plain_logits)[aim.position].double()
    change -= change.mean()

    logits = [
        ChangedNode(node.id, predicted(node.id), float(change[index]))
        for node in flow.nodes
        if node.kind == "LogitNode" and (index := _vocabulary(node.id)) is not None
    ]
    edited = {(edit.layer, edit.position, edit.feature) for edit in edits}
    places = {node.id: place for node in flow.nodes if (place := node_place(node.id)) and place not in edited}
    if not places:
        return logits
    where = torch.tensor([(layer, position, index) for layer, position, index in places.values()])
    measured = pre_activations(model, outcome.read, where) - pre_activations(model, outcome.plain_read, where)
    features = [
        ChangedNode(node, predicted(node), float(value))
        for node, value in zip(places, measured.tolist(), strict=True)
    ]
    features = [each for each in features if each.predicted != 0]
    features.sort(key=lambda each: -abs(each.measured if each.predicted is None else each.predicted))
    return logits + features[:FEATURES]


def _vocabulary(node: str) -> int | None:
    """The vocabulary id of a logit node; None for a direction that is no token."""
    last = node.rpartition(":")[2]
    return int(last) if last.isdigit() else None
