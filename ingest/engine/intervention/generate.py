"""Greedy generation under edits: the most probable next token, again and again.

Every token is computed from the whole text so far, edits included, as `intervene` would: a slice as an edit's
position reaches the new tokens too, `slice(n, None)` with n tokens in the prompt only these. What is held is
held at what the plain model does on the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.intervention.edits import resolve
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, Job, outcomes
from ingest.engine.replacement.model import Encoded, ReplacementModel


@dataclass(frozen=True)
class Continuation:
    """What the model wrote after a prompt."""

    ids: tuple[int, ...]
    """Vocabulary ids, the end token left out."""
    tokens: tuple[str, ...]
    """Each id decoded by itself."""
    text: str
    ended: bool
    """Whether the model ended the text by itself."""


@dataclass(frozen=True)
class Generated:
    """What the model wrote with and without the edits."""

    plain: Continuation
    edited: Continuation


def generate(
    model: ReplacementModel,
    cases: Sequence[Case],
    n_tokens: int,
    *,
    freeze: Freeze = Freeze.NOTHING,
    constrained: range = range(0),
    writes: range | None = None,
    batch_size: int | None = None,
) -> list[Generated]:
    """Continue each prompt by up to `n_tokens` tokens, with its edits and without.

    Other arguments as for `intervene_many`. Raises what that does, and PromptError when prompt and new tokens
    are more than the model holds, SettingError when no token is asked for.
    """
    if n_tokens < 1:
        raise SettingError(f"n_tokens is {n_tokens}", next_step="give a whole number from 1 up")
    starts = [model.encode(case.prompt) for case in cases]
    for encoded in starts:
        if (excess := len(encoded.ids) + n_tokens - model.anatomy.context) > 0:
            raise PromptError(
                f"{len(encoded.ids)} tokens and {n_tokens} new ones are more than the model's "
                f"{model.anatomy.context}",
                next_step=f"shorten the prompt or ask for {excess} tokens fewer",
            )
    # The same prompt is continued plainly once, however many cases it has.
    plain = list(dict.fromkeys(starts))
    texts = [*plain, *starts]
    edits = [*([()] * len(plain)), *(case.edits for case in cases)]
    new: list[list[int]] = [[] for _ in texts]
    end = model.tokenizer.eos_token_id
    under_way = list(range(len(texts)))
    for step in range(n_tokens):
        jobs = []
        for number in under_way:
            so_far = _longer(model, texts[number], new[number])
            jobs.append(
                Job(so_far, resolve(model.transcoders, edits[number], so_far, coming=n_tokens - step - 1))
            )
        found = outcomes(
            model, jobs, freeze=freeze, constrained=constrained, writes=writes, batch_size=batch_size
        )
        for number, outcome in zip(under_way, found, strict=True):
            new[number].append(int(outcome.logits[-1].argmax()))
        under_way = [number for number in under_way if new[number][-1] != end]
        if not under_way:
            break
    written = [_continuation(model, ids, end) for ids in new]
    first = dict(zip(plain, written, strict=False))
    return [
        Generated(first[encoded], edited)
        for encoded, edited in zip(starts, written[len(plain) :], strict=True)
    ]


def _longer(model: ReplacementModel, start: Encoded, new: Sequence[int]) -> Encoded:
    return Encoded(
        (*start.ids, *new),
        (*start.tokens, *(model.decode(token) for token in new)),
        start.special_first_token,
    )


def _continuation(model: ReplacementModel, ids: Sequence[int], end: int | None) -> Continuation:
    ended = end is not None and ids[-1] == end
    kept = tuple(ids[:-1] if ended else ids)
    return Continuation(
        kept, tuple(model.decode(token) for token in kept), str(model.tokenizer.decode(kept)), ended
    )
