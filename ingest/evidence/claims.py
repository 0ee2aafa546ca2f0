"""Claims of the ledger: what edits do to the answers of circuits, measured beside the graphs' predictions.

Steps
1. In each circuit: the answer's logit, less the mean over the vocabulary, under the edits and without.
2. `draws` times the same with random features of the same layers and positions that write vectors of the same
   length (`ingest.evidence.effects.Matched`).
3. What the pruned graph predicts, for the answer, the other logits and the features downstream; their
   measured change beside it, of features that of the pre-activation.
4. p = (1 + draws whose mean over the circuits is as far in the predicted direction) / (1 + draws); either way
   when the graphs predict nothing.

Source of 4: Phipson & Smyth (2010), permutation p-values are never zero.
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
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.diagnostics import checked
from ingest.evidence.effects import Aim, Held, Matched, absolute, activations, effects, node_place, p_value
from ingest.evidence.interventions import layers
from ingest.organism.weights import MODEL_DIR, TRANSCODERS_DIR
from schema.circuit.flow import FlowRow
from schema.circuit.predictions import predicted_change
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.evidence.claims import Change, Claim, OnCircuit, Outcome
from schema.evidence.interventions import MEASURABLE, Kept, MeasurableRow
from schema.questions.flow import FLOW_OF_CIRCUIT
from schema.questions.question import ask

FEATURES = 10
"""Features of a circuit whose changes are kept: those with the largest predicted ones."""
TIMEOUT_S = 120.0


BUNDLED = "bundled"


def path_name(given: Path, bundled: Path) -> str:
    """What a claim keeps of where a model or its transcoders are."""
    return BUNDLED if given == bundled else str(given)


def requested(text: str, transcoders: str, model_path: Path, transcoders_path: Path) -> Claim:
    """The claim that a job asks for: JSON with the fields of a claim that say nothing of the model.

    transcoders: id of the set that the worker has.
    """
    found = orjson.loads(text)
    return Claim(
        **{**found, "edits": tuple(found["edits"]), "circuits": tuple(found["circuits"])},
        transcoders=transcoders,
        model_path=path_name(model_path, MODEL_DIR),
        transcoders_path=path_name(transcoders_path, TRANSCODERS_DIR),
    )


def held(claim: Claim, n_layers: int) -> Held:
    """What is held while it is measured. Raises SettingError."""
    return Held(
        Freeze(claim.freeze),
        layers(claim.constrained, "constrained", n_layers) or range(0),
        layers(claim.writes, "writes", n_layers),
    )


def measure(
    database: Database,
    model: ReplacementModel,
    claim: Claim,
    edits: Sequence[str],
    *,
    step: Callable[[], None] = lambda: None,
) -> tuple[Outcome, list[OnCircuit]]:
    """What the edits do in each circuit of the claim, in order; the database is only read.

    edits: those of the claim as plain ones (`ingest.evidence.named_edits`); step: called after each circuit.
    Raises InputError, which names the circuit, for edits that do not fit one and for features that are
    silent in all; NotFoundError for circuits that are gone; EngineError.
    """
    if not claim.circuits:
        raise InputError("The claim is about no circuit", next_step="name circuits, a family or a prompt")
    holding, matched = held(claim, model.n_layers), Matched(model)
    tested, null = [], []
    for key in claim.circuits:
        rows = ask(database, MEASURABLE, timeout_s=TIMEOUT_S, keys=[key])
        flows = ask(database, FLOW_OF_CIRCUIT, timeout_s=TIMEOUT_S, keys=[key])
        if not rows or not flows:
            raise NotFoundError(f"The database has no circuit {key}", next_step="see `atlas stats`")
        try:
            mine, drawn = _circuit(model, matched, claim, edits, rows[0], flows[0], holding)
        except (EngineError, InputError) as error:
            raise InputError(f"Circuit {key}: {error.what}", next_step=error.next_step) from error
        tested.append(mine)
        null.append(drawn)
        step()
    if not any(each.kept.n_edited for each in tested):
        raise InputError(
            f"The edits change nothing in {len(tested)} circuits: the features are silent there",
            next_step="edit features that the circuits have, or plant them",
        )
    return _outcome([each.kept for each in tested], null), tested


def _outcome(kept: Sequence[Kept], null: Sequence[Sequence[float]]) -> Outcome:
    """null: of each circuit, the effect of each draw."""
    predictions = [each.predicted for each in kept if each.predicted is not None]
    predicted = fmean(predictions) if predictions else None
    effect = fmean(each.effect for each in kept)
    drawn = [fmean(draw) for draw in zip(*null, strict=True)]
    if predicted:
        sign = 1 if predicted > 0 else -1
        p = (1 + sum(sign * each >= sign * effect for each in drawn)) / (1 + len(drawn))
    else:
        p = p_value(effect, drawn)
    return Outcome(predicted, effect, fmean(drawn), pstdev(drawn), p)


def _circuit(
    model: ReplacementModel,
    matched: Matched,
    claim: Claim,
    texts: Sequence[str],
    row: MeasurableRow,
    flow: FlowRow,
    holding: Held,
) -> tuple[OnCircuit, list[float]]:
    encoded, aim = checked(model, row)
    dense = activations(model, encoded)
    edits = absolute(model, texts, encoded, dense)
    random = Random(f"{claim.seed} {row.key}")
    drawn = [matched.draw(edits, dense, random) for _ in range(claim.draws)]
    # 1, 2
    cases = [Case(encoded.ids, each) for each in (edits, *drawn)]
    effect, *null = effects(model, cases, [aim] * len(cases), holding)
    # 3
    factors = _factors(flow, edits, dense)
    kept = Kept(
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
        predicted=predicted_change(flow, str(row.logit), factors) if factors else None,
        p=p_value(effect, null),
    )
    features = sorted({f"{claim.transcoders}/{edit.layer}/{edit.feature}" for edit in edits})
    changes = _changes(model, encoded.ids, edits, flow, factors, aim, holding)
    return OnCircuit(kept, row.key, features, changes), null


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
    ids: Sequence[int],
    edits: Sequence[Edit],
    flow: FlowRow,
    factors: dict[str, float],
    aim: Aim,
    holding: Held,
) -> list[Change]:
    """Of the circuit's logits, and the features that should change most; or do, if nothing is predicted."""
    outcome = intervene(
        model,
        ids,
        edits,
        freeze=holding.freeze,
        constrained=holding.constrained,
        writes=holding.writes,
    )
    change = (outcome.logits - outcome.plain_logits)[aim.position].double()
    change -= change.mean()

    def predicted(node: str) -> float | None:
        return predicted_change(flow, node, factors) if factors else None

    logits = [
        Change(node.id, predicted(node.id), float(change[index]))
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
        Change(node, predicted(node), float(value))
        for node, value in zip(places, measured.tolist(), strict=True)
    ]
    features = [each for each in features if each.predicted != 0]
    features.sort(key=lambda each: -abs(each.measured if each.predicted is None else each.predicted))
    return logits + features[:FEATURES]


def _vocabulary(node: str) -> int | None:
    """The vocabulary id of a logit node; None for a direction that is no token."""
    last = node.rpartition(":")[2]
    return int(last) if last.isdigit() else None
