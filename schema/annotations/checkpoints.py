"""Write checkpoints of a training run, and which of their features are the same.

The same again changes nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schema.circuit.records import stable_id
from schema.database import Database

BATCH = 2000
"""Links of a transaction."""


class Checkpoint(NamedTuple):
    """One state of a training run."""

    step: int
    transcoders: str
    """Id of the set that reads it; circuits of it are in the database."""

    @property
    def id(self) -> str:
        return stable_id("checkpoint", self.transcoders)


class Start(NamedTuple):
    """Medians over features of two neighbours that fire at both."""

    earlier: str
    """Id of the checkpoint."""
    later: str
    """Id of the one whose transcoders its own were started from."""
    cosine: float
    agreement: float
    null_cosine: float
    null_agreement: float
    n_features: int


class Same(NamedTuple):
    """Two features of one layer and index."""

    earlier: str
    later: str
    cosine: float
    agreement: float | None
    """None when neither fires on any token."""


def keep_checkpoints(
    database: Database,
    series: str,
    checkpoints: Sequence[Checkpoint],
    starts: Sequence[Start],
    same: Sequence[Same],
) -> None:
    """Write the checkpoints of a series in one transaction, then the links of their features.

    What another call said of the same checkpoints and features is replaced.
    """
    rows = [{**each._asdict(), "id": each.id} for each in checkpoints]
    database.write(
        _CHECKPOINTS, {"series": series, "rows": rows, "starts": [each._asdict() for each in starts]}
    )
    for start in range(0, len(same), BATCH):
        rows = [each._asdict() for each in same[start : start + BATCH]]
        database.write(_SAME, {"p": {"rows": rows}})


def features_of(database: Database, transcoders: str) -> list[tuple[int, int]]:
    """(layer, index) of the features of a set that circuits have, in order."""
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
