"""Moves prompts to another family, each in one transaction, with their share of every aggregate.

1. lock       everything, because the circuits of a prompt may belong to several sets, and to new ones
2. leave      each circuit of the prompt leaves the aggregates of the old family (`schema.loading.families`)
3. move       the prompt; a family without prompts is deleted
4. join       each circuit joins the aggregates of the new family
5. recompute  the few aggregates that shrank so much that rounding errors show
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from schema.annotations.tags import require_prompts
from schema.database import Database, Transaction
from schema.errors import InputError
from schema.loading import families
from schema.loading.fragments import lock_everything
from schema.loading.shares import FamilyShare, stored_share
from schema.loading.validate import KEY_LIMIT


class MovedPrompt(NamedTuple):
    """A prompt that is in another family than before."""

    prompt: str
    """Id of the prompt."""
    before: str | None
    """Family that the prompt was in; None when it was in none."""
    n_circuits: int
    """Number of circuits of the prompt."""


def set_family(database: Database, prompts: Sequence[str], family: str | None) -> Iterator[MovedPrompt]:
    """Put prompts into a family, or into none. Yields each prompt that was not there already.

    prompts: ids of prompts. family: name; None takes the prompts out of their families. When it is stopped,
    calling it again resumes it. Raises InputError when the name is empty or too long, and NotFoundError when
    the database does not have one of the prompts; then nothing is moved.
    """
    if family is not None:
        _check_name(family)
    require_prompts(database.read, prompts)
    for prompt in prompts:
        moved = database.transaction(partial(_move, prompt=prompt, family=family))
        if moved is not None:
            yield moved


def prompts_of(database: Database, circuits: Sequence[str]) -> list[str]:
    """The ids of the prompts of circuits, ascending. circuits: ids."""
    return [row["id"] for row in database.read(_PROMPTS, {"ids": list(circuits)})]


def _check_name(family: str) -> None:
    if not family.strip():
        raise InputError("The name of the family is empty", next_step="give a name")
    if len(family.encode(errors="replace")) > KEY_LIMIT:
        raise InputError(
            f"The name of the family, {family[:40]!r}…, is longer than {KEY_LIMIT} bytes",
            next_step="shorten it",
        )


def _move(transaction: Transaction, prompt: str, family: str | None) -> MovedPrompt | None:
    lock_everything(transaction)
    for row in transaction.run(_STORED, {"id": prompt}):
        before: str | None = row["family"]
        if before == family:
            continue
        shares = {circuit: stored_share(transaction, circuit) for circuit in row["circuits"]}
        left = [
            families.leave(transaction, circuit, before, share.effects)
            for circuit, share in shares.items()
            if before is not None
        ]
        transaction.run(_MOVE, {"id": prompt, "families": [] if family is None else [family]})
        if family is not None:
            families.join(transaction, [FamilyShare(family, share) for share in shares.values()])
        for lost in left:
            families.recompute(transaction, lost)
        return MovedPrompt(prompt, before, len(shares))
    return None


# -- Cypher; every value from outside is a parameter

_PROMPTS = (
    "MATCH (p:Prompt)<-[:OF_PROMPT]-(c:Circuit) WHERE c.id IN $ids RETURN DISTINCT p.id AS id ORDER BY id"
)

_STORED = """
MATCH (p:Prompt {id: $id})
RETURN head([(p)-[:IN_FAMILY]->(y:Family) | y.name]) AS family,
       COLLECT { MATCH (p)<-[:OF_PROMPT]-(c:Circuit) RETURN c.id ORDER BY c.id } AS circuits
"""

_MOVE = """
MATCH (p:Prompt {id: $id})
CALL (p) {
  MATCH (p)-[i:IN_FAMILY]->(y:Family)
  DELETE i
  WITH y WHERE NOT EXISTS { (y)<-[:IN_FAMILY]-() }
  DELETE y
}
FOREACH (name IN $families | MERGE (y:Family {name: name}) CREATE (p)-[:IN_FAMILY]->(y))
"""
