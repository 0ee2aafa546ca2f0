"""`atlas intervene`: one prompt under edits, the next tokens that moved most, and the features whose changes
mattered most for the answer.

Edits are text in the grammar of `schema.circuit.edit_grammar`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.intervention.answer_effects import effects_on_logit
from ingest.engine.intervention.edits import Action, Edit, Positions, ablate, swap
from ingest.engine.intervention.generate import Continuation, generate
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, changes, intervene
from ingest.engine.replacement.model import NONE, ReplacementModel
from schema.circuit.edit_grammar import (
    EditedPositions,
    EditKind,
    FeatureName,
    PositionList,
    PositionRange,
    PositionWord,
    parse_edit,
)
from schema.errors import InputError


@dataclass(frozen=True)
class InterventionSettings:
    """One prompt, its edits as text, and what is held."""

    prompt: str
    edits: Sequence[str] = ()
    """Each with its kind, such as `ablate 3/17@5`."""
    freeze: Freeze = Freeze.NOTHING
    constrained: str | None = None
    """Layers whose MLP outputs are held, such as 0-3; None for no layers."""
    writes: str | None = None
    """Layers that edits write to; None for all layers that their features write to."""
    tokens: Sequence[str] = ()
    """Next tokens to report besides those whose probability changed most."""
    n_tokens: int = 0
    """Number of tokens to generate."""
    top: int = 10
    """Number of next tokens and features to report."""


@dataclass(frozen=True)
class TokenChange:
    """A next token, without the edits and with them."""

    token: str
    probability: float
    edited_probability: float
    logit: float
    edited_logit: float


@dataclass(frozen=True)
class FeatureChange:
    """A feature at one position, without the edits and with them."""

    layer: int
    index: int
    position: int
    token: str
    """The token at that position."""
    activation: float
    edited_activation: float
    effect: float
    """Effect of this change on the answer's logit, to first order; see `answer_effects`."""


@dataclass(frozen=True)
class InterventionReport:
    """What the edits did."""

    tokens: list[str]
    """The tokens of the prompt."""
    next_tokens: list[TokenChange]
    """The tokens asked for, then those whose probability changed most, the largest change first."""
    answer: str
    """The next token without the edits."""
    features: list[FeatureChange]
    """The features whose changes have the largest effect on the answer, the largest first."""
    n_features_changed: int
    """Number of features whose activation changed, over all positions."""
    plain: Continuation | None
    """What the model writes without the edits; None when nothing was generated."""
    edited: Continuation | None
    """What the model writes with the edits; None when nothing was generated."""


def intervention(model: ReplacementModel, settings: InterventionSettings) -> InterventionReport:
    """Run the model with the edits and without. Raises EngineError."""
    encoded = model.encode(settings.prompt)
    asked = [one_token(model, text) for text in settings.tokens]
    generating = settings.n_tokens > 0
    edits = [
        edit
        for text in settings.edits
        for edit in engine_edits(text, len(encoded.ids), generating=generating)
    ]
    constrained = layers(settings.constrained, "constrained", model.n_layers) or range(0)
    writes = layers(settings.writes, "writes", model.n_layers)
    case = Case(settings.prompt, edits)
    plain = edited = None
    if generating:
        found = generate(
            model, [case], settings.n_tokens, freeze=settings.freeze, constrained=constrained, writes=writes
        )[0]
        plain, edited = found.plain, found.edited
        # New tokens follow the prompt, so what is reported of the prompt does not depend on their edits.
        edits = [part for edit in edits for part in _of_prompt(edit, len(encoded.ids))]
    outcome = intervene(
        model, settings.prompt, edits, freeze=settings.freeze, constrained=constrained, writes=writes
    )
    logits, after = outcome.plain_logits[-1].float(), outcome.logits[-1].float()
    chances, chances_after = logits.softmax(-1), after.softmax(-1)
    most = (chances_after - chances).abs().topk(min(settings.top, len(logits))).indices.tolist()
    moved = changes(model, outcome)
    answer = int(logits.argmax())
    effects = effects_on_logit(model, encoded.ids, answer, moved)
    order = effects.abs().argsort(descending=True, stable=True)[: settings.top].tolist()
    return InterventionReport(
        tokens=list(encoded.tokens),
        next_tokens=[
            TokenChange(
                model.decode(token),
                float(chances[token]),
                float(chances_after[token]),
                float(logits[token]),
                float(after[token]),
            )
            for token in dict.fromkeys([*asked, *most])
        ],
        answer=model.decode(answer),
        features=[
            FeatureChange(layer, index, position, encoded.tokens[position], before, now, effect)
            for (layer, position, index), before, now, effect in zip(
                moved.where[order].tolist(),
                moved.before[order].tolist(),
                moved.after[order].tolist(),
                effects[order].tolist(),
                strict=True,
            )
        ],
        n_features_changed=len(moved.where),
        plain=plain,
        edited=edited,
    )


def engine_edits(text: str, n_positions: int, *, generating: bool = False) -> list[Edit]:
    """The engine's edits for one edit of features as text, such as `ablate 3/17@5`.

    n_positions: length of the prompt; generating: whether tokens are generated, which `new` stands for.
    Raises InputError for a text that is no edit, and for an edit that only the database can resolve
    (`ingest.evidence.named_edits.plain_edits`).
    """
    edit = parse_edit(text, generating=generating)
    if not isinstance(edit.features, FeatureName) or edit.kind is EditKind.PLANT:
        raise InputError(
            f"{text!r} names a supernode or a mean activation, which only the database knows",
            next_step="name features by LAYER/INDEX and give their activation with set",
        )
    position = _positions(edit.positions, n_positions)
    if isinstance(edit.other, FeatureName):
        return list(swap(edit.features, edit.other, position))
    layer, index = edit.features
    if edit.number is None:
        return [ablate(layer, position, index)]
    action = Action.SET if edit.kind is EditKind.SET else Action.SCALE
    return [Edit(layer, position, index, edit.number, action)]


def _positions(positions: EditedPositions, n_positions: int) -> Positions:
    match positions:
        case PositionWord.ALL:
            return slice(None)
        case PositionWord.LAST:
            return n_positions - 1
        case PositionWord.NEW:
            return slice(n_positions, None)
        case PositionRange(first, last):
            return slice(first, None) if last is None else tuple(range(first, last + 1))
        case PositionList((place,)):
            return place
        case PositionList(places):
            return places


def one_token(model: ReplacementModel, text: str) -> int:
    """The vocabulary id of a text that is one token. Raises PromptError for one that is not."""
    ids = model.encode(text, first_token=NONE).ids
    if len(ids) != 1:
        names = ", ".join(repr(model.decode(token)) for token in ids)
        raise PromptError(
            f"{text!r} is not one token but {len(ids)}: {names}",
            next_step="name one of them, with the space before it where it has one",
        )
    return ids[0]


def _of_prompt(edit: Edit, n_positions: int) -> list[Edit]:
    """The part of an edit that lies in the prompt; empty when there is none."""
    place = edit.position
    if isinstance(place, slice):
        return [edit] if place.start is None or place.start < n_positions else []
    inside = tuple(each for each in ((place,) if isinstance(place, int) else place) if each < n_positions)
    return [edit._replace(position=inside)] if inside else []


def layers(text: str | None, name: str, n_layers: int) -> range | None:
    """Layers given as text, such as 0-3; None for None. Raises SettingError, which names the option."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise SettingError(f"--{name} {text!r} cannot be read", next_step=f"write it like 0-{n_layers - 1}")
    return range(int(found[1]), int(found[2] or found[1]) + 1)
