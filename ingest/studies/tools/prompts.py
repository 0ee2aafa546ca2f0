"""The prompts that studies run on: the bundled corpus, or a prompts file for any other model.

A study reads what a prompt is about from its tags, `name:value` or plain words, as the bundled prompts carry
them; which ones it needs it says itself (`Needs`), and what is missing is named before anything runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ingest.circuits.prompts import PromptLine, read_prompts
from ingest.organism.corpus import CorpusQuestion, questions
from ingest.organism.families.example import HELD_OUT, TRAIN, unit
from ingest.studies.tools.items import Item
from ingest.studies.tools.supernodes import SupernodeTensors
from schema.errors import InputError

DEVELOPMENT_SHARE = 0.15
"""Of the prompts that the model was trained on: rules are chosen on these, concepts formed on the others."""
HELD_SHARE = 0.4
"""Of the prompts of a file that names no split."""


class Splits(NamedTuple):
    """The prompts of a family, in three parts that share none."""

    forming: list[Item]
    """Trained on; concepts are formed on these."""
    development: list[Item]
    """Trained on; rules and strengths are chosen on these."""
    held_out: list[Item]
    """Never trained on; used once, for the rates that are reported."""


class Needs(NamedTuple):
    """What a study cannot do without."""

    family: str | None = None
    """The family of its prompts; None: any."""
    labels: Sequence[str] = ()
    """Tags `name:value` by name."""
    tags: Sequence[str] = ()
    """Plain tags; each must be on some prompt."""
    phrases: str | None = None
    """How prompts must be phrased, when the study goes by their words; tokens must be words then."""
    bundled: str | None = None
    """What only the bundled model and corpus have, when it cannot run without them."""

    def fits(self, item: Item) -> bool:
        """Whether a prompt has the labels."""
        return all(label in item.labels for label in self.labels)

    def words(self) -> str:
        """For a person who writes a prompts file."""
        if self.bundled is not None:
            return f"only the bundled ones have: {self.bundled}"
        tags = [*(f"{label}:…" for label in self.labels), *self.tags]
        return " ".join(
            [
                f"family {self.family}" if self.family else "of any family",
                *([f"with tags {', '.join(tags)}"] if tags else []),
                *([f"phrased like `{self.phrases}`"] if self.phrases else []),
            ]
        )


@dataclass(frozen=True)
class Prompts:
    """Prompts by family, each with what should follow."""

    name: str
    """`bundled`, or the file."""
    families: Mapping[str, tuple[Sequence[Item], Sequence[Item]]]
    """Those that concepts and settings may be chosen on, and those held out."""
    most_held: int | None = None
    """At most so many held-out prompts of each request; None for all."""
    supernodes: SupernodeTensors | None = None
    """Those of the atlas, which are then edited whole beside single features; None: features alone."""

    def splits(self, family: str, wanted: Callable[[Item], bool] = lambda item: True) -> Splits:
        """The prompts of a family that are `wanted`, in an order fixed by a hash."""
        known, held = self.families.get(family, ((), ()))
        parts: tuple[list[Item], list[Item]] = ([], [])
        for item in filter(wanted, known):
            parts[unit("development", item.prompt) < DEVELOPMENT_SHARE].append(item)
        forming, development, held_out = (
            sorted(part, key=lambda item: unit(item.prompt)) for part in (*parts, filter(wanted, held))
        )
        return Splits(forming, development, held_out[: self.most_held])

    def few(self, most_held: int) -> "Prompts":
        """The same with at most so many held-out prompts."""
        return replace(self, most_held=most_held)

    @property
    def are_bundled(self) -> bool:
        return self.name == BUNDLED

    def check(self, study: str, needs: Sequence[Needs]) -> None:
        """Raises InputError that names the first thing `study` needs and these prompts lack."""
        for need in needs:
            if self.are_bundled:
                continue
            if need.bundled is not None:
                raise InputError(
                    f"The study {study} runs on the bundled model alone: it needs {need.bundled}",
                    next_step="leave out --model, --transcoders and --prompts",
                )
            if need.family is None:
                if not any(all(both) for both in self.families.values()):
                    raise self._lacks(study, "a family with prompts held out and others not", need)
                continue
            if need.family not in self.families:
                raise self._lacks(study, f"prompts of family {need.family}", need)
            items = [item for part in self.families[need.family] for item in part]
            for label in need.labels:
                if not any(label in item.labels for item in items):
                    raise self._lacks(study, f"prompts with a tag {label}:…", need)
            for tag in need.tags:
                if not any(tag in item.tags for item in items):
                    raise self._lacks(study, f"prompts with the tag {tag}", need)
            parts = self.splits(need.family, need.fits)
            if not all(parts):
                n = sum(map(len, parts))
                raise self._lacks(study, f"more prompts of family {need.family} ({n} have its tags)", need)

    def _lacks(self, study: str, what: str, need: Needs) -> InputError:
        has = ", ".join(
            f"{family} ({len(known)} + {len(held)} held out)"
            for family, (known, held) in self.families.items()
        )
        return InputError(
            f"The study {study} needs {what}; {self.name} has "
            f"{has or 'none with a family and an expected token'}",
            next_step=f"give it prompts {need.words()}, each with `expected` and `split` train or held-out; "
            "docs/studies/README.md has an example",
        )


BUNDLED = "bundled"


@cache
def bundled() -> Prompts:
    """Everything the bundled corpus asks: the families in its order."""
    trained, held = questions(TRAIN), questions(HELD_OUT)
    return Prompts(
        BUNDLED, {family: (_items(trained[family]), _items(held.get(family, []))) for family in trained}
    )


def _items(asked: Sequence[CorpusQuestion]) -> list[Item]:
    return [_item(" ".join(q.prompt), q.expected, q.example.kind, q.example.tags) for q in asked]


def from_file(path: Path) -> Prompts:
    """The lines that have a family and an expected token; kind is what `ask:` or `operation:` says.

    Of a file without splits a share is held out by a hash. Raises InputError for a file with bad lines.
    """
    found = read_prompts(path)
    if found.problems:
        raise found.problems[0]
    splits = any(line.split for line in found.prompts)
    families: dict[str, tuple[list[Item], list[Item]]] = {}
    for line in found.prompts:
        if line.family is None or line.expected is None:
            continue
        held = line.split == HELD_OUT if splits else unit("held out", line.prompt) < HELD_SHARE
        families.setdefault(line.family, ([], []))[held].append(_from_line(line))
    return Prompts(str(path), families)


def _from_line(line: PromptLine) -> Item:
    item = _item(line.prompt, line.expected or "", line.family or "", line.tags)
    return item._replace(kind=item.labels.get("ask") or item.labels.get("operation") or item.kind)


def _item(prompt: str, expected: str, kind: str, tags: Sequence[str]) -> Item:
    labels = dict(tag.split(":", 1) for tag in tags if ":" in tag)
    return Item(prompt, expected, kind, labels, frozenset(tags))
