"""Writes the checkpoints of a training run, and which of their features are the same.

Repeating a call changes nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schema.circuit.records import stable_id
from schema.database import Database

BATCH = 2000
"""Number of links that one transaction writes."""


class Checkpoint(NamedTuple):
    """One state of a training run."""

    step: int
    transcoders: str
    """Id of the transcoder set that reads the checkpoint. The database has circuits of this set."""

    @property
    def id(self) -> str:
        return stable_id("checkpoint", self.transcoders)


class StartedFrom(NamedTuple):
    """Similarity of the features of two neighbouring checkpoints: medians over features that fire at both."""

    earlier: str
    """Id of the checkpoint whose transcoders were trained from those of `later`."""
    later: str
    """Id of the checkpoint whose transcoders were the starting point."""
    cosine: float
    """Cosine of the decoder vectors of a feature at the two checkpoints."""
    agreement: float
    """Share of the tokens where a feature fires at either checkpoint that it fires on at both, 0 to 1."""
    null_cosine: float
    """As `cosine`, for pairs of different features."""
    null_agreement: float
    """As `agreement`, for pairs of different features."""
    n_features: int
    """Number of features that were compared."""


class SameFeature(NamedTuple):
    """The features with one layer and index at two checkpoints."""

    earlier: str
    """Id of the feature at the earlier checkpoint."""
    later: str
    """Id of the feature at the later checkpoint."""
    cosine: float
    agreement: float | None
    """None when neither feature fires on any token."""


def keep_checkpoints(
    database: Database,
    series: str,
    checkpoints: Sequence[Checkpoint],
    starts: Sequence[StartedFrom],
    same: Sequence[SameFeature],
) -> None:
    """Write the checkpoints of a training run in one transaction, then the links between their features.

    The call replaces what earlier calls wrote for the same checkpoints and features.
    series: name of the training run.
    """
    rows = [{**each._asdict(), "id": each.id} for each in checkpoints]
    database.write(
        _CHECKPOINTS, {"series": series, "rows": rows, "starts": [each._asdict() for each in starts]}
    )
    for start in range(0, len(same), BATCH):
        rows = [each._asdict() for each in same[start : start + BATCH]]
        database.write(_SAME, {"p": {"rows": rows}})


def features_of(database: Database, transcoders: str) -> list[tuple[int, int]]:
    """(layer, index) of the features of a set that circuits have, sorted. transcoders: id of the set."""
    rows = database.read(_FEATURES, {"set": transcoders})
    return [(row["layer"], row["index"]) for row in rows]


_FEATURES = """
MATCH (f:Feature)-[:IN]->(:TranscoderSet {id: $set}) WHERE f.component IS NULL
RETURN f.layer AS layer, f.index AS index ORDER BY layer, index
"""

_CHECKPOINTS = """
UNWIND $rows AS row
MATCH (t:TranscoderSet {id: row.transcoders})
MERGE (k:Checkpoint {id: row.id})
SET k.series = $series, k.step = row.step
MERGE (k)-[:READ_BY]->(t)
WITH collect(k) AS kept
CALL (kept) {
  UNWIND kept AS k
  MATCH (k)-[old:STARTED_FROM]->()
  DELETE old
}
UNWIND $starts AS start
MATCH (a:Checkpoint {id: start.earlier}), (b:Checkpoint {id: start.later})
CREATE (a)-[s:STARTED_FROM]->(b)
SET s.cosine = start.cosine, s.agreement = start.agreement, s.null_cosine = start.null_cosine,
    s.null_agreement = start.null_agreement, s.n_features = start.n_features
"""

_SAME = """
UNWIND $p.rows AS row
MATCH (f:Feature {id: row.earlier}), (g:Feature {id: row.later})
CALL (f, g) { MATCH (f)-[old:SAME_AS]->(other) WHERE other <> g DELETE old }
MERGE (f)-[s:SAME_AS]->(g)
SET s.cosine = row.cosine, s.agreement = row.agreement
"""
