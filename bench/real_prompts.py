"""Prompts in twelve families that a model can answer, from a list of candidates.

    python bench/real_prompts.py MODEL FILE

A candidate is kept when the most probable next token is the first token of its answer. In each family every
second prompt is held out: it has `"split": "held-out"`, and tests of claims use only these. The others have
the tag "formed". Messages are left out when the tokenizer has no chat template. FILE gets a prompts file as
`atlas ingest` reads it. The table on standard output says how many candidates of each family the model
answers.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ingest.engine.replacement.model import ReplacementModel

KEPT = 30
"""Prompts of a family, at most."""

TABLES = Path(__file__).with_suffix(".json")
"""Words and answers of each family. The first token of an answer decides."""


class Candidate(NamedTuple):
    """A prompt with the answers that count. No answers: whatever the model says counts."""

    family: str
    prompt: str
    answers: tuple[str, ...]
    chat: bool = False


def candidates() -> Iterator[Candidate]:
    """All candidates, family by family."""
    tables = json.loads(TABLES.read_text(encoding="utf-8"))
    for family, table in tables.items():
        for word, answer in table.get("pairs", {}).items():
            answers = tuple(form.format(answer) for form in table["answers"])
            yield Candidate(family, table["prompt"].format(word), answers)
        for row in table.get("rows", ()):
            items = row.split(", ")
            for start in range(len(items) - 4):
                yield Candidate(family, ", ".join(items[start : start + 4]) + ",", (f" {items[start + 4]}",))
        words = table.get("words", ())
        for place in range(len(words)):
            *first, last = (words[(place + step) % len(words)] for step in (0, 5, 10, 15, 20))
            yield Candidate(family, ", ".join([*first, last, *first]) + ",", (f" {last}",))
        for message in table.get("messages", ()):
            yield Candidate(family, message, tuple(table["answers"]), chat=True)


def main(model_path: str, file: Path) -> None:
    """Write the prompts that the model answers."""
    model = ReplacementModel.load(model_path, None)
    counts: dict[str, list[int]] = {}
    lines: list[dict[str, Any]] = []
    for each in candidates():
        text = each.prompt
        if each.chat and model.tokenizer.chat_template is None:
            continue
        if each.chat:
            turns = [{"role": "user", "content": text}]
            text = model.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        best = int(model.freeze(model.encode(text).ids).logits[-1].argmax())
        firsts = {model.tokenizer.encode(answer, add_special_tokens=False)[0] for answer in each.answers}
        tried, kept = counts.setdefault(each.family, [0, 0])
        good = (best in firsts or not firsts) and kept < KEPT
        counts[each.family] = [tried + 1, kept + good]
        if good:
            split: dict[str, Any] = {"split": "held-out"} if kept % 2 else {"tags": ["formed"]}
            lines.append(
                {"prompt": text, "expected": model.tokenizer.decode([best]), "family": each.family, **split}
            )
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print("| family | candidates | kept |\n|---|---|---|")
    for family, (tried, kept) in counts.items():
        print(f"| {family} | {tried} | {kept} |")
    print(f"| all | {sum(t for t, _ in counts.values())} | {len(lines)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the prompts that a model answers.")
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    main(given.model, given.file)
