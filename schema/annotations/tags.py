"""Writes the tags that people give to prompts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schema.circuit.tagged import TaggedCircuit
from schema.database import Database, Rows, Transaction
from schema.errors import LimitError, NotFoundError
from schema.loading.fragments import lock_everything


def tag_prompts(database: Database, prompts: Sequence[str], tags: Sequence[str], most: int) -> None:
    """Give every prompt every tag. Their other tags stay.

    prompts: ids of prompts. most: tags that a prompt may have then. Raises NotFoundError when the database
    does not have one of the prompts, LimitError when one would have more tags.
    """

    def work(transaction: Transaction) -> None:
        lock_everything(transaction)
        require_prompts(transaction.run, prompts)
        transaction.run(_TAG, {"p": {"prompts": list(prompts), "tags": list(tags)}})
        for row in transaction.run(_TAGGED_MOST, {"p": {"prompts": list(prompts), "most": most}}):
            raise LimitError(
                f"The prompt {row['id']} would have {row['n']} tags; the limit is {most}",
                next_step="give it fewer tags, or a family",
            )

    database.transaction(work)


def require_prompts(read: Callable[[str, dict[str, Any]], Rows], prompts: Sequence[str]) -> None:
    """Raises NotFoundError when the database does not have one of the prompts. prompts: ids."""
    there = {row["id"] for row in read(_THERE, {"ids": list(prompts)})}
    missing = [each for each in prompts if each not in there]
    if missing:
        raise NotFoundError(
            f"The database has no prompt {missing[0]!r}",
            next_step="list the ids with `circuits { nodes { prompt { id text } } }` in GraphQL",
        )


def tag_again(database: Database, circuits: Mapping[str, Sequence[str]]) -> list[TaggedCircuit]:
    """Give the prompts of stored circuits the tags that they lack. circuits: id of the circuit → tags."""
    rows = [{"circuit": circuit, "tags": list(tags)} for circuit, tags in circuits.items()]

    def work(transaction: Transaction) -> Rows:
        lock_everything(transaction)
        return transaction.run(_TAG_AGAIN, {"p": {"rows": rows}})

    return [TaggedCircuit(**row) for row in database.transaction(work)]


# -- Cypher; every value from outside is a parameter

_THERE = "MATCH (p:Prompt) WHERE p.id IN $ids RETURN p.id AS id"

_TAG = """
UNWIND $p.tags AS tag
MERGE (g:Tag {name: tag})
WITH g
UNWIND $p.prompts AS prompt
MATCH (p:Prompt {id: prompt})
MERGE (p)-[:TAGGED]->(g)
"""

_TAGGED_MOST = """
MATCH (p:Prompt) WHERE p.id IN $p.prompts
WITH p, COUNT { (p)-[:TAGGED]->() } AS n WHERE n > $p.most
RETURN p.id AS id, n LIMIT 1
"""

_TAG_AGAIN = """
UNWIND $p.rows AS row
MATCH (:Circuit {id: row.circuit})-[:OF_PROMPT]->(p:Prompt)
WITH row, p, [tag IN row.tags WHERE NOT EXISTS { (p)-[:TAGGED]->(:Tag {name: tag}) }] AS new
FOREACH (name IN new | MERGE (g:Tag {name: name}) MERGE (p)-[:TAGGED]->(g))
RETURN row.circuit AS circuit, head([(p)-[:IN_FAMILY]->(y:Family) | y.name]) AS family, size(new) AS n_new
"""
