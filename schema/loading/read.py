"""Reads complete circuits out of the database, and finds circuits by name.

A circuit that is read has the canonical order; it equals the record that was loaded.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from schema.circuit.attention import HeadPart, HeadTotal
from schema.circuit.canonical import canonical
from schema.circuit.records import (
    Circuit,
    Derived,
    Edge,
    Label,
    Model,
    Node,
    NodeKind,
    Prompt,
    Source,
    Supernode,
    TranscoderSet,
)
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.loading.properties import (
    CIRCUIT_FIELDS,
    FEATURE_LISTS,
    LABEL_FIELDS,
    MARKS,
    MODEL_FIELDS,
    NODE_FIELDS,
    PROMPT_FIELDS,
    SET_FIELDS,
    SOURCE_FIELDS,
    SUPERNODE_FIELDS,
    Properties,
    known,
    unnumbered,
)

LEAST = 4
"""Smallest number of characters with which the beginning of an id can stand for the id."""
CANDIDATES = 5
"""Number of circuits that an error names when several ids have the same beginning."""


class _StoredFrame(NamedTuple):
    """A row of `_FRAME`: a circuit's own properties, and the nodes around it."""

    circuit: Properties
    prompt: Properties
    transcoders: Properties
    model: Properties
    family: str | None
    tags: list[str]


def read_circuit(database: Database, circuit_id: str) -> Circuit:
    """The circuit, with all labels of its features by all authors.

    Raises NotFoundError when there is no such circuit.
    """
    parameters = {"id": circuit_id}
    frames = database.read(_FRAME, parameters)
    if not frames:
        raise NotFoundError(
            f"There is no circuit {circuit_id}", next_step="`atlas stats` shows what the database holds"
        )
    frame = _StoredFrame(**frames[0])
    stored, model = frame.circuit, Model(**known(frame.model, MODEL_FIELDS))
    values = known(stored, CIRCUIT_FIELDS)
    values |= {name: unnumbered(values[name]) for name in FEATURE_LISTS}
    values["derived"] = tuple(map(Derived, values["derived"] or ()))
    nodes: list[Node] = []
    places: dict[str, int] = {}
    for row in database.read(_NODES, parameters):
        places[row["node"]["id"]] = len(nodes)
        nodes.append(_node(row["labels"], row["node"]))
    stored_edges = database.read(_EDGES, parameters)
    edges = [
        Edge(places[row["source"]], places[row["target"]], row["weight"], row["share"])
        for row in stored_edges
    ]
    return canonical(
        Circuit(
            prompt=_prompt(frame),
            model=model,
            transcoders=TranscoderSet(**known(frame.transcoders, SET_FIELDS), model_id=model.id),
            nodes=tuple(nodes),
            edges=tuple(edges),
            labels=tuple(_label(row) for row in database.read(_LABELS, parameters)),
            supernodes=tuple(_supernode(row, places) for row in database.read(_SUPERNODES, parameters)),
            source=_source(stored),
            head_parts=tuple(_head_parts(nodes, edges, stored_edges)),
            head_totals=tuple(HeadTotal(**row) for row in database.read(_HEADS, parameters)),
            **values,
        )
    )


def find_circuit(database: Database, name: str) -> str:
    """The id of the circuit that has the given id, or an id that begins with it.

    Raises NotFoundError when there is no such circuit, InputError when several ids begin with it.
    """
    rows = database.read(_BEGINNING, {"name": name, "least": LEAST, "limit": CANDIDATES})
    if rows and (len(rows) == 1 or rows[0]["id"] == name):
        return str(rows[0]["id"])
    if rows:
        n = rows[0]["n"]
        listed = "".join(f"\n  {row['id']}  {row['text'][:60]!r}" for row in rows)
        more = f"\n  and {n - len(rows)} more" if n > len(rows) else ""
        raise InputError(
            f"{n} circuits begin with {name}:{listed}{more}", next_step="give more characters of the id"
        )
    short = f"give at least {LEAST} characters of the id; "
    raise NotFoundError(
        f"There is no circuit {name[:80]}",
        next_step=f"{short if len(name) < LEAST else ''}`circuits` in GraphQL (`atlas query`) lists them",
    )


def circuit_ids(database: Database, wanted: Sequence[str]) -> list[str]:
    """The ids of the circuits that the names mean; the ids of all circuits when no names are given.

    A name is a slug, family, tag, tool, source set, source URL, id or the beginning of an id. Raises
    NotFoundError when a name means no circuit, InputError when several ids begin with it.
    """
    if not wanted:
        return [row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id")]
    found: dict[str, None] = {}
    for name in wanted:
        rows = database.read(_BY_NAME, {"name": name})
        try:
            found |= dict.fromkeys([row["id"] for row in rows] or [find_circuit(database, name)])
        except NotFoundError as error:
            raise NotFoundError(
                f"{name[:80]!r} is not a circuit, slug, family, tag, tool, source set or source URL",
                next_step="leave it out to export all circuits",
            ) from error
    return list(found)


def _head_parts(nodes: list[Node], edges: list[Edge], rows: list[dict[str, Any]]) -> Iterator[HeadPart]:
    for edge, row in zip(edges, rows, strict=True):
        ends = nodes[edge.source].key, nodes[edge.target].key
        for name, weight in zip(row["heads"] or (), row["head_weights"] or (), strict=True):
            layer, head = map(int, name.split("/"))
            yield HeadPart(*ends, layer, head, weight)


def _prompt(frame: _StoredFrame) -> Prompt:
    values = known(frame.prompt, PROMPT_FIELDS)
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    values["accepted"] = values["accepted"] or ()
    return Prompt(**values, family=frame.family, tags=tuple(frame.tags))


def _source(stored: Properties) -> Source | None:
    if "tool" not in stored:
        return None
    values = known(stored, SOURCE_FIELDS)
    return Source(**values | {"source_urls": tuple(values["source_urls"] or ())})


def _node(labels: list[str], row: Properties) -> Node:
    kind = next(kind for kind in NodeKind if f"{kind.capitalize()}Node" in labels)
    return Node(kind, **known(row, NODE_FIELDS) | {name: row.get(name, False) for name in MARKS})


def _label(row: dict[str, Any]) -> Label:
    feature = {name: row[name] for name in ("layer", "index", "component")}
    return Label(**feature, **known(row["label"], LABEL_FIELDS))


def _supernode(row: dict[str, Any], places: dict[str, int]) -> Supernode:
    members = tuple(sorted(places[member] for member in row["members"]))
    return Supernode(members=members, **known(row["supernode"], SUPERNODE_FIELDS))


_FRAME = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(p:Prompt), (c)-[:BY]->(t:TranscoderSet)-[:FOR]->(m:Model)
RETURN properties(c) AS circuit, properties(p) AS prompt, properties(t) AS transcoders,
       properties(m) AS model,
       head([(p)-[:IN_FAMILY]->(f) | f.name]) AS family, [(p)-[:TAGGED]->(g) | g.name] AS tags
LIMIT 1
"""
_NODES = "MATCH (:Circuit {id: $id})-[:HAS]->(n:Node) RETURN labels(n) AS labels, properties(n) AS node"
_EDGES = """
MATCH (:Circuit {id: $id})-[:HAS]->(n:Node)-[e:ATTRIBUTES]->(m:Node)
RETURN n.id AS source, m.id AS target, e.weight AS weight, e.share AS share, e.heads AS heads,
       e.head_weights AS head_weights
"""
_HEADS = """
MATCH (:Circuit {id: $id})-[u:RUNS_THROUGH]->(h:Head)
RETURN h.layer AS layer, h.number AS head, u.net AS net, u.gross AS gross ORDER BY layer, head
"""
_LABELS = """
MATCH (:Circuit {id: $id})-[:USES]->(f:Feature)<-[:LABELS]-(l:Label)
RETURN f.layer AS layer, f.index AS index, f.component AS component, properties(l) AS label
"""
_SUPERNODES = """
MATCH (:Circuit {id: $id})-[:HAS]->(s:Supernode)
RETURN properties(s) AS supernode, [(s)-[:GROUPS]->(n) | n.id] AS members
"""
_BEGINNING = """
MATCH (c:Circuit)
WHERE c.id STARTS WITH $name AND (c.id = $name OR size($name) >= $least)
WITH c ORDER BY c.id
WITH collect(c) AS found
UNWIND found[..$limit] AS c
RETURN c.id AS id, coalesce(head([(c)-[:OF_PROMPT]->(p) | p.text]), "") AS text, size(found) AS n
"""
_BY_NAME = """
CALL () {
  MATCH (c:Circuit {slug: $name}) RETURN c
  UNION MATCH (:Family {name: $name})<-[:IN_FAMILY]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit) RETURN c
  UNION MATCH (:Tag {name: $name})<-[:TAGGED]-(:Prompt)<-[:OF_PROMPT]-(c:Circuit) RETURN c
  UNION MATCH (c:Circuit) WHERE c.tool = $name OR c.source_set = $name OR $name IN c.source_urls RETURN c
}
RETURN DISTINCT c.id AS id ORDER BY id
"""
