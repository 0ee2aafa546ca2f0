"""Counts what a database holds: nodes and relationships by kind, circuits by set, settings and family."""

from typing import Any, NamedTuple

from schema.database import Database
from schema.model.core import NODES, RELATIONSHIPS


class Stats(NamedTuple):
    """The counts that `atlas stats` shows."""

    nodes: dict[str, int]
    """Label → number of nodes."""
    relationships: dict[str, int]
    """Type → number of relationships."""
    sets: list[dict[str, Any]]
    """One row for each set: model, set, circuits, derived, features, fvu and agreement. `derived` counts the
    circuits whose influence was derived from a pruned file. The last two are what `atlas transcoders measure`
    found, or null."""
    settings: list[dict[str, Any]]
    """One row for each combination of settings: set, target, node_threshold, edge_threshold,
    max_feature_nodes, max_edges, dtype, circuits. Circuits of two rows were made in different ways, so their
    numbers are not comparable."""
    families: list[dict[str, Any]]
    """One row for each family: family, prompts, circuits."""


def stats(database: Database) -> Stats:
    """The counts. Neo4j itself counts labels and types, so a larger atlas does not take longer."""
    return Stats(
        nodes={node.label: _one(database, f"MATCH (n:{node.label}) RETURN count(n) AS n") for node in NODES},
        relationships={
            kind: _one(database, f"MATCH ()-[r:{kind}]->() RETURN count(r) AS n")
            for kind in dict.fromkeys(each.type for each in RELATIONSHIPS)
        },
        sets=database.read(_SETS),
        settings=database.read(_SETTINGS),
        families=database.read(_FAMILIES),
    )


def _one(database: Database, text: str) -> int:
    count: int = database.read(text)[0]["n"]
    return count


_SETS = """
MATCH (t:TranscoderSet)-[:FOR]->(m:Model)
RETURN m.id AS model, t.id AS set, COUNT { (t)<-[:BY]-() } AS circuits,
       COUNT { (t)<-[:BY]-(c) WHERE "influence" IN c.derived } AS derived,
       COUNT { (t)<-[:IN]-() } AS features, t.fvu AS fvu, t.agreement AS agreement
ORDER BY model, set
"""

_SETTINGS = """
MATCH (c:Circuit)-[:BY]->(t:TranscoderSet)
RETURN t.id AS set, c.target AS target, c.node_threshold AS node_threshold,
       c.edge_threshold AS edge_threshold, c.max_feature_nodes AS max_feature_nodes, c.max_edges AS max_edges,
       c.dtype AS dtype, count(*) AS circuits
ORDER BY set, circuits DESC, target, node_threshold, edge_threshold, max_feature_nodes, max_edges, dtype
"""

_FAMILIES = """
MATCH (y:Family)
OPTIONAL MATCH (y)<-[v:COVERS]-()
WITH y, sum(v.n_circuits) AS circuits
RETURN y.name AS family, COUNT { (y)<-[:IN_FAMILY]-() } AS prompts, circuits
ORDER BY circuits DESC, family
"""
