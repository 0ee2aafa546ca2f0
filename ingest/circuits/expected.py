"""Compares a model's answer with the answers that a prompts file expects, over as many tokens as they have.

1. The answer is the model's most probable next token.
2. While it is only the beginning of an expected answer, the most probable next token is added (greedy
   continuation).
3. The continuation is right when it equals an expected answer, apart from spaces around them.

Nothing is run for an answer whose first token decides, which is every answer of one token.
"""

from collections.abc import Sequence

import torch

from ingest.engine.replacement.model import ReplacementModel

MOST = 64
"""The largest number of tokens of a continuation."""


@torch.inference_mode()
def continuation(
    model: ReplacementModel, ids: Sequence[int], answer: int, wanted: Sequence[str]
) -> str | None:
    """The model's continuation as far as it decides; None when the first token decides.

    ids: the prompt. answer: the model's next token. wanted: the expected answers.
    """
    right, said = {each.strip() for each in wanted}, [answer]
    while len(said) < MOST and len(ids) + len(said) < model.anatomy.context:
        text = str(model.tokenizer.decode(said, clean_up_tokenization_spaces=False)).strip()
        begun = text.rstrip("\ufffd")  # the character may be completed by the next token
        if text in right or not any(each.startswith(begun) for each in right):
            break
        logits = model.model(torch.tensor([[*ids, *said]], device=model.device)).logits
        said.append(int(logits[0, -1].argmax()))
    if len(said) == 1:
        return None
    return str(model.tokenizer.decode(said, clean_up_tokenization_spaces=False))


def unreachable(model: ReplacementModel, wanted: Sequence[str]) -> list[str]:
    """The expected answers that no continuation can equal, because the vocabulary cannot write them."""
    return [text for text in wanted if not any(_written(model, form) for form in (text, f" {text.strip()}"))]


def _written(model: ReplacementModel, text: str) -> bool:
    ids = model.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    decoded = str(model.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    return bool(ids) and model.tokenizer.unk_token_id not in ids and decoded.strip() == text.strip()
