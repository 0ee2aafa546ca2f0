"""Claims of the ledger: what edits do to the answers of circuits, predicted and measured."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from schema.circuit.records import stable_id
from schema.database import Database
from schema.errors import NotFoundError
from schema.evidence.interventions import Kept
from schema.questions.question import Question, Record, page_of, row_of

LEVEL = 0.05
"""False discovery rate at which a claim survives."""


@dataclass(frozen=True)
class Claim:
    """What is asked: everything needed to measure it again."""

    edits: tuple[str, ...]
    """Kind and edit as asked, such as `ablate 3/17@all`; {LABEL|METHOD} for the features of
    supernodes of one way of grouping."""
    transcoders: str
    """Id of the set."""
    model_path: str
    """Folder or hub name, or `bundled`, as in what follows."""
    transcoders_path: str
    circuits: tuple[str, ...]
    """Ids."""
    family: str | None
    freeze: str
    """`nothing`, `attention` or `everything`."""
    constrained: str | None
    """Layers, such as 0-3; None: none."""
    writes: str | None
    """Layers; None: all."""
    draws: int
    seed: int

    @property
    def id(self) -> str:
        return stable_id(*asdict(self).values())


class Outcome(NamedTuple):
    """What came of it, over its circuits."""

    predicted: float | None
    """Mean; None when no circuit's graph has an edited feature."""
    effect: float
    """Mean."""
    null_mean: float
    null_sd: float
    p: float
    """In the predicted direction; of nothing predicted: either way."""


class ClaimRow(NamedTuple):
    """One claim as it stands."""

    id: str
    edits: list[str]
    transcoders: str
    family: str | None
    freeze: str
    constrained: str | None
    writes: str | None
    draws: int
    seed: int
    n_circuits: int
    predicted: float | None
    effect: float
    null_mean: float
    null_sd: float
    p: float
    q: float
    n_measured: int
    """Claims that q corrects for."""
    survived: bool
    measured_at: str


class Change(NamedTuple):
    """What the edits did to one node of the circuit."""

    node: str
    """Its id."""
    predicted: float | None
    measured: float


class OnCircuit(NamedTuple):
    """One circuit under the edits."""

    kept: Kept
    circuit: str
    features: list[str]
    """Ids of those edited."""
    changes: list[Change]


class MeasuredRow(NamedTuple):
    """One intervention of a claim."""

    key: str
    circuit: str | None
    """None when it is gone."""
    prompt: str
    token: str
    edits: list[str]
    predicted: float | None
    effect: float
    null_mean: float
    null_sd: float
    n_null: int
    p: float
    n_edited: int
    changes: list[Change]


def _measured(record: Record) -> MeasuredRow:
    return MeasuredRow(**{**record, "changes": [Change(**each) for each in record["changes"]]})


class CircuitRow(NamedTuple):
    circuit: str
    prompt: str
    """Its text."""
    transcoders: str
    """Id of its set."""


CLAIMS = Question("claims", page_of(ClaimRow))
INTERVENTIONS_OF_CLAIM = Question("interventions_of_claim", _measured)
CIRCUITS_TO_TEST = Question("circuits_to_test", row_of(CircuitRow))


def keep_claim(database: Database, claim: Claim, outcome: Outcome, tested: Sequence[OnCircuit]) -> None:
    """Write claim and interventions in one transaction; a claim that is there stays as it is."""
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(claim).items()}
    rows = [
        {
            "row": each.kept._asdict(),
            "circuit": each.circuit,
            "features": each.features,
            "changes": [change._asdict() for change in each.changes],
        }
        for each in tested
    ]
    parameters: dict[str, Any] = {"claim": {**values, **outcome._asdict(), "id": claim.id}, "rows": rows}
    database.write(_KEEP, {"p": parameters})


def kept_claim(database: Database, id_: str) -> Claim:
    """What was asked. Raises NotFoundError."""
    rows = database.read("MATCH (k:Claim {id: $id}) RETURN k {.*} AS k", {"id": id_})
    if not rows:
        raise NotFoundError(f"There is no claim {id_!r}", next_step="`atlas claim list` lists them")
    found = rows[0]["k"]
    fields = {name: found.get(name) for name in Claim.__dataclass_fields__}
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Claim(**values)


_KEEP = """
MERGE (k:Claim {id: $p.claim.id})
WITH k WHERE k.measured_at IS NULL
SET k += $p.claim, k.measured_at = datetime()
WITH k
UNWIND $p.rows AS each
CREATE (k)-[:MEASURED_BY]->(i:Intervention)
SET i = each.row
WITH i, each
CALL (i, each) {
  MATCH (c:Circuit {id: each.circuit})
  CREATE (i)-[:ON]->(c)
}
CALL (i, each) {
  UNWIND each.changes AS change
  MATCH (n:Node {id: change.node})
  CREATE (i)-[:CHANGED {predicted: change.predicted, measured: change.measured}]->(n)
}
UNWIND each.features AS feature
MATCH (f:Feature {id: feature})
CREATE (i)-[:EDITS]->(f)
"""
