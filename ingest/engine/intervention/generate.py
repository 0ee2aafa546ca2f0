"""Greedy text generation under edits: each new token is the most probable one.

Every token is computed from the whole text so far, with the edits applied as in `intervene`. An edit whose
position is a slice also applies to new tokens. With n tokens in the prompt, `slice(n, None)` applies to new
tokens only. Parts that are held keep the values of the unedited model on the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.engine.errors import PromptError, SettingError
from ingest.engine.intervention.edits import resolve
from ingest.engine.intervention.hold import Freeze
from ingest.engine.intervention.intervene import Case, ResolvedCase, outcomes
from ingest.engine.replacement.model import Encoded, ReplacementModel


@dataclass(frozen=True)
class Continuation:
    """What the model wrote after a prompt."""

    ids: tuple[int, ...]
    """Vocabulary ids, without the end token."""
    tokens: tuple[str, ...]
    """Each id decoded separately."""
    text: str
    """All ids decoded together."""
    ended: bool
    """Whether the model ended the text with its end token."""


@dataclass(frozen=True)
class Generated:
    """What the model wrote with and without the edits."""

    plain: Continuation
    """Without the edits."""
    edited: Continuation
    """With the edits."""


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
    """Continue each prompt by up to `n_tokens` tokens, with its edits and without them.

    The other arguments are those of `intervene_many`. Raises the errors of `intervene_many`, PromptError when
    the prompt and the new tokens exceed the model's context, and SettingError when `n_tokens` is below 1.
    """
    if n_tokens < 1:
        raise SettingError(f"n_tokens is {n_tokens}", next_step="give a whole number from 1 up")
    starts = [model.encode(case.prompt) for case in cases]
    for encoded in starts:
        if (excess := len(encoded.ids) + n_tokens - model.anatomy.context) > 0:
            raise PromptError(
                f"The tokens of the prompt and the new ones, {len(encoded.ids)} + {n_tokens}, are more than "
                f"the model's {model.anatomy.context}",
                next_step=f"shorten the prompt, or ask for fewer tokens: the excess is {excess}",
            )
    # Each distinct prompt is continued once without edits, however many cases use it.
    plain = list(dict.fromkeys(starts))
    texts = [*plain, *starts]
    edits = [*([()] * len(plain)), *(case.edits for case in cases)]
    new: list[list[int]] = [[] for _ in texts]
    end = model.tokenizer.eos_token_id
    under_way = list(range(len(texts)))
    for step in range(n_tokens):
        resolved = []
        for number in under_way:
            so_far = _longer(model, texts[number], new[number])
            resolved.append(
                ResolvedCase(
                    so_far, resolve(model.transcoders, edits[number], so_far, coming=n_tokens - step - 1)
                )
            )
        found = outcomes(
            model, resolved, freeze=freeze, constrained=constrained, writes=writes, batch_size=batch_size
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
        model.decode_all([*start.ids, *new]),
        start.n_left_out,
    )


def _continuation(model: ReplacementModel, ids: Sequence[int], end: int | None) -> Continuation:
    ended = end is not None and ids[-1] == end
    kept = tuple(ids[:-1] if ended else ids)
    return Continuation(kept, model.decode_all(kept), str(model.tokenizer.decode(kept)), ended)
