"""Which circuits a person means by a run, model, tag, family or source."""

from enum import StrEnum

from schema.counted import counted
from schema.database import Database
from schema.errors import InputError, NotFoundError


class Choice(StrEnum):
    """What a name stands for."""

    RUN = "run"
    """Id of a run."""
    MODEL = "model"
    """Id of a model."""
    TAG = "tag"
    """Tag of prompts."""
    FAMILY = "family"
    """Family of prompts."""
    SOURCE = "source"
    """Where imported circuits come from: see `SOURCES`."""


def circuits_of(database: Database, choice: Choice, name: str) -> list[str]:
    """The ids of the circuits that a name stands for, ascending.

    Raises NotFoundError when the database has nothing of this name, InputError when a source has several
    meanings.
    """
    if choice is Choice.SOURCE:
        return _of_source(database, name)
    there, circuits = _CHOICES[choice]
    if not database.read(f"MATCH {there} RETURN true AS there LIMIT 1", {"name": name}):
        raise NotFoundError(f"There is no {choice} {name[:80]!r}", next_step=_LISTED[choice])
    rows = database.read(f"MATCH {there}{circuits} RETURN DISTINCT c.id AS id ORDER BY id", {"name": name})
    return [row["id"] for row in rows]


def _of_source(database: Database, name: str) -> list[str]:
    """The circuits of a source. `name` is a value, or one of `SOURCES`, an equals sign and a value."""
    kind, equals, value = name.partition("=")
    asked = {kind: value} if equals and kind in SOURCES else dict.fromkeys(SOURCES, name)
    found = {
        kind: [
            row["id"]
            for row in database.read(f"{_SOURCES[kind]} RETURN c.id AS id ORDER BY id", {"name": each})
        ]
        for kind, each in asked.items()
    }
    found = {kind: ids for kind, ids in found.items() if ids}
    if not found:
        raise NotFoundError(
            f"No circuit has the source {name[:80]!r}",
            next_step=f"give the {_ALL} of an imported graph; "
            "`circuits { nodes { tool slug sourceUrls transcoders { id } } }` in GraphQL shows them",
        )
    if len(found) > 1 and len({*map(tuple, found.values())}) > 1:
        counts = ", ".join(f"{kind} of {counted(len(ids), 'circuit')}" for kind, ids in found.items())
        raise InputError(
            f"The source {name[:80]!r} has several meanings: {counts}",
            next_step=f"say which one is meant, for example {next(iter(found))}={name[:80]}",
        )
    return next(iter(found.values()))


# -- Cypher; every value from outside is a parameter

_CHOICES = {
    Choice.RUN: ("(x:Run {id: $name})", "<-[:FROM_RUN]-(c:Circuit)"),
    Choice.MODEL: ("(x:Model {id: $name})", "<-[:FOR]-()<-[:BY]-(c:Circuit)"),
    Choice.TAG: ("(x:Tag {name: $name})", "<-[:TAGGED]-()<-[:OF_PROMPT]-(c:Circuit)"),
    Choice.FAMILY: ("(x:Family {name: $name})", "<-[:IN_FAMILY]-()<-[:OF_PROMPT]-(c:Circuit)"),
}
"""Pattern of the node that has the name, and the path from it to its circuits."""

_LISTED = {
    Choice.RUN: "`atlas runs` lists them",
    Choice.MODEL: "`atlas stats` lists them",
    Choice.TAG: "`families { name tags }` in GraphQL lists them",
    Choice.FAMILY: "`atlas stats` lists them",
}

_SOURCES = {
    "tool": "MATCH (c:Circuit) WHERE c.tool = $name",
    "set": "MATCH (c:Circuit)-[:BY]->(t:TranscoderSet) "
    "WHERE c.tool IS NOT NULL AND (t.id = $name OR t.name = $name OR c.source_set = $name)",
    "url": "MATCH (c:Circuit) WHERE $name IN c.source_urls",
    "slug": "MATCH (c:Circuit) WHERE c.slug = $name",
}

SOURCES = tuple(_SOURCES)
"""What a source can be: the tool that wrote the graph, its transcoder set or source set, one of the addresses
in its `source_urls`, or its slug."""

_ALL = "tool, transcoder set, source URL or slug"
