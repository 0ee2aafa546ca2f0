"""`atlas ablate`: the heads, and the attention and MLP of each layer, ablated in the circuits of a database.

Steps, for each circuit that was loaded with heads
1. Each head, each layer's attention and each layer's MLP gives 0 at all positions of the real model, one
   after the other (`ingest.engine.intervention.ablate`). The effect is the change of the answer's logit, less
   the mean over the vocabulary, which is what the graph attributes.
2. What the graph claims: the influence that crosses the attention of each layer, and the part of it that runs
   through the layer's heads. Parts against their edge's sign count as negative. The rest goes past the heads
   in the residual stream, or is written above the layer only. An edge crosses layer l when its source writes
   below l and its target reads at l or above; where MLPs read what attention reads, its target must read
   above l.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console

from ingest.engine.errors import EngineError
from ingest.engine.intervention.ablate import Answer, Attention, Component, Mlp, effects, heads
from ingest.engine.replacement.model import ReplacementModel
from ingest.evidence.answers import checked_answer
from ingest.evidence.walk import (
    TIMEOUT_S,
    CircuitMeasurement,
    MeasuredParts,
    WalkSettings,
    WalkSummary,
    walk,
)
from ingest.progress import more
from schema.counted import counted
from schema.database import Database
from schema.errors import InputError
from schema.evidence.components import (
    ABLATABLE,
    TO_ABLATE,
    AblatableRow,
    ComponentEffects,
    MeasuredHead,
    keep_components,
)
from schema.questions.question import ask


class _AnsweredRow(NamedTuple):
    row: AblatableRow
    answer: Answer


@dataclass(frozen=True)
class MeasuredComponents(MeasuredParts):
    """The components of one circuit."""

    circuit: str
    """Id of the circuit."""
    effects: ComponentEffects
    heads: Sequence[MeasuredHead]
    """In the order of `ingest.engine.intervention.ablate.heads`."""

    @property
    def n_parts(self) -> int:
        return len(self.heads) + len(self.effects.attention) + len(self.effects.mlp)

    def keep(self, database: Database) -> None:
        keep_components(database, self.circuit, self.effects, self.heads)


class ComponentMeasurement(CircuitMeasurement):
    """Ablates all components of circuits that were loaded with heads."""

    circuits = TO_ABLATE
    together = 16
    lacking = " and loaded with heads"
    next_step = "run `atlas ingest --heads`; delete circuits first that were loaded without heads"

    def __init__(self, database: Database, model: ReplacementModel) -> None:
        self._database = database
        self._model = model

    def measure(self, keys: Sequence[str]) -> Iterator[MeasuredParts | EngineError | InputError]:
        answered = []
        for row in ask(self._database, ABLATABLE, timeout_s=TIMEOUT_S, keys=keys):
            try:
                answered.append(_AnsweredRow(row, _answer(self._model, row)))
            except InputError as error:
                yield error
        if answered:
            yield from _measured(self._model, answered)


def ablate(database: Database, settings: WalkSettings, *, console: Console) -> WalkSummary:
    """Ablate the components of the circuits that are missing.

    Raises InputError when no circuit was loaded with heads, EngineError, DatabaseError.
    """
    model = settings.load_model()
    return walk(database, model, ComponentMeasurement(database, model), settings, console=console)


def _measured(model: ReplacementModel, answered: Sequence[_AnsweredRow]) -> Iterator[MeasuredComponents]:
    # 1
    layers, every = range(model.n_layers), heads(model)
    components: list[Component] = [*every, *map(Attention, layers), *map(Mlp, layers)]
    steps = more("components ablated", len(components))
    answers = [each.answer for each in answered]
    table = effects(model, answers, components, step=steps.advance).tolist()
    # 2
    parallel = [part.parallel for part in model.anatomy.layers]
    for (row, answer), line in zip(answered, table, strict=True):
        by_head, attention, mlp = line[: len(every)], line[len(every) : -len(layers)], line[-len(layers) :]
        found = ComponentEffects(
            id=f"{row.key}/components",
            token=row.token or model.decode(answer.token),
            attention=attention,
            mlp=mlp,
            through_heads=row.through,
            crossing=[
                sum(
                    each.influence
                    for each in row.crossings
                    if each.source < layer and each.target >= layer + parallel[layer]
                )
                for layer in layers
            ],
        )
        measured = [MeasuredHead(*head, effect) for head, effect in zip(every, by_head, strict=True)]
        yield MeasuredComponents(row.key, found, measured)


def _answer(model: ReplacementModel, row: AblatableRow) -> Answer:
    """The answer of a circuit. Raises InputError for a circuit that does not fit the model."""
    ids, aim = checked_answer(model, row)
    if len(row.through) != model.n_layers:
        raise InputError(
            f"Circuit {row.key} is of a model with {counted(len(row.through), 'layer')}, "
            f"not {model.n_layers}",
            next_step="name the model that it was made with (--model)",
        )
    return Answer(ids, aim.position, aim.token)
