"""Hypotheses in the database: registered first, tested once, listed with what survived."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from schema.circuit.records import stable_id
from schema.database import Database
from schema.errors import InputError, NotFoundError
from schema.questions.question import Question, row_of

LEVEL = 0.05
"""False discovery rate at which a hypothesis survives."""


@dataclass(frozen=True)
class Hypothesis:
    """What is registered."""

    question: str
    edits: tuple[str, ...]
    """Kind and edit, such as `ablate 3/17@5`."""
    prediction: str
    """`lowers` or `raises`."""
    prompts: tuple[str, ...]
    """Held out: they test it."""
    tokens: tuple[str, ...]
    """The expected token of each."""
    formed_on: tuple[str, ...]
    """Prompts it was formed on."""
    model: str
    transcoders: str

    @property
    def id(self) -> str:
        return stable_id(*asdict(self).values())


class Measured(NamedTuple):
    """One prompt's intervention."""

    prompt: str
    token: str
    effect: float
    null_mean: float
    null_sd: float
    n_null: int
    n_edited: int
    seed: int


class Result(NamedTuple):
    """What came of a test."""

    mean_effect: float
    null_mean: float
    draws: int
    p: float
    interventions: Sequence[Measured]


class HypothesisRow(NamedTuple):
    """One hypothesis, as it stands."""

    id: str
    question: str
    edits: list[str]
    prediction: str
    n_prompts: int
    n_formed_on: int
    registered_at: str
    tested_at: str | None
    mean_effect: float | None
    null_mean: float | None
    draws: int | None
    p: float | None
    q: float | None
    n_tested: int
    survived: bool | None


class InterventionRow(NamedTuple):
    """What one intervention did."""

    key: str
    prompt: str
    token: str
    edits: list[str]
    effect: float
    null_mean: float
    null_sd: float
    n_null: int
    n_edited: int


HYPOTHESES = Question("hypotheses", row_of(HypothesisRow))
INTERVENTIONS_OF_HYPOTHESIS = Question("interventions_of_hypothesis", row_of(InterventionRow))


def register(database: Database, hypothesis: Hypothesis) -> str:
    """Write it down; its id. The same again changes nothing."""
    row = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(hypothesis).items()}
    database.write(_REGISTER, {"id": hypothesis.id, "row": row})
    return hypothesis.id


def registered(database: Database, id_: str) -> Hypothesis:
    """One that waits for its test. Raises NotFoundError, and InputError when it was tested already."""
    rows = database.read("MATCH (h:Hypothesis {id: $id}) RETURN h {.*} AS h", {"id": id_})
    if not rows:
        raise NotFoundError(f"There is no hypothesis {id_!r}", next_step="see `atlas hypothesis list`")
    found = rows[0]["h"]
    if "p" in found:
        raise InputError(
            f"Hypothesis {id_} was tested already (p = {found['p']:.3g}); its result is kept",
            next_step="register a new one, with other held-out prompts",
        )
    fields = {name: found[name] for name in Hypothesis.__dataclass_fields__}
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Hypothesis(**values)


def keep(database: Database, hypothesis: Hypothesis, result: Result) -> None:
    """Write result and interventions, in one transaction; a result that is there stays."""
    rows = [
        {
            "id": f"{hypothesis.id}/{number:05}",
            "edits": list(hypothesis.edits),
            **each._asdict(),
        }
        for number, each in enumerate(result.interventions)
    ]
    values = {name: value for name, value in result._asdict().items() if name != "interventions"}
    database.write(_KEEP, {"id": hypothesis.id, "result": values, "rows": rows})


_REGISTER = """
MERGE (h:Hypothesis {id: $id})
ON CREATE SET h += $row, h.registered_at = datetime()
"""

_KEEP = """
MATCH (h:Hypothesis {id: $id}) WHERE h.p IS NULL
SET h += $result, h.tested_at = datetime()
WITH h
UNWIND $rows AS row
CREATE (i:Intervention)
SET i = row
CREATE (h)-[:TESTED_BY]->(i)
"""
