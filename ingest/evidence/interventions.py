"""What `atlas intervene` does: edits as text, the tokens whose logits moved most, the features that changed.

An edit names features as LAYER/INDEX and where as @ and one of: 5, a position; 2,5 several; 2-5 a range, both
ends included; 2- all from there on; last, of the prompt; all; new, the tokens to be generated.

    set      3/17@5=2.5      activation 2.5            ablate   3/17@5            activation 0
    scale    3/17@5=2        twice the activation      swap     3/17:4/22@5       each gets the other's
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.intervention.edits import Action, Edit, Positions, ablate, swap
from ingest.engine.intervention.generate import Continuation, generate
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, changes, intervene
from ingest.engine.replacement.model import ReplacementModel

_FEATURE = r"(\d+)/(\d+)"
_EDIT = re.compile(rf"{_FEATURE}(?::{_FEATURE})?@([^=]+)(?:=(.+))?")


@dataclass(frozen=True)
class InterventionSettings:
    """One prompt, its edits as text, and what is held."""

    prompt: str
    edits: Sequence[str] = ()
    """Each with its kind, such as `ablate 3/17@5`."""
    freeze: Freeze = Freeze.NOTHING
    constrained: str | None = None
    """Layers whose MLPs are held, such as 0-3."""
    writes: str | None = None
    """Layers that edits write to; None for all that the features write to."""
    tokens: Sequence[str] = ()
    """Next tokens to report besides those that moved most."""
    n_tokens: int = 0
    """How many to generate."""
    top: int = 10
    """How many next tokens and features to report."""


@dataclass(frozen=True)
class TokenChange:
    """A next token, before and after."""

    token: str
    probability: float
    edited_probability: float
    logit: float
    edited_logit: float


@dataclass(frozen=True)
class FeatureChange:
    """A feature at one position, before and after."""

    layer: int
    index: int
    position: int
    token: str
    """At that position."""
    activation: float
    edited_activation: float


@dataclass(frozen=True)
class Report:
    """What the edits did."""

    tokens: list[str]
    """Of the prompt."""
    next_tokens: list[TokenChange]
    """Those asked for, and those whose probability changed most, the largest change first."""
    features: list[FeatureChange]
    """The largest changes, the largest first."""
    n_features_changed: int
    """All of them."""
    plain: Continuation | None
    """What the model writes without the edits; None when nothing was generated, as `edited`."""
    edited: Continuation | None


def intervention(model: ReplacementModel, settings: InterventionSettings) -> Report:
    """Run the model with the edits and without. Raises EngineError."""
    encoded = model.encode(settings.prompt)
    asked = [one_token(model, text) for text in settings.tokens]
    generating = settings.n_tokens > 0
    edits = [
        edit for text in settings.edits for edit in parsed(text, len(encoded.ids), generating=generating)
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
    order = (moved.after - moved.before).abs().argsort(descending=True, stable=True)[: settings.top].tolist()
    return Report(
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
        features=[
            FeatureChange(layer, index, position, encoded.tokens[position], before, now)
            for (layer, position, index), before, now in zip(
                moved.where[order].tolist(),
                moved.before[order].tolist(),
                moved.after[order].tolist(),
                strict=True,
            )
        ],
        n_features_changed=len(moved.where),
        plain=plain,
        edited=edited,
    )


KINDS = ("set", "scale", "ablate", "swap")


def parsed(text: str, n_positions: int, *, generating: bool = False) -> list[Edit]:
    """An edit with its kind, such as `ablate 3/17@5`. Raises SettingError."""
    kind, _, rest = text.strip().partition(" ")
    if kind not in KINDS:
        raise SettingError(f"{text!r} is no edit", next_step="write it like: ablate 3/17@5")
    return parse_edit(rest, kind, n_positions, generating=generating)


def parse_edit(text: str, kind: str, n_positions: int, *, generating: bool) -> list[Edit]:
    """One option's text as edits. kind: `set`, `scale`, `ablate` or `swap`. Raises SettingError."""
    found = _EDIT.fullmatch(text.strip())
    example = {"set": "3/17@5=2.5", "scale": "3/17@5=2", "ablate": "3/17@5", "swap": "3/17:4/22@5"}[kind]
    valued, paired = kind in ("set", "scale"), kind == "swap"
    if found is None or (found[6] is not None) != valued or (found[3] is not None) != paired:
        raise SettingError(f"--{kind} {text!r} cannot be read", next_step=f"write it like {example}")
    feature = int(found[1]), int(found[2])
    position = _positions(found[5], n_positions, f"--{kind} {text!r}", generating=generating)
    if paired:
        return list(swap(feature, (int(found[3]), int(found[4])), position))
    if not valued:
        return [ablate(feature[0], position, feature[1])]
    try:
        value = float(found[6])
    except ValueError as error:
        raise SettingError(
            f"--{kind} {text!r}: {found[6]!r} is no number", next_step=f"write it like {example}"
        ) from error
    return [Edit(feature[0], position, feature[1], value, Action.SET if kind == "set" else Action.SCALE)]


def one_token(model: ReplacementModel, text: str) -> int:
    """The vocabulary id of a text that is one token. Raises PromptError for one that is not."""
    encoded = model.encode(text)
    ids = encoded.ids[1:] if encoded.special_first_token and len(encoded.ids) > 1 else encoded.ids
    if len(ids) != 1:
        names = ", ".join(repr(model.decode(token)) for token in ids)
        raise PromptError(
            f"{text!r} is not one token but {len(ids)}: {names}",
            next_step="name one of them, with the space before it where it has one",
        )
    return ids[0]


def _positions(text: str, n_positions: int, name: str, *, generating: bool) -> Positions:
    if text == "all":
        return slice(None)
    if text == "last":
        return n_positions - 1
    if text == "new":
        if not generating:
            raise SettingError(f"{name}: there are no new tokens", next_step="generate some with --generate")
        return slice(n_positions, None)
    if found := re.fullmatch(r"(\d+)-(\d*)", text):
        if not found[2]:
            return slice(int(found[1]), None)
        if int(found[1]) <= int(found[2]):
            return tuple(range(int(found[1]), int(found[2]) + 1))
    elif re.fullmatch(r"\d+(,\d+)*", text):
        places = tuple(int(place) for place in text.split(","))
        return places[0] if len(places) == 1 else places
    raise SettingError(
        f"{name}: {text!r} is no position", next_step="write 5, 2,5, 2-5, 2-, last, all or new after the @"
    )


def _of_prompt(edit: Edit, n_positions: int) -> list[Edit]:
    """The part of an edit that lies in the prompt, if any."""
    place = edit.position
    if isinstance(place, slice):
        return [edit] if place.start is None or place.start < n_positions else []
    inside = tuple(each for each in ((place,) if isinstance(place, int) else place) if each < n_positions)
    return [edit._replace(position=inside)] if inside else []


def layers(text: str | None, name: str, n_layers: int) -> range | None:
    """Layers given as text, such as 0-3; None for None. Raises SettingError, which says `--name`."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text.strip())
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise SettingError(f"--{name} {text!r} cannot be read", next_step=f"write it like 0-{n_layers - 1}")
    return range(int(found[1]), int(found[2] or found[1]) + 1)
