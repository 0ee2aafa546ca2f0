"""What to attribute: salient logits, given tokens, a difference of two logits, or any direction, each at any
position; several in one graph.

Every target is a direction at the last norm's output. An unembedding column stands for its logit, minus the
vocabulary's mean, because adding one number to all logits changes no probability; in a difference of two
columns the mean cancels.
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
"""The forms that `parse` reads, for messages."""


class Salient(NamedTuple):
    """The most probable next tokens until they sum to a probability."""

    max_n_logits: int = 10
    desired_logit_prob: float = 0.95
    position: int = -1
    """Whose next-token logits; negative: counted from the end."""


class Tokens(NamedTuple):
    """Given next tokens, each a vocabulary id or a text that is one token."""

    tokens: tuple[int | str, ...]
    position: int = -1


class Difference(NamedTuple):
    """The logit of one token minus that of another."""

    more: int | str
    less: int | str
    position: int = -1


class Direction(NamedTuple):
    """Any direction at the last norm's output."""

    vector: tuple[float, ...]
    name: str = "direction"
    position: int = -1


Target = Salient | Tokens | Difference | Direction

DEFAULT: tuple[Target, ...] = (Salient(),)

Job = tuple[Encoded, Sequence[Target]]
"""A prompt as `ReplacementModel.encode` gives it, and its targets."""


class Logits(NamedTuple):
    """The targets of one prompt as directions."""

    ids: Tensor
    """(n,) int64 vocabulary ids; -1 for a direction that is no token's"""
    names: tuple[str, ...]
    probabilities: Tensor
    """(n,) of the token; of both together for a difference; 1 for any other direction. They weigh the targets
    when influence is summed."""
    directions: Tensor
    """(n, d_model) at the last norm's output"""
    positions: Tensor
    """(n,) int64"""


class Named(NamedTuple):
    """Targets as a graph says them."""

    target: str
    position: int
    """Of the last of them; the others' positions are in `target`."""


def parse(value: object) -> tuple[Target, ...]:
    """The targets that a prompts file or a command line asks for: one, or a list of them.

    A text that is not JSON is a token. Raises SettingError.
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
    """How a graph of these targets calls them; the same whether tokens were given as texts or as ids.

    Raises SettingError for a position or a token that does not exist, or another number out of range.
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
            return f"tokens({', '.join(str(token_id(model, token)) for token in tokens)})"
        case Difference(more, less):
            return f"difference({token_id(model, more)}, {token_id(model, less)})"
        case Direction(vector, name):
            if len(vector) != model.d_model or not all(map(math.isfinite, vector)) or not any(vector):
                raise SettingError(
                    f"The direction {name!r} has {len(vector)} numbers where the model's width is "
                    f"{model.d_model}, or holds infinite numbers, or only zeros",
                    next_step=f"give {model.d_model} finite numbers that are not all zero",
                )
            digest = hashlib.sha256(repr(vector).encode()).hexdigest()[:16]
            return f"direction({orjson.dumps(name).decode()}, {digest})"


def _place(position: int, n_positions: int) -> int:
    if not -n_positions <= position < n_positions:
        raise SettingError(
            f"The target's position is {position} and the prompt has {n_positions} tokens",
            next_step=f"give a position from {-n_positions} to {n_positions - 1}",
        )
    return position % n_positions


def token_id(model: ReplacementModel, token: int | str) -> int:
    """The vocabulary id of a target. Raises SettingError when it is not exactly one token."""
    if isinstance(token, int):
        if not 0 <= token < model.vocab_size:
            raise SettingError(
                f"The target token {token} is outside the vocabulary of {model.vocab_size} tokens",
                next_step=f"give an id from 0 to {model.vocab_size - 1}",
            )
        return token
    ids = [int(one) for one in model.tokenizer(token, add_special_tokens=False)["input_ids"]]
    unknown = model.tokenizer.unk_token_id
    if len(ids) == 1 and (ids[0] != unknown or token == model.tokenizer.unk_token):
        return ids[0]
    if len(ids) == 1:
        raise SettingError(
            f"The tokenizer does not know the target {token!r}", next_step="use a word of its vocabulary"
        )
    pieces = " ".join(repr(model.decode(one)) for one in ids) or "none"
    raise SettingError(
        f"The target {token!r} is {len(ids)} tokens, not one: {pieces}",
        next_step="give one of them; often the first, with its leading space, is what the model says next",
    )


def resolve(model: ReplacementModel, frozen: Frozen, targets: Sequence[Target]) -> Logits:
    """The targets as directions, on one prompt; in the order given, salient tokens most probable first."""
    anatomy = model.anatomy
    parts = []
    for target in targets:
        place = _place(target.position, len(frozen.ids))
        probabilities = frozen.logits[place].softmax(-1)
        match target:
            case Salient(most, share):
                ids, weights = salient_logits(frozen.logits[place], most, share)
                directions = anatomy.logit_directions(ids)
            case Tokens(tokens):
                ids = torch.tensor([token_id(model, token) for token in tokens], device=model.device)
                weights, directions = probabilities[ids], anatomy.logit_directions(ids)
            case Difference(more, less):
                both = torch.tensor([token_id(model, more), token_id(model, less)], device=model.device)
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
            return f"{model.decode(token_id(model, more))} - {model.decode(token_id(model, less))}"
        case Direction(_, name):
            return name
    return model.decode(token)


def salient_logits(
    logits: Tensor, max_n_logits: int = 10, desired_logit_prob: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Ids and probabilities of the most probable next tokens until they sum to `desired_logit_prob`, at most
    `max_n_logits`. logits: (vocab_size,)."""
    top = torch.topk(logits.softmax(-1), min(max_n_logits, len(logits)))
    enough = int((top.values.cumsum(0) < desired_logit_prob).sum()) + 1
    return top.indices[:enough], top.values[:enough]
