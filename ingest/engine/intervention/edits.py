"""Edits of features: what a person asks for, and what it is at each position of one prompt."""

import math
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import Encoded
from ingest.engine.transcoders.transcoder import TranscoderSet


class Action(Enum):
    """What `Edit.value` means."""

    SET = "set"
    """The new activation."""
    SCALE = "scale"
    """A factor on the activation that the plain prompt gives."""
    COPY = "copy"
    """A factor on the plain activation of another feature at the same position."""


Positions = int | tuple[int, ...] | slice
"""One position, several, or a slice: `slice(None)` all of them, `slice(n, None)` those from n on, new ones
included."""


class Edit(NamedTuple):
    """A feature gets another activation."""

    layer: int
    position: Positions
    """A slice leaves out the special first token, which has no features."""
    feature: int
    """Index of the feature in its layer."""
    value: float = 0.0
    """The new activation (0 ablates), or a factor: see `action`."""
    action: Action = Action.SET
    other: tuple[int, int] | None = None
    """With COPY: layer and index of the feature that is copied."""


class Step(NamedTuple):
    """An edit at one position."""

    layer: int
    position: int
    feature: int
    value: float
    action: Action
    other: tuple[int, int]
    """The feature whose plain activation `value` is a factor on; the edited one unless copied."""


def ablate(layer: int, position: Positions, feature: int) -> Edit:
    """Set a feature to 0."""
    return Edit(layer, position, feature)


def scale(layer: int, position: Positions, feature: int, factor: float) -> Edit:
    """Multiply a feature's activation."""
    return Edit(layer, position, feature, factor, Action.SCALE)


def swap(first: tuple[int, int], second: tuple[int, int], position: Positions) -> tuple[Edit, Edit]:
    """Let two features, each (layer, index), exchange their activations."""
    return (
        Edit(first[0], position, first[1], 1.0, Action.COPY, second),
        Edit(second[0], position, second[1], 1.0, Action.COPY, first),
    )


def resolve(
    transcoders: TranscoderSet, edits: Iterable[Edit], encoded: Encoded, *, coming: int = 0
) -> list[Step]:
    """The edits at each position of a prompt.

    coming: how many tokens are yet to be generated; positions among them are left out, not refused. Raises
    SettingError for a layer, feature or position that does not exist, the special first token, a value that
    is no number, or a feature given twice at one position.
    """
    seen: set[tuple[int, int, int]] = set()
    steps = []
    n_positions = len(encoded.ids)
    for edit in edits:
        _check_feature(transcoders, edit.layer, edit.feature, f"The edit of {_name(edit)}")
        other = (edit.layer, edit.feature) if edit.other is None else edit.other
        if edit.action is Action.COPY:
            if edit.other is None:
                raise SettingError(
                    f"The edit of {_name(edit)} copies no feature", next_step="give `other` (layer, index)"
                )
            _check_feature(transcoders, *other, f"What the edit of {_name(edit)} copies")
        if not math.isfinite(edit.value):
            raise SettingError(
                f"The edit of {_name(edit)} has the value {edit.value}", next_step="give a finite number"
            )
        for position in _positions(edit, n_positions, coming, skip_first=encoded.special_first_token):
            key = edit.layer, position, edit.feature
            if key in seen:
                raise SettingError(
                    f"The edit of layer {edit.layer}, position {position}, feature {edit.feature} is given "
                    "twice",
                    next_step="give each feature and position one value",
                )
            seen.add(key)
            steps.append(Step(edit.layer, position, edit.feature, edit.value, edit.action, other))
    return steps


def _positions(edit: Edit, n_positions: int, coming: int, *, skip_first: bool) -> Iterator[int]:
    """The positions of an edit that the prompt has."""
    if isinstance(edit.position, slice):
        found: Sequence[int] = range(n_positions + coming)[edit.position]
        if skip_first and len(found) and found[0] == 0:
            found = found[1:]
        if not found:
            raise SettingError(
                f"The edit of {_name(edit)} covers no position", next_step=_allowed(n_positions, coming)
            )
    else:
        found = (edit.position,) if isinstance(edit.position, int) else edit.position
    for position in found:
        if not 0 <= position < n_positions + coming:
            raise SettingError(
                f"The edit of layer {edit.layer}, position {position}, feature {edit.feature} is outside "
                "the prompt",
                next_step=_allowed(n_positions, coming),
            )
        if skip_first and position == 0:
            raise SettingError(
                f"The edit of {_name(edit)} is at the special first token, which has no features",
                next_step="edit positions from 1 on",
            )
        if position < n_positions:
            yield position


def _allowed(n_positions: int, coming: int) -> str:
    return f"use 0 to {n_positions + coming - 1}"


def _name(edit: Edit) -> str:
    place = edit.position
    where = f"position {place}" if isinstance(place, int) else f"positions {_span(place)}"
    return f"layer {edit.layer}, {where}, feature {edit.feature}"


def _span(place: tuple[int, ...] | slice) -> str:
    if isinstance(place, tuple):
        return ", ".join(map(str, place)) or "()"
    return f"{'' if place.start is None else place.start}:{'' if place.stop is None else place.stop}"


def _check_feature(transcoders: TranscoderSet, layer: int, feature: int, name: str) -> None:
    if not 0 <= layer < transcoders.n_layers:
        raise SettingError(f"{name} has no such layer", next_step=f"use 0 to {transcoders.n_layers - 1}")
    width = transcoders.layers[layer].n_features
    if not 0 <= feature < width:
        raise SettingError(f"{name} has no such feature", next_step=f"use 0 to {width - 1}")
