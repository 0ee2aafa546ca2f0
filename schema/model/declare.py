"""The types with which the graph model is declared: properties, labels and relationship types."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

VECTOR_SIZE = 256
"""Number of elements of every vector that a vector index holds."""


@dataclass(frozen=True)
class Property:
    """One property of a node or relationship. A property whose value is unknown is absent, never 0 or ""."""

    name: str
    type: str
    """string, integer, float, boolean, datetime, or a list such as `list of strings`."""
    about: str
    """Sentences that state meaning, unit and range, and when the property is absent."""
    always: bool = True
    """Whether every node or relationship of this kind has the property."""


def P(name: str, type_: str, about: str) -> Property:
    """A property. A type that ends with `?` means that the property can be absent."""
    return Property(name, type_.rstrip("?"), about, always=not type_.endswith("?"))


class Vector(NamedTuple):
    """A vector index, which compares by cosine."""

    name: str
    """Name of the index."""
    property: str
    """Name of the property that holds the vector."""
    within: str | None = None
    """Name of a property by whose value a search can be limited; None when searches are not limited."""


@dataclass(frozen=True)
class NodeType:
    """One label."""

    label: str
    about: str
    properties: tuple[Property, ...]
    key: str | None = "id"
    """Name of the unique property; None for labels that refine another label (`refines`)."""
    refines: str | None = None
    """The more general label that nodes with this label also have."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Properties with a range index; each entry is one index."""
    full_text: tuple[tuple[str, str], ...] = ()
    """(name of the index, property) of full-text indexes."""
    vectors: tuple[Vector, ...] = ()

    def schema(self) -> Iterator[str]:
        """The Cypher statements that create the constraint and the indexes. They can run again."""
        name = self.label.lower()
        if self.key is not None:
            yield (
                f"CREATE CONSTRAINT {name}_{self.key} IF NOT EXISTS "
                f"FOR (n:{self.label}) REQUIRE n.{self.key} IS UNIQUE"
            )
        for names in self.indexes:
            # IF NOT EXISTS also compares names, so the suffix keeps the name different from full-text
            # indexes.
            index, fields = "_".join((name, *names, "range")), ", ".join(f"n.{field}" for field in names)
            yield f"CREATE INDEX {index} IF NOT EXISTS FOR (n:{self.label}) ON ({fields})"
        for index, field in self.full_text:
            # A consistent index is updated in every commit, which took half of the time of a load.
            # `Database.wait_for_full_text` waits for an eventually consistent index.
            yield (
                f"CREATE FULLTEXT INDEX {index} IF NOT EXISTS FOR (n:{self.label}) ON EACH [n.{field}] "
                "OPTIONS {indexConfig: {`fulltext.eventually_consistent`: true}}"
            )
        for each in self.vectors:
            held = f" WITH [n.{each.within}]" if each.within else ""
            # Limiting a search by a property needs Cypher 25. Quantized vectors would take less memory but
            # find fewer neighbours.
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
    part: bool = False
    """Whether the target belongs to the source alone, and is deleted with it."""
    keeps: Literal["source", "target"] | None = None
    """Which end must not exist without a relationship that keeps it. A part is kept too."""
    aggregate: bool = False
    """Whether it follows from other nodes and relationships, with which it is kept up to date."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Properties with a range index; each entry is one index."""

    @property
    def kept(self) -> str | None:
        """Label of the end that must not exist without a relationship that keeps it."""
        if self.part or self.keeps == "target":
            return self.target
        return self.source if self.keeps else None

    def schema(self) -> Iterator[str]:
        """The Cypher statements that create the indexes. They can run again."""
        for names in self.indexes:
            index = "_".join((self.type.lower(), *names, "range"))
            fields = ", ".join(f"r.{field}" for field in names)
            yield f"CREATE INDEX {index} IF NOT EXISTS FOR ()-[r:{self.type}]-() ON ({fields})"
