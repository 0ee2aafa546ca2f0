"""Whole circuits out of the database: the inverse of `schema.loading.load`, in the canonical order."""

from collections.abc import Iterator, Sequence
from typing import Any

from schema.circuit.attention import HeadPart, HeadTotal
from schema.circuit.canonical import canonical
from schema.circuit.records import (
    Circuit,
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
from schema.loading.rows import LAYERS

_SOURCE = ("tool", "slug", "scan", "source_set", "attention_source_set", "creator", "description")
_SETTINGS = (
    *("target", "target_position", "node_threshold", "edge_threshold", "max_feature_nodes", "dtype"),
    *("special_first_token", "replacement_score", "completeness_score", "error_share"),
    *("n_active_features", "n_selected_features", "kept_influence", "weights", "content", "qk_tracing"),
)

LEAST = 4
"""Characters that the beginning of an id must have to stand for it."""
CANDIDATES = 5
"""Circuits that are named when a beginning fits several."""


def read_circuit(database: Database, circuit_id: str) -> Circuit:
    """The circuit, with all labels of its features, whoever wrote them. Raises NotFoundError."""
    parameters = {"id": circuit_id}
    frames = database.read(_FRAME, parameters)
    if not frames:
        raise NotFoundError(
            f"There is no circuit {circuit_id}", next_step="`atlas stats` says what the database holds"
        )
    frame = frames[0]
    stored, model = frame["circuit"], Model(**_known(frame["model"], Model))
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
            transcoders=TranscoderSet(**_known(frame["set"], TranscoderSet) | {"model_id": model.id}),
            nodes=tuple(nodes),
            edges=tuple(edges),
            labels=tuple(_label(row) for row in database.read(_LABELS, parameters)),
            supernodes=tuple(_supernode(row, places) for row in database.read(_SUPERNODES, parameters)),
            source=Source(**{name: stored.get(name) for name in _SOURCE}) if "tool" in stored else None,
            pruned_features=_unnumbered(stored.get("pruned_features")),
            unselected_features=_unnumbered(stored.get("unselected_features")),
            head_parts=tuple(_head_parts(nodes, edges, stored_edges)),
            head_totals=tuple(HeadTotal(**row) for row in database.read(_HEADS, parameters)),
            **{name: stored.get(name) for name in _SETTINGS},
        )
    )


def the_circuit(database: Database, name: str) -> str:
    """The id of the circuit that goes by an id or its beginning.

    Raises NotFoundError when there is none, InputError when several begin like that.
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
    short = f"the beginning of an id stands for it from {LEAST} characters on; "
    raise NotFoundError(
        f"There is no circuit {name[:80]}",
        next_step=f"{short if len(name) < LEAST else ''}`circuits` in GraphQL (`atlas query`) lists them",
    )


def circuit_ids(database: Database, wanted: Sequence[str]) -> list[str]:
    """The ids of circuits by slug, family, tag, id or its beginning; of all circuits for none.

    Raises NotFoundError for a name that means none of them, InputError for the beginning of several ids.
    """
    if not wanted:
        return [row["id"] for row in database.read("MATCH (c:Circuit) RETURN c.id AS id ORDER BY id")]
    found: dict[str, None] = {}
    for name in wanted:
        rows = database.read(_BY_NAME, {"name": name})
        try:
            found |= dict.fromkeys([row["id"] for row in rows] or [the_circuit(database, name)])
        except NotFoundError as error:
            raise NotFoundError(
                f"{name[:80]!r} is no circuit, slug, family or tag",
                next_step="leave it out to export all circuits",
            ) from error
    return list(found)


def _known(values: dict[str, Any], kind: type) -> dict[str, Any]:
    """The fields of a record that are properties; absent ones are None."""
    names = (name for name in kind.__dataclass_fields__ if name != "model_id")  # type: ignore[attr-defined]
    return {name: values.get(name) for name in names}


def _head_parts(nodes: list[Node], edges: list[Edge], rows: list[dict[str, Any]]) -> Iterator[HeadPart]:
    for edge, row in zip(edges, rows, strict=True):
        ends = nodes[edge.source].key, nodes[edge.target].key
        for name, weight in zip(row["heads"] or (), row["head_weights"] or (), strict=True):
            layer, head = map(int, name.split("/"))
            yield HeadPart(*ends, layer, head, weight)


def _prompt(frame: dict[str, Any]) -> Prompt:
    stored = frame["prompt"]
    ids = stored.get("token_ids")
    return Prompt(
        text=stored["text"],
        tokens=tuple(stored["tokens"]),
        token_ids=None if ids is None else tuple(ids),
        family=frame["family"],
        tags=tuple(frame["tags"]),
        expected=stored.get("expected"),
        pair=stored.get("pair"),
        split=stored.get("split"),
    )


def _node(labels: list[str], row: dict[str, Any]) -> Node:
    kind = next(kind for kind in NodeKind if f"{kind.capitalize()}Node" in labels)
    names = ("index", "activation", "influence", "cumulative", "token", "probability", "component")
    values = {name: row.get(name) for name in names}
    return Node(kind, row["layer"], row["position"], pinned=row.get("pinned", False), **values)


def _label(row: dict[str, Any]) -> Label:
    names = ("text", "method", "author", "score", "null_score")
    values = {name: row["label"].get(name) for name in names}
    return Label(row["layer"], row["index"], component=row["component"], **values)


def _supernode(row: dict[str, Any], places: dict[str, int]) -> Supernode:
    group = row["supernode"]
    return Supernode(
        group["label"],
        group.get("position"),
        tuple(sorted(places[member] for member in row["members"])),
        group["method"],
        group["author"],
        group.get("score"),
    )


def _unnumbered(numbers: list[int] | None) -> tuple[tuple[int, int], ...] | None:
    if numbers is None:
        return None
    return tuple(sorted((number % LAYERS, number // LAYERS) for number in numbers))


_FRAME = """
MATCH (c:Circuit {id: $id})-[:OF_PROMPT]->(p:Prompt), (c)-[:BY]->(t:TranscoderSet)-[:FOR]->(m:Model)
RETURN properties(c) AS circuit, properties(p) AS prompt, properties(t) AS set, properties(m) AS model,
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
}
RETURN DISTINCT c.id AS id ORDER BY id
"""
