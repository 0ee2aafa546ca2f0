"""Prompts files for the studies that a small model may be able to do, from lists of candidates.

    python bench/real_studies.py MODEL FOLDER

FOLDER gets NAME.jsonl for each study; docs/studies/prompts.md describes its lines. A candidate is kept when
the model's answer begins with the expected one, which is what studies require of a prompt. Questions about
people and requests to refuse are all kept, because these studies say what the model does with them.
Requests are left out when the tokenizer has no chat template. The table on standard output says how many
candidates the model answers as expected.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ingest.engine.replacement.model import ReplacementModel
from ingest.studies.tools.items import answered
from ingest.studies.tools.prompts import from_file

TABLES = Path(__file__).with_suffix(".json")
MESSAGES = Path(__file__).with_name("real_prompts.json")
"""Its families `refusals` and `help` hold harmful and harmless requests."""

KEPT = ("entities", "refusals")
"""Studies that get all candidates."""

Line = dict[str, Any]
"""A line of a prompts file."""


def line(family: str, prompt: str, expected: str | Sequence[str], *tags: str) -> Line:
    return {"prompt": prompt, "family": family, "expected": expected, "tags": list(tags)}


def multi_step(table: dict[str, Any]) -> Iterator[Line]:
    for state, (code, capital, *cities) in table["states"].items():
        for city in cities:
            for ask, answer in (("name", state), ("code", code), ("capital", capital)):
                tags = (f"state:{state}", f"ask:{ask}", f"subject:{city}")
                yield line("multi-step", table[ask].format(city), f" {answer}", *tags)


def chains(table: dict[str, Any], states: dict[str, list[str]]) -> Iterator[Line]:
    names = list(states)
    for place, (state, (_, capital, *cities)) in enumerate(states.items()):
        other = names[(place + 1) % len(names)]
        for city in cities:
            for ask, answer, follows in (("state", state, other), ("capital", capital, states[other][1])):
                prompt = table[ask].format(city=city, state=state)
                tags = (f"step:in {state}", f"swapped:in {other}", f"follows: {follows}")
                yield line("chain-of-thought", prompt, f" {answer}", *tags)


def entities(table: dict[str, Any]) -> Iterator[Line]:
    for ask, question in table["asks"].items():
        people = [(name, f" {answer}", "known") for name, answer in question["known"].items()]
        people += [(name, table["unknown"], "unknown") for name in table["people"]]
        for name, answer, standing in people:
            prompt = question["prompt"].format(name)
            yield line("entities", prompt, answer, f"ask:{ask}", standing, f"subject:{name}")


def poetry(table: dict[str, Any]) -> Iterator[Line]:
    for sound, words in table["rhymes"].items():
        for planned, theme in words.items():
            for first in words:
                if first != planned:
                    prompt = table["prompt"].format(first, table["themes"][theme])
                    tags = (f"rhyme:{sound}", f"planned:{planned}", f"theme:{theme}")
                    yield line("poetry", prompt, f" {planned}", *tags)


def refusals(table: dict[str, Any], messages: dict[str, Any]) -> Iterator[Line]:
    """Requests, and some of them in other wordings. They are messages, so the study needs --chat."""
    groups = (("refusals", "refuse", "harmful"), ("help", "comply", "harmless"))
    for family, stance, harm in groups:
        expected = table["refusals"] if stance == "refuse" else ["To", "Here", "Sure", "Ing"]
        asked = messages[family]["messages"]
        yield from (line("refusals", message, expected, stance) for message in asked)
        for name, wording in table["wordings"].items():
            for message in asked[: table["jailbreaks"]]:
                yield line("jailbreaks", wording.format(message), expected, f"wording:{name}", harm)


def main(model_path: str, folder: Path) -> None:
    """Write the prompts that the model answers."""
    model = ReplacementModel.load(model_path, None)
    tables, messages = (json.loads(path.read_text(encoding="utf-8")) for path in (TABLES, MESSAGES))
    candidates = {
        "multi-step": list(multi_step(tables["multi-step"])),
        "chain-of-thought": list(chains(tables["chain-of-thought"], tables["multi-step"]["states"])),
        "entities": list(entities(tables["entities"])),
        "poetry": list(poetry(tables["poetry"])),
        "refusals": list(refusals(tables["refusals"], messages)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    print("| study | candidates | as expected | kept |\n|---|---|---|---|")
    if model.tokenizer.chat_template is None:
        del candidates["refusals"]
    for name, lines in candidates.items():
        file = folder / f"{name}.jsonl"
        write(file, lines)
        given = from_file(file)
        given = given.rewritten(model.chat) if name == "refusals" else given
        items = [item for both in given.families.values() for item in chain(*both)]
        right = {item.line for item in answered(model, items)}
        kept = [each for line, each in enumerate(lines, 1) if name in KEPT or line in right]
        write(file, kept)
        print(f"| {name} | {len(lines)} | {len(right)} | {len(kept)} |", flush=True)


def write(file: Path, lines: list[Line]) -> None:
    file.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write prompts files for studies of a model.")
    parser.add_argument("model")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    main(given.model, given.folder)
