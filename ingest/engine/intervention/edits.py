"""Edits of features: what an edit asks for, and the steps that it means at each position of a prompt."""

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
    """A factor on the activation on the unedited prompt."""
    COPY = "copy"
    """A factor on the activation of another feature at the same position of the unedited prompt."""


Positions = int | tuple[int, ...] | slice
"""One position, several positions, or a slice: `slice(None)` means all positions, `slice(n, None)` those from
n on. A slice includes the positions of generated tokens."""


class Edit(NamedTuple):
    """A change of one feature's activation, at one or more positions."""

    layer: int
    position: Positions
    """A slice leaves out the special first token, which has no features."""
    feature: int
    """Index of the feature in its layer."""
    value: float = 0.0
    """The new activation (0 ablates the feature) or a factor, as `action` says."""
    action: Action = Action.SET
    other: tuple[int, int] | None = None
    """Layer and index of the feature to copy; needed with `Action.COPY` only."""


class Step(NamedTuple):
    """An edit of one feature at one position."""

    layer: int
    position: int
    feature: int
    value: float
    action: Action
    other: tuple[int, int]
    """Layer and index of the feature on whose unedited activation `value` is a factor. It is the edited
    feature itself, except with `Action.COPY`."""


def ablate(layer: int, position: Positions, feature: int) -> Edit:
    """An edit that sets a feature to 0."""
    return Edit(layer, position, feature)


def scale(layer: int, position: Positions, feature: int, factor: float) -> Edit:
    """An edit that multiplies a feature's activation by a factor."""
    return Edit(layer, position, feature, factor, Action.SCALE)


def swap(first: tuple[int, int], second: tuple[int, int], position: Positions) -> tuple[Edit, Edit]:
    """Two edits by which two features, each (layer, index), exchange their activations."""
    return (
        Edit(first[0], position, first[1], 1.0, Action.COPY, second),
        Edit(second[0], position, second[1], 1.0, Action.COPY, first),
    )


def resolve(
    transcoders: TranscoderSet, edits: Iterable[Edit], encoded: Encoded, *, coming: int = 0
) -> list[Step]:
    """The steps of all edits, at each position of a prompt.

    coming: how many tokens are still to be generated; positions among these tokens are skipped, not refused.
    Raises SettingError for a layer, feature or position that does not exist, for the special first token, for
    a value that is not finite, or for a feature that is given twice at one position.
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
        for position in _positions(edit, n_positions, coming, n_left_out=encoded.n_left_out):
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


def _positions(edit: Edit, n_positions: int, coming: int, *, n_left_out: int) -> Iterator[int]:
    """The positions of an edit that exist in the prompt so far."""
    if isinstance(edit.position, slice):
        found: Sequence[int] = range(n_positions + coming)[edit.position]
        found = [position for position in found if position >= n_left_out]
        if not found:
            raise SettingError(
                f"The edit of {_name(edit)} contains no position", next_step=_allowed(n_positions, coming)
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
        if position < n_left_out:
            raise SettingError(
                f"The edit of {_name(edit)} is at position {position}, whose features are left out",
                next_step=f"edit positions from {n_left_out} on",
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
