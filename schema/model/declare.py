"""The pieces that the graph model is declared with: properties, labels and relationship types."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

VECTOR_SIZE = 256
"""Numbers of every vector that is searched by."""


@dataclass(frozen=True)
class Property:
    """One property of a node or relationship. A property whose value is unknown is absent, never 0 or ""."""

    name: str
    type: str
    about: str
    always: bool = True
    """Whether every node or relationship of the kind has it."""


def P(name: str, type_: str, about: str) -> Property:
    return Property(name, type_.rstrip("?"), about, always=not type_.endswith("?"))


class Vector(NamedTuple):
    """An index over vectors, by cosine."""

    name: str
    property: str
    within: str | None = None
    """The property that a search can be held to."""


@dataclass(frozen=True)
class NodeType:
    """One label."""

    label: str
    about: str
    properties: tuple[Property, ...]
    key: str | None = "id"
    """The property that is unique; None for labels that refine another (`refines`)."""
    refines: str | None = None
    """The label that nodes of this one carry too."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Properties with a range index; each entry is one index."""
    full_text: tuple[tuple[str, str], ...] = ()
    """(name of the index, property) of full-text indexes."""
    vectors: tuple[Vector, ...] = ()

    def schema(self) -> Iterator[str]:
        """The Cypher that creates the constraint and indexes; may run again."""
        name = self.label.lower()
        if self.key is not None:
            yield (
                f"CREATE CONSTRAINT {name}_{self.key} IF NOT EXISTS "
                f"FOR (n:{self.label}) REQUIRE n.{self.key} IS UNIQUE"
            )
        for names in self.indexes:
            # The suffix keeps its name off those of full-text indexes: IF NOT EXISTS goes by name, too.
            index, fields = "_".join((name, *names, "range")), ", ".join(f"n.{field}" for field in names)
            yield f"CREATE INDEX {index} IF NOT EXISTS FOR (n:{self.label}) ON ({fields})"
        for index, field in self.full_text:
            # A consistent one is brought up to date inside every commit, which took half of a load's time;
            # `Database.settle` waits for an eventually consistent one.
            yield (
                f"CREATE FULLTEXT INDEX {index} IF NOT EXISTS FOR (n:{self.label}) ON EACH [n.{field}] "
                "OPTIONS {indexConfig: {`fulltext.eventually_consistent`: true}}"
            )
        for each in self.vectors:
            held = f" WITH [n.{each.within}]" if each.within else ""
            # A search held to one property is of Cypher 25. Quantized vectors would take less memory and find
            # less.
            yield (
                f"CYPHER 25 CREATE VECTOR INDEX {each.name} IF NOT EXISTS FOR (n:{self.label}) "
                f"ON n.{each.property}{held} OPTIONS {{indexConfig: {{`vector.dimensions`: {VECTOR_SIZE}, "
                "`vector.similarity_function`: 'cosine', `vector.quantization.enabled`: false}}"
            )


@dataclass(frozen=True)
class RelationshipType:
    """One relationship type between two labels."""

    type: str
    source: str
    target: str
    about: str
    properties: tuple[Property, ...] = ()
    aggregate: bool = False
    """Whether it follows from the rest and is kept up to date with it."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Properties with a range index; each entry is one index."""

    def schema(self) -> Iterator[str]:
        """The Cypher that creates the indexes; may run again."""
        for names in self.indexes:
            index = "_".join((self.type.lower(), *names, "range"))
            fields = ", ".join(f"r.{field}" for field in names)
            yield f"CREATE INDEX {index} IF NOT EXISTS FOR ()-[r:{self.type}]-() ON ({fields})"
