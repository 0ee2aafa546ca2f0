"""Targets of attribution: salient logits, given tokens, a difference of two logits, or any direction.

A target can be at any position, and one graph can have several targets. Every target is a direction at the
last norm's output. The direction of a logit is its unembedding column minus the mean over the vocabulary,
because adding one number to all logits changes no probability. In a difference of two columns the mean
cancels.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import orjson
import torch
from torch import Tensor

from ingest.engine.adapters.anatomy import wide
from ingest.engine.errors import SettingError
from ingest.engine.replacement.model import Encoded, ReplacementModel
from ingest.engine.replacement.record import Frozen

WAYS = (
    '{"salient": [10, 0.95]}, {"tokens": ["a", "b"]}, {"difference": ["a", "b"]} '
    'or {"direction": [0.1, …], "name": "…"}, each with an optional "position"'
)
"""The forms of a target that `parse` reads, as error messages show them."""


class Salient(NamedTuple):
    """The most probable next tokens, until their probabilities sum to a given one."""

    max_n_logits: int = 10
    """The largest number of tokens, from 1 up."""
    desired_logit_prob: float = 0.95
    """The sum of probabilities to reach, above 0 and at most 1."""
    position: int = -1
    """Position whose next-token logits are meant. Negative positions count from the end."""


class Tokens(NamedTuple):
    """Given next tokens."""

    tokens: tuple[int | str, ...]
    """Vocabulary ids, or texts that are one token each."""
    position: int = -1


class Difference(NamedTuple):
    """The logit of the token `more` minus the logit of the token `less`."""

    more: int | str
    less: int | str
    position: int = -1


class Direction(NamedTuple):
    """Any direction at the last norm's output."""

    vector: tuple[float, ...]
    """d_model finite numbers, not all 0."""
    name: str = "direction"
    """Name of the direction in the graph."""
    position: int = -1


Target = Salient | Tokens | Difference | Direction

DEFAULT: tuple[Target, ...] = (Salient(),)

PromptTargets = tuple[Encoded, Sequence[Target]]
"""A prompt as `ReplacementModel.encode` returns it, and its targets."""


class Logits(NamedTuple):
    """The targets of one prompt as directions."""

    ids: Tensor
    """(n,) int64 vocabulary ids; -1 for a direction that does not belong to one token"""
    names: tuple[str, ...]
    """The decoded token of each target, or its name."""
    probabilities: Tensor
    """(n,) probability of the token, or of both tokens together for a difference; 1 for any other direction.
    They weigh the targets when influence is summed."""
    directions: Tensor
    """(n, d_model) directions at the last norm's output"""
    positions: Tensor
    """(n,) int64 position of each target"""


class Named(NamedTuple):
    """The name and position of a graph's targets."""

    target: str
    """Name of all targets together. It contains their positions when these differ."""
    position: int
    """The last position that has a target."""


def parse(value: object) -> tuple[Target, ...]:
    """The targets that a prompts file or a command line asks for.

    value: one target or a list of targets. A text that does not begin with `{` or `[` is a token. Raises
    SettingError for a value in no known form, invalid JSON, or an empty list.
    """
    if isinstance(value, str):
        if value.lstrip()[:1] not in ("{", "["):
            return (Tokens((value,)),)
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise SettingError(
                f"The target {value!r} is not JSON: {error}", next_step=f"write {WAYS}"
            ) from None
    found = tuple(_parse_one(one) for one in (value if isinstance(value, list) else [value]))
    if not found:
        raise SettingError("The list of targets is empty", next_step=f"write {WAYS}")
    return found


def _parse_one(value: object) -> Target:
    if isinstance(value, str):
        return Tokens((value,))
    if not isinstance(value, dict):
        raise SettingError(f"The target {value!r} is not understood", next_step=f"write {WAYS}")
    rest = dict(value)
    position = rest.pop("position", -1)
    if not isinstance(position, int) or isinstance(position, bool):
        raise SettingError(
            f"The target's position {position!r} is not a whole number", next_step=f"write {WAYS}"
        )
    match rest:
        case {"salient": [int(most), int() | float() as share], **others} if not others:
            return Salient(most, float(share), position)
        case {"token": int() | str() as token, **others} if not others:
            return Tokens((token,), position)
        case {"tokens": [*tokens], **others} if tokens and not others and all(map(_is_token, tokens)):
            return Tokens(tuple(tokens), position)
        case {"difference": [more, less], **others} if not others and _is_token(more) and _is_token(less):
            return Difference(more, less, position)
        case {"direction": [*numbers], **others} if set(others) <= {"name"} and all(map(_is_number, numbers)):
            return Direction(tuple(map(float, numbers)), str(others.get("name", "direction")), position)
    raise SettingError(f"The target {value!r} is not understood", next_step=f"write {WAYS}")


def _is_token(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def named(model: ReplacementModel, encoded: Encoded, targets: Sequence[Target]) -> Named:
    """The name and position of a graph's targets.

    The name does not depend on whether tokens were given as texts or as ids. Raises SettingError for a
    position or a token that does not exist, or for a number out of range.
    """
    n_positions = len(encoded.ids)
    places = [_place(target.position, n_positions) for target in targets]
    words = [_name(model, target) for target in targets]
    last = max(places)
    if any(place != last for place in places):
        words = [f"{word} @ {place}" for word, place in zip(words, places, strict=True)]
    return Named(" + ".join(words), last)


def _name(model: ReplacementModel, target: Target) -> str:
    match target:
        case Salient(most, share):
            if most < 1:
                raise SettingError(f"max_n_logits is {most}", next_step="give a whole number from 1 up")
            if not 0 < share <= 1:
                raise SettingError(
                    f"desired_logit_prob is {share}", next_step="give a probability above 0, at most 1"
                )
            return f"salient-logits({most}, {share:g})"
        case Tokens(tokens):
            return f"tokens({', '.join(str(model.token_id(token)) for token in tokens)})"
        case Difference(more, less):
            return f"difference({model.token_id(more)}, {model.token_id(less)})"
        case Direction(vector, name):
            if len(vector) != model.d_model or not all(map(math.isfinite, vector)) or not any(vector):
                raise SettingError(
                    f"The direction {name!r} has length {len(vector)} where the model's width is "
                    f"{model.d_model}, or holds infinite numbers, or only zeros",
                    next_step=f"give {model.d_model} finite numbers that are not all zero",
                )
            digest = hashlib.sha256(repr(vector).encode()).hexdigest()[:16]
            return f"direction({orjson.dumps(name).decode()}, {digest})"


def _place(position: int, n_positions: int) -> int:
    if not -n_positions <= position < n_positions:
        raise SettingError(
            f"The target's position is {position}, but the prompt ends at position {n_positions - 1}",
            next_step=f"give a position from {-n_positions} to {n_positions - 1}",
        )
    return position % n_positions


def resolve(model: ReplacementModel, frozen: Frozen, targets: Sequence[Target]) -> Logits:
    """The targets of one prompt as directions, in the given order. Salient tokens come most probable first.

    Raises SettingError as `named` does.
    """
    anatomy = model.anatomy
    parts = []
    for target in targets:
        place = _place(target.position, len(frozen.ids))
        logits = frozen.logits_at(place)
        probabilities = logits.softmax(-1)
        match target:
            case Salient(most, share):
                ids, weights = salient_logits(logits, most, share)
                directions = anatomy.logit_directions(ids)
            case Tokens(tokens):
                ids = torch.tensor([model.token_id(token) for token in tokens], device=model.device)
                weights, directions = probabilities[ids], anatomy.logit_directions(ids)
            case Difference(more, less):
                both = torch.tensor([model.token_id(more), model.token_id(less)], device=model.device)
                ids, weights = both.new_tensor([-1]), probabilities[both].sum()[None]
                directions = wide(anatomy.unembedding[both]).diff(dim=0).neg()
            case Direction(vector):
                ids, weights = torch.tensor([-1], device=model.device), probabilities.new_ones(1)
                directions = torch.tensor([vector], device=model.device, dtype=probabilities.dtype)
        names = tuple(_word(model, target, one) for one in ids.tolist())
        parts.append(Logits(ids, names, weights, directions, torch.full_like(ids, place)))
    return Logits(
        torch.cat([part.ids for part in parts]),
        tuple(name for part in parts for name in part.names),
        torch.cat([part.probabilities for part in parts]),
        torch.cat([part.directions for part in parts]),
        torch.cat([part.positions for part in parts]),
    )


def _word(model: ReplacementModel, target: Target, token: int) -> str:
    match target:
        case Difference(more, less):
            return f"{model.decode(model.token_id(more))} - {model.decode(model.token_id(less))}"
        case Direction(_, name):
            return name
    return model.decode(token)


def salient_logits(
    logits: Tensor, max_n_logits: int = 10, desired_logit_prob: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Ids (n,) and probabilities (n,) of the most probable next tokens, most probable first.

    Tokens are taken until their probabilities sum to `desired_logit_prob`, but at most `max_n_logits`.
    logits: (vocab_size,).
    """
    top = torch.topk(logits.softmax(-1), min(max_n_logits, len(logits)))
    enough = int((top.values.cumsum(0) < desired_logit_prob).sum()) + 1
    return top.indices[:enough], top.values[:enough]
