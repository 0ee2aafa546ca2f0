"""Statements about edits: what claims and hypotheses of the database have in common.

A statement says what is edited and where. It is stored once, under a hash of its fields. Its outcome is
stored once too, in one transaction with the interventions that measured it, and is never overwritten. The
q-values of all statements of a kind are computed together, over every one that was tested
(`schema.evidence.false_discovery`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Self

from schema.circuit.records import stable_id
from schema.database import Database
from schema.errors import NotFoundError
from schema.evidence.interventions import InterventionRecord


@dataclass(frozen=True)
class Statement:
    """The root of claims and hypotheses. Fields are texts, numbers, None, and tuples of texts."""

    @property
    def id(self) -> str:
        """Hash of all fields, in order."""
        return stable_id(*asdict(self).values())

    def properties(self) -> dict[str, object]:
        """The fields as properties of a node; None is left out when the node is written."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self:
        """The statement of a node's properties."""
        fields = {name: properties.get(name) for name in cls.__dataclass_fields__}
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()})


class StatementKind(NamedTuple):
    """How statements of one kind are stored."""

    noun: str
    """As messages and the command `atlas` name it."""
    label: str
    """Label of the node."""
    measured_by: str
    """Type of the relationships to the interventions that measured it."""
    measured_at: str
    """Property with the time of the measurement."""


class ChangedNode(NamedTuple):
    """What edits did to one node of a circuit."""

    node: str
    """Id of the node."""
    predicted: float | None
    """Change that the pruned graph predicts; None when the graph has none of the edited features."""
    measured: float
    """Change of the logit, less the mean over the vocabulary, or of the feature's pre-activation."""


class MeasuredCircuit(NamedTuple):
    """One prompt under the edits of a statement."""

    record: InterventionRecord
    circuit: str | None = None
    """Id of the circuit; None for a prompt that stands for itself."""
    features: Sequence[str] = ()
    """Ids of the edited features, to link them."""
    changes: Sequence[ChangedNode] = ()


def stored_properties(database: Database, kind: StatementKind, id_: str) -> dict[str, Any]:
    """The properties of a stored statement. Raises NotFoundError."""
    rows = database.read(f"MATCH (s:{kind.label} {{id: $id}}) RETURN s {{.*}} AS s", {"id": id_})
    if not rows:
        raise NotFoundError(
            f"There is no {kind.noun} {id_!r}", next_step=f"`atlas {kind.noun} list` lists the ids"
        )
    found: dict[str, Any] = rows[0]["s"]
    return found


def keep_outcome(
    database: Database,
    kind: StatementKind,
    id_: str,
    outcome: NamedTuple,
    tested: Sequence[MeasuredCircuit],
    *,
    statement: Statement | None = None,
) -> None:
    """Write an outcome and its interventions in one transaction. An outcome that is stored already stays.

    outcome: its fields become properties of the statement. statement: stored with the outcome if the database
    does not have it; None for a statement that was stored before, so that a deleted one is not made anew.
    """
    rows = [
        {
            "row": each.record._asdict(),
            "circuit": each.circuit,
            "features": list(each.features),
            "changes": [change._asdict() for change in each.changes],
        }
        for each in tested
    ]
    values = outcome._asdict() if statement is None else statement.properties() | outcome._asdict()
    parameters = {"id": id_, "values": values, "rows": rows}
    database.write(_keep_text(kind, create=statement is not None), {"p": parameters})


def _keep_text(kind: StatementKind, *, create: bool) -> str:
    return f"""
{"MERGE" if create else "MATCH"} (s:{kind.label} {{id: $p.id}})
WITH s WHERE s.p IS NULL
SET s += $p.values, s.{kind.measured_at} = datetime()
WITH s
UNWIND $p.rows AS each
CREATE (s)-[:{kind.measured_by}]->(i:Intervention)
{_INTERVENTION}"""


_INTERVENTION = """
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
