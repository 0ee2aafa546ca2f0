"""Computes and writes modules: communities of the graph of features and their recurring effects.

The weight of an effect (DRIVES) is |mean weight| × number of circuits that have it.
"""

from collections import defaultdict
from typing import NamedTuple

import igraph

from schema.annotations.communities import Link, communities
from schema.circuit.records import stable_id
from schema.counted import counted
from schema.database import Database
from schema.errors import NotFoundError


class ModuleSettings(NamedTuple):
    """Settings of a computation of modules."""

    seed: int = 0
    resolution: float = 1.0
    """Greater values give smaller modules; 1 is plain modularity."""
    min_circuits: int = 2
    """Least number of circuits that must have an effect."""
    n_null: int = 20
    """Number of rewired graphs to compare with."""


class PartitionSummary(NamedTuple):
    """What `compute` found for one transcoder set."""

    partition: str
    """Id of the partition."""
    transcoders: str
    """Id of the set."""
    n_features: int
    n_effects: int
    n_modules: int
    modularity: float
    null_mean: float | None
    null_sd: float | None
    new: bool
    """False when the database already had this partition of these effects; then nothing was written."""


def compute(
    database: Database, settings: ModuleSettings, transcoders: str | None = None
) -> list[PartitionSummary]:
    """Divide the features of one transcoder set into modules, or those of each set.

    transcoders: id of the set; None means every set with recurring effects.
    Raises NotFoundError when no effect recurs in `min_circuits` circuits.
    """
    effects: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
    asked = {"set": transcoders, "least": settings.min_circuits}
    for row in database.read(_EFFECTS, asked):
        effects[row["set"]].append((row["source"], row["target"], row["weight"]))
    if not effects:
        raise NotFoundError(
            f"No effect between features{f' of {transcoders}' if transcoders else ''} recurs in "
            f"{counted(settings.min_circuits, 'circuit')}",
            next_step="ingest more prompts, or lower --min-circuits; `atlas stats` lists the sets",
        )
    return [_partition(database, key, effects[key], settings) for key in sorted(effects)]


def _partition(
    database: Database, key: str, effects: list[tuple[str, str, float]], settings: ModuleSettings
) -> PartitionSummary:
    names = sorted({end for source, target, _ in effects for end in (source, target)})
    place = {name: number for number, name in enumerate(names)}
    links = [Link(place[source], place[target], weight) for source, target, weight in effects]
    found = communities(
        len(names), links, seed=settings.seed, resolution=settings.resolution, n_null=settings.n_null
    )
    inside: dict[int, float] = defaultdict(float)
    touching: dict[int, float] = defaultdict(float)
    strength = [0.0] * len(names)
    for source, target, weight in links:
        ends = found.membership[source], found.membership[target]
        for module in ends:
            touching[module] += weight
        if ends[0] == ends[1]:
            inside[ends[0]] += 2 * weight
            strength[source] += weight
            strength[target] += weight
    n_modules = max(found.membership) + 1
    partition = {
        "id": stable_id(key, settings, effects),
        "method": f"leiden, igraph {igraph.__version__}",
        **settings._asdict(),
        "n_features": len(names),
        "n_effects": len(links),
        "n_modules": n_modules,
        "modularity": found.modularity,
        "null_mean": found.null_mean,
        "null_sd": found.null_sd,
    }
    modules = [
        {
            "id": f"{partition['id']}/{number}",
            "number": number,
            "n_features": found.membership.count(number),
            "within": inside[number] / touching[number],
        }
        for number in range(n_modules)
    ]
    members = [
        {"feature": name, "number": found.membership[number], "strength": strength[number]}
        for name, number in place.items()
    ]
    rows = database.write(
        _WRITE, {"set": key, "partition": partition, "modules": modules, "members": members}
    )
    return PartitionSummary(
        str(partition["id"]),
        key,
        len(names),
        len(links),
        n_modules,
        found.modularity,
        found.null_mean,
        found.null_sd,
        bool(rows[0]["new"]),
    )


_EFFECTS = """
MATCH (t:TranscoderSet)<-[:IN]-(a:Feature)-[d:DRIVES]->(b:Feature)
WHERE ($set IS NULL OR t.id = $set) AND d.n_circuits >= $least AND d.mean <> 0 AND a <> b
RETURN t.id AS set, a.id AS source, b.id AS target, d.n_circuits * abs(d.mean) AS weight
ORDER BY set, source, target
"""

_WRITE = """
MATCH (t:TranscoderSet {id: $set})
OPTIONAL MATCH (old:Partition {id: $partition.id})
CALL (t, old) {
  WITH t, old WHERE old IS NULL
  CREATE (p:Partition)-[:PARTITIONS]->(t) SET p = $partition, p.computed_at = datetime()
  WITH p
  CALL (p) {
    UNWIND $modules AS module
    CREATE (m:Module)-[:PART_OF]->(p) SET m = module
    RETURN collect(m) AS made
  }
  UNWIND $members AS member
  MATCH (f:Feature {id: member.feature})
  WITH f, member, made[member.number] AS m
  CREATE (f)-[:MEMBER_OF {strength: member.strength}]->(m)
  RETURN count(*) AS n
}
RETURN n > 0 AS new
"""
