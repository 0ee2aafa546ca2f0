"""The prompts that studies run on: the bundled corpus, or a prompts file for any other model.

A study reads the subject of a prompt from its tags, which are `name:value` or plain words. Each study
declares the tags that it needs (`Needs`). They are checked before anything runs, and an error names what is
missing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ingest.circuits.limits import MAX_FEATURE_NODES
from ingest.circuits.prompts import PromptLine, read_prompts
from ingest.organism.corpus import CorpusQuestion, questions
from ingest.organism.families.example import HELD_OUT, TRAIN, unit
from ingest.studies.tools.items import Item
from ingest.studies.tools.supernodes import SupernodeTensors
from schema.errors import InputError

DEVELOPMENT_SHARE = 0.15
"""Share of the trained prompts on which rules are chosen. Concepts are formed on the other trained
prompts."""
HELD_SHARE = 0.4
"""Share of prompts that are held out of a file without splits."""


class Splits(NamedTuple):
    """The prompts of a family in three disjoint parts."""

    forming: list[Item]
    """Prompts that the model was trained on; concepts are formed on them."""
    development: list[Item]
    """Other prompts that the model was trained on; rules and strengths are chosen on them."""
    held_out: list[Item]
    """Prompts that the model was never trained on; they are used once, for the reported rates."""


class Needs(NamedTuple):
    """What a study needs of its prompts."""

    family: str | None = None
    """The family of its prompts; None means any family."""
    labels: Sequence[str] = ()
    """Names of the tags `name:value` that prompts must have."""
    one_of: Sequence[str] = ()
    """Plain tags, of which each prompt must have one only, and each of which must occur."""
    splits: bool = True
    """Whether prompts to form concepts on, to choose settings on and to test are needed."""
    optional: bool = False
    """Whether a file may have no such prompts."""
    own_in_bundled: bool = False
    """Whether the study takes other prompts from the bundled corpus than those of a file."""
    bundled: str | None = None
    """What the study needs that only the bundled model and corpus have; None when it runs on any model."""

    def fits(self, item: Item) -> bool:
        """Whether a prompt has what is required of it."""
        return not self.lacks(item)

    def lacks(self, item: Item) -> list[str]:
        """What is required of a prompt that it does not have, in words."""
        found = [f"no tag {label}:…" for label in self.labels if label not in item.labels]
        if self.one_of and not self.chosen(item):
            found.append(f"neither the tag {' nor '.join(self.one_of)}")
        return found

    def chosen(self, item: Item) -> list[str]:
        """The tags of `one_of` that a prompt has."""
        return [tag for tag in self.one_of if tag in item.tags]

    def words(self) -> str:
        """The needs in words, for the author of a prompts file."""
        if self.bundled is not None:
            return f"bundled model only, because of {self.bundled}"
        tags = [f"{label}:…" for label in self.labels]
        tags += [" or ".join(self.one_of)] if self.one_of else []
        return " ".join(
            [
                f"family {self.family}" if self.family else "of any family",
                *([f"with tags {', '.join(tags)}"] if tags else []),
            ]
        )


@dataclass(frozen=True)
class Prompts:
    """The prompts of all families, each with its expected answer."""

    name: str
    """`bundled`, or the path of the prompts file."""
    families: Mapping[str, tuple[Sequence[Item], Sequence[Item]]]
    """Family → its prompts for forming concepts and choosing settings, and its held-out prompts."""
    most_held: int | None = None
    """Largest number of held-out prompts of a family that `splits` returns; None means all."""
    supernodes: SupernodeTensors | None = None
    """The supernodes of the atlas, which studies then edit as a whole, too. None means single features
    only."""
    max_feature_nodes: int | None = MAX_FEATURE_NODES
    """Most features of a graph, the most influential ones first; None for no limit."""

    def splits(self, family: str, wanted: Callable[[Item], bool] = lambda item: True) -> Splits:
        """The prompts of a family for which `wanted` is true, in an order fixed by a hash."""
        known, held = self.families.get(family, ((), ()))
        parts: tuple[list[Item], list[Item]] = ([], [])
        for item in filter(wanted, known):
            parts[unit("development", item.prompt) < DEVELOPMENT_SHARE].append(item)
        forming, development, held_out = (
            sorted(part, key=lambda item: unit(item.prompt)) for part in (*parts, filter(wanted, held))
        )
        return Splits(forming, development, held_out[: self.most_held])

    def rewritten(self, write: Callable[[str], str]) -> "Prompts":
        """A copy in which every prompt is what `write` makes of it."""

        def each(items: Sequence[Item]) -> list[Item]:
            return [item._replace(prompt=write(item.prompt)) for item in items]

        return replace(
            self, families={name: (each(known), each(held)) for name, (known, held) in self.families.items()}
        )

    def few(self, most_held: int) -> "Prompts":
        """A copy with at most `most_held` held-out prompts of each family."""
        return replace(self, most_held=most_held)

    @property
    def are_bundled(self) -> bool:
        """Whether these are the prompts of the bundled corpus."""
        return self.name == BUNDLED

    def check(self, study: str, needs: Sequence[Needs]) -> None:
        """Raise InputError for the first thing that `study` needs and these prompts lack."""
        for need in needs:
            if self.are_bundled:
                continue
            if need.bundled is not None:
                raise InputError(
                    f"The study {study} runs on the bundled model only: it needs {need.bundled}",
                    next_step="leave out --model, --transcoders and --prompts",
                )
            if need.family is None:
                if not any(all(both) for both in self.families.values()):
                    raise self._lacks(study, "a family that has held-out prompts and other prompts", need)
                continue
            if need.optional and need.family not in self.families:
                continue
            if need.family not in self.families:
                raise self._lacks(study, f"prompts of family {need.family}", need)
            items = [item for part in self.families[need.family] for item in part]
            for label in need.labels:
                if not any(label in item.labels for item in items):
                    raise self._lacks(study, f"prompts with a tag {label}:…", need)
            for tag in need.one_of:
                if not any(tag in item.tags for item in items):
                    raise self._lacks(study, f"prompts with the tag {tag}", need)
            for item in items:
                if len(both := need.chosen(item)) > 1:
                    raise InputError(
                        f"{item.place} has the tags {' and '.join(both)}, and the study {study} takes one of "
                        "them",
                        next_step="remove the wrong tag",
                    )
            self._check_parts(study, need, items)

    def _check_parts(self, study: str, need: Needs, items: Sequence[Item]) -> None:
        """Raise InputError unless prompts with all tags are there, in each split when splits are needed."""
        parts = replace(self, most_held=None).splits(str(need.family), need.fits)
        if not (all(parts) if need.splits else any(parts)):
            n = sum(map(len, parts))
            raise self._lacks(
                study,
                f"more prompts of family {need.family} ({n} have its tags{lacking(need, items)})",
                need,
            )
        for tag in need.one_of if need.splits else ():
            for part, what in zip(parts[::2], ("train", "held-out"), strict=True):
                if not any(tag in item.tags for item in part):
                    raise self._lacks(study, f"prompts of split {what} with the tag {tag}", need)

    def _lacks(self, study: str, what: str, need: Needs) -> InputError:
        has = ", ".join(
            f"{family} ({len(known)} + {len(held)} held out)"
            for family, (known, held) in self.families.items()
        )
        return InputError(
            f"The study {study} needs {what}; {self.name} has "
            f"{has or 'none with a family and an expected token'}",
            next_step=f"give it prompts {need.words()}, with `expected` and `split` (train or held-out); "
            "docs/studies/prompts.md has an example",
        )


BUNDLED = "bundled"
NAMED = 3
"""Lines that an error names at most."""


def lacking(need: Needs, items: Sequence[Item]) -> str:
    """The first lines that lack something, in words after a semicolon; empty when there are none."""
    ordered = sorted(items, key=lambda item: item.line or 0)
    found = [(item, what) for item in ordered if (what := need.lacks(item))]
    named = [f"{item.place} has {' and '.join(what)}" for item, what in found[:NAMED]]
    more = [f"so do {len(found) - NAMED} others"] if len(found) > NAMED else []
    return "; ".join(["", *named, *more])


@cache
def bundled() -> Prompts:
    """All questions of the bundled corpus, with its families in their order."""
    trained, held = questions(TRAIN), questions(HELD_OUT)
    return Prompts(
        BUNDLED, {family: (_items(trained[family]), _items(held.get(family, []))) for family in trained}
    )


def _items(asked: Sequence[CorpusQuestion]) -> list[Item]:
    return [_item(" ".join(q.prompt), q.expected, q.example.kind, q.example.tags) for q in asked]


def from_file(path: Path) -> Prompts:
    """The prompts of a file that have a family and an expected token.

    The value of the tag `ask:` or `operation:` becomes the kind of the prompt. When no line names a split, a
    share of the prompts is held out by a hash. Raises InputError for a file with bad lines.
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
    return item._replace(
        kind=item.labels.get("ask") or item.labels.get("operation") or item.kind,
        accepted=line.accepted,
        line=line.line,
    )


def _item(prompt: str, expected: str, kind: str, tags: Sequence[str]) -> Item:
    labels = dict(tag.split(":", 1) for tag in tags if ":" in tag)
    return Item(prompt, expected, kind, labels, frozenset(tags))
