"""`atlas ablate`: the heads, and the attention and MLP of each layer, ablated in the circuits of a database.

Steps, for each circuit that was loaded with heads
1. Each head, each layer's attention and each layer's MLP gives 0 at all positions of the real model, one
   after the other (`ingest.engine.intervention.ablate`); the effect is the change of the answer's logit,
   less the mean over the vocabulary, which is what the graph attributes.
2. What the graph claims: the influence that crosses the attention of each layer, and what of it runs through
   the layer's heads, parts against their edge's sign counting as negative. The rest goes past them in the
   residual stream, or is written above the layer only. An edge crosses layer l when its source writes below l
   and its target reads at l or above; above only, where MLPs read what attention reads.

A circuit is one transaction: stopped at any moment, the same command goes on where it was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from ingest.circuits.convert import transcoders_record
from ingest.engine.intervention.ablate import Answer, Attention, Component, Mlp, effects, heads
from ingest.engine.replacement.model import ReplacementModel
from schema.database import Database
from schema.errors import InputError
from schema.evidence.components import (
    ABLATABLE,
    TO_ABLATE,
    AblatableRow,
    Components,
    ToAblateRow,
    keep_components,
)
from schema.questions.question import ask

TOGETHER = 16
"""Circuits that are read and run together."""
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class AblateSettings:
    """Which circuits."""

    model: Path
    transcoders: Path
    families: Sequence[str] | None = None
    """None: all circuits of the set, those without a family too."""
    limit: int | None = None
    """Circuits of each family, the first by id; None: all."""
    anew: bool = False
    """Whether circuits that were ablated already are measured again."""


@dataclass
class Ablated:
    """What one call did."""

    circuits: int = 0
    components: int = 0
    """Of each circuit."""
    present: int = 0
    """Circuits that were ablated already."""
    problems: list[Exception] = field(default_factory=list)
    """One for each circuit that could not be."""

    def sentence(self) -> str:
        failed = f", {len(self.problems)} could not be" if self.problems else ""
        return (
            f"{self.components} components of each of {self.circuits} circuits ablated, "
            f"{self.present} circuits were ablated already{failed}."
        )


def ablate(database: Database, settings: AblateSettings, *, console: Console) -> Ablated:
    """Ablate what is missing. Raises InputError when no circuit has heads, EngineError, DatabaseError."""
    model = ReplacementModel.load(settings.model, settings.transcoders)
    set_id = transcoders_record(model).id
    families = None if settings.families is None else list(settings.families)
    asked = {"transcoders": set_id, "families": families, "limit": settings.limit}
    found: list[ToAblateRow] = ask(database, TO_ABLATE, timeout_s=TIMEOUT_S, **asked)
    if not found:
        named = "" if families is None else f" of the families {', '.join(map(repr, families))}"
        raise InputError(
            f"The database has no circuit{named} that was made with {set_id} and loaded with heads",
            next_step="run `atlas ingest --heads`; delete circuits first that are there without heads",
        )
    todo = [row.circuit for row in found if settings.anew or not row.done]
    every = heads(model)
    done = Ablated(components=len(every) + 2 * model.n_layers, present=len(found) - len(todo))
    with Progress(console=console) as progress:
        bar = progress.add_task("circuits", total=len(todo))
        for start in range(0, len(todo), TOGETHER):
            keys = todo[start : start + TOGETHER]
            rows = []
            for row in ask(database, ABLATABLE, timeout_s=TIMEOUT_S, keys=keys):
                try:
                    rows.append((row, answer(model, row)))
                except InputError as error:
                    done.problems.append(error)
            for row, components, by_head in measured(model, rows):
                parts = [(*head, effect) for head, effect in zip(every, by_head, strict=True)]
                keep_components(database, row.key, components, parts)
                done.circuits += 1
            progress.advance(bar, len(keys))
    return done


def measured(
    model: ReplacementModel, rows: Sequence[tuple[AblatableRow, Answer]]
) -> Iterator[tuple[AblatableRow, Components, list[float]]]:
    """Each circuit with its layers and, in the order of `heads`, its heads' effects."""
    if not rows:
        return
    layers = range(model.n_layers)
    components: list[Component] = [*heads(model), *map(Attention, layers), *map(Mlp, layers)]
    table = effects(model, [given for _, given in rows], components).tolist()
    parallel = [part.parallel for part in model.anatomy.layers]
    for (row, given), line in zip(rows, table, strict=True):
        found = Components(
            id=f"{row.key}/components",
            token=row.text or model.decode(given.token),
            attention=line[-2 * len(layers) : -len(layers)],
            mlp=line[-len(layers) :],
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
        yield row, found, line[: -2 * len(layers)]


def answer(model: ReplacementModel, row: AblatableRow) -> Answer:
    """What is looked at. Raises InputError for a circuit whose answer is no token of this model."""
    if row.token is None or row.token_ids is None:
        raise InputError(
            f"Circuit {row.key} has no answer that is one token, or no token ids",
            next_step="ablate circuits that `atlas ingest` made with the default target",
        )
    if max(*row.token_ids, row.token) >= model.vocab_size or len(row.through) != model.n_layers:
        raise InputError(
            f"Circuit {row.key} is of a model with other tokens or layers",
            next_step="name the model that it was made with (--model)",
        )
    return Answer(row.token_ids, row.position, row.token)
